package congestion

import (
	"math"
	"time"
)

// The constants of RFC 9438.
const (
	cubicBeta = 0.7 // what is left of the window after a loss (section 4.6)
	cubicC    = 0.4 // aggressiveness, segments per second cubed (section 5)
	// penaltyBeta is what is left of it after a penalty.
	penaltyBeta = 0.5
	// cubicAlpha makes the Reno-friendly window grow as fast on average as Reno's would
	// with cubicBeta (section 4.3).
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// NewCubic returns CUBIC (RFC 9438) with HyStart++ (RFC 9406) and proportional rate
// reduction (RFC 6937). It is paced: at twice the rate of a window per round trip in slow
// start, so that the window can double, and at 1.2 times it afterwards. An initial window
// leaves at once (RFC 6928 section 2).
func NewCubic() Controller { return &cubic{beta: cubicBeta} }

// cubic puts together what concerns any window-based controller (phase, undo, pacing) and
// the growth of CUBIC, which lives in curve.
type cubic struct {
	// beta is what is left of the window after a loss.
	beta float64
	// avoid, if not nil, is the increase in congestion avoidance for acked bytes, in place of
	// the curve's: that of a coupled controller.
	avoid   func(s *Sample, acked float64) float64
	mss     int
	srtt    time.Duration
	initial float64 // window, in bytes
	window  float64 // bytes
	curve   curve
	start   hystart
	phase   phase
	prr     prr
	before  checkpoint
	// lastAck is when the controller last heard of progress; what lies between it and
	// a restart after idleness does not count as time on the curve.
	lastAck time.Time
}

// phase is what the loss recovery of the sender is doing.
type phase uint8

const (
	open       phase = iota // no loss outstanding
	recovering              // fast recovery: the window is reduced in proportion
	timedOut                // after RTO: slow start from one segment
)

// checkpoint is the state before a loss episode, for undo. It is taken at the first
// reduction only, so that an RTO within a recovery is undone all the way.
type checkpoint struct {
	at     time.Time
	window float64
	curve  curve
}

func (c *cubic) Name() string { return "cubic" }

func (c *cubic) Init(p Params) {
	p = p.withDefaults()
	c.mss = p.MSS
	c.srtt = p.HandshakeRTT
	c.initial = float64(p.InitialWindow)
	c.window = c.initial
	c.curve = curve{ssthresh: math.Inf(1)}
	c.lastAck = p.Now
}

func (c *cubic) OnSend(now time.Time, bytes, inFlight int) {
	if c.phase == recovering {
		c.prr.sent += bytes
	}
	if inFlight == 0 && c.phase == open {
		c.curve.pause(now.Sub(c.lastAck))
		c.lastAck = now
	}
}

func (c *cubic) OnAck(s *Sample) {
	if s.SRTT > 0 {
		c.srtt = s.SRTT
	}
	switch {
	case c.phase == recovering:
		c.window = c.prr.window(s, c.curve.ssthresh, c.mss)
	case s.Acked == 0:
	case !s.CwndLimited:
		// RFC 9438 section 5.8: the curve stands still while the window is not used.
		c.curve.pause(s.Now.Sub(c.lastAck))
	default:
		c.grow(s)
	}
	c.lastAck = s.Now
}

// grow opens the window for s.Acked bytes: by slow start up to ssthresh, by the curve above.
func (c *cubic) grow(s *Sample) {
	acked := float64(s.Acked)
	if c.window < c.curve.ssthresh {
		// No limit per ACK: the sender paces (RFC 9406 section 4.2, L = infinity), and one
		// ACK may stand for a whole super-segment.
		step := acked / c.start.divisor(s, c.phase)
		used := min(step, c.curve.ssthresh-c.window)
		c.window = min(c.window+used, maxWindow)
		if c.start.done() && c.phase == open {
			c.curve.ssthresh = c.window
		}
		if c.window < c.curve.ssthresh {
			return
		}
		acked *= 1 - used/step
	}
	switch {
	case acked <= 0:
	case c.avoid != nil:
		c.window = min(c.window+c.avoid(s, acked), maxWindow)
	default:
		c.window = min(c.curve.next(s.Now, c.srtt, c.window, acked, c.mss), maxWindow)
	}
}

func (c *cubic) OnLoss(now time.Time, inFlight, lost int) {
	if c.phase != open {
		return // the episode goes on: one reduction is enough (RFC 9438 section 4.6)
	}
	c.reduce(now)
	c.curve.kind = afterLoss
	c.phase = recovering
	c.prr = prr{flight: inFlight + lost}
	c.window = c.prr.start(inFlight, c.mss)
}

// OnPenalty implements Penalised.
func (c *cubic) OnPenalty(now time.Time) {
	if c.phase != open {
		return
	}
	c.before = checkpoint{}
	c.curve.reduce(c.window, penaltyBeta, c.mss)
	c.curve.kind = afterLoss
	c.window = c.curve.ssthresh
	c.lastAck = now
}

func (c *cubic) OnRTO(now time.Time, _ int) {
	if c.phase == open {
		c.reduce(now)
	}
	c.curve.kind = afterTimeout
	c.phase = timedOut
	c.start.reset()
	c.window = float64(c.mss)
}

// reduce begins a loss episode.
func (c *cubic) reduce(now time.Time) {
	c.before = checkpoint{at: now, window: c.window, curve: c.curve}
	c.curve.reduce(c.window, c.beta, c.mss)
}

func (c *cubic) OnRecovered(now time.Time) {
	if c.phase == recovering {
		c.window = c.curve.ssthresh
	}
	c.phase = open
	c.lastAck = now
}

// OnUndo puts back window, threshold and curve. The curve goes on where it was: the time of
// the episode does not count.
func (c *cubic) OnUndo(now time.Time) {
	if c.before.window == 0 {
		return
	}
	c.window = max(c.window, c.before.window)
	c.curve = c.before.curve
	c.curve.pause(now.Sub(c.before.at))
	c.before = checkpoint{}
	c.phase = open
	c.lastAck = now
}

func (c *cubic) OnMSS(mss int) {
	c.mss = max(mss, 1)
	c.window = max(c.window, float64(c.mss))
}

func (c *cubic) Window() int { return max(int(c.window), c.mss) }

// CoupledWindow implements Coupled.
func (c *cubic) CoupledWindow() int {
	if c.phase == recovering {
		return int(c.curve.ssthresh)
	}
	return c.Window()
}

func (c *cubic) PacingRate() float64 {
	if c.srtt <= 0 || c.window <= c.initial && c.phase == open {
		return 0
	}
	perSecond := 1 / c.srtt.Seconds()
	switch {
	case c.phase == recovering:
		// The window follows what is in flight closely; the rate is that which comes out.
		return 1.2 * max(c.window, c.curve.ssthresh) * perSecond
	case c.window < c.curve.ssthresh:
		return 2 * c.window * perSecond
	default:
		return 1.2 * c.window * perSecond
	}
}
