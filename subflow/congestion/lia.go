package congestion

import "time"

// NewLIA returns the Linked Increases Algorithm (RFC 6356), which couples the subflows of a
// connection: together they take as much as one TCP would on the best of their paths, and
// none takes more than a TCP of its own there. It differs from a plain TCP in the increase
// of congestion avoidance alone; slow start (with HyStart++), recovery and pacing are those
// of NewCubic, and a loss halves the window of its subflow.
func NewLIA() Controller { return &lia{cubic: cubic{beta: 0.5}} }

type lia struct {
	cubic
	siblings func(buf []Sibling) []Sibling
	others   []Sibling // what siblings returned last
	// alpha is the aggressiveness of the connection, 0 before it is known, and others' windows
	// add up to rest: worked out at losses and once per round trip (section 4.1).
	alpha, rest float64
	roundEnd    uint64 // count of delivered bytes at which they are worked out again
}

func (l *lia) Name() string { return "lia" }

func (l *lia) Init(p Params) {
	l.cubic.Init(p)
	l.siblings = p.Siblings
	l.avoid = l.increase
}

func (l *lia) OnLoss(now time.Time, inFlight, lost int) {
	l.cubic.OnLoss(now, inFlight, lost)
	l.alpha = 0
}

func (l *lia) OnRTO(now time.Time, inFlight int) {
	l.cubic.OnRTO(now, inFlight)
	l.alpha = 0
}

// increase is equation (1) of section 3.
func (l *lia) increase(s *Sample, acked float64) float64 {
	if l.alpha == 0 || s.PriorDelivered >= l.roundEnd {
		l.roundEnd = s.Delivered
		l.couple()
	}
	mss := float64(l.mss)
	alone := acked * mss / l.window
	coupled := l.alpha * acked * mss / (l.rest + l.window)
	return max(min(coupled, alone), 1)
}

// couple works alpha out by equation (2): the total window times the largest of window/rtt²,
// divided by the square of the sum of window/rtt. Subflows without a round-trip time have not
// sent enough to count.
func (l *lia) couple() {
	l.alpha, l.rest = 1, 0
	if l.srtt <= 0 {
		return
	}
	l.others = l.others[:0]
	if l.siblings != nil {
		l.others = l.siblings(l.others)
	}
	own := l.srtt.Seconds()
	best, sum := l.window/(own*own), l.window/own
	for _, o := range l.others {
		if o.SRTT <= 0 || o.Window <= 0 {
			continue
		}
		window, rtt := float64(o.Window), o.SRTT.Seconds()
		best = max(best, window/(rtt*rtt))
		sum += window / rtt
		l.rest += window
	}
	l.alpha = (l.rest + l.window) * best / (sum * sum)
}
