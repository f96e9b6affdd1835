package congestion

import "time"

// The constants of RFC 9406 section 4.3.
const (
	hystartMinThresh = 4 * time.Millisecond
	hystartMaxThresh = 16 * time.Millisecond
	hystartDivisor   = 8
	hystartSamples   = 8
	cssGrowthDivisor = 4
	cssRounds        = 5
)

// hystart ends slow start when the round-trip time rises, before the queue overflows
// (HyStart++, RFC 9406). On a rise it grows more slowly for some rounds (conservative slow
// start) and goes back when the rise was a passing one.
//
// What the RFC looks at, the smallest round-trip time of a whole round, shows the queue of a paced window two round trips
// late: it ends slow start here. The end of a round alone makes it conservative (riseDetector).
type hystart struct {
	on bool // a slow start is under way
	// roundEnd is the count of delivered bytes at which the round ends.
	roundEnd uint64
	queue    riseDetector
	css      int // rounds of conservative slow start
}

func (h *hystart) reset() { *h = hystart{} }

// done reports that slow start should end now.
func (h *hystart) done() bool { return h.queue.stands || h.css >= cssRounds }

// divisor takes in an ACK of slow start and returns by how much the growth is to be divided.
// After a timeout ssthresh is known and slow start is not shortened.
func (h *hystart) divisor(s *Sample, p phase) float64 {
	if p != open {
		return 1
	}
	if !h.on || h.done() {
		*h = hystart{on: true, roundEnd: s.Delivered}
	} else if s.PriorDelivered >= h.roundEnd {
		h.endRound(s.Delivered)
	}
	if s.RTT > 0 {
		h.queue.add(s.Now, s.RTT)
	}
	if h.queue.rising {
		return cssGrowthDivisor
	}
	return 1
}

func (h *hystart) endRound(delivered uint64) {
	h.roundEnd = delivered
	h.queue.nextRound()
	if h.queue.rising {
		h.css++
	} else {
		h.css = 0
	}
}
