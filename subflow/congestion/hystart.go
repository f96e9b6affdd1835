package congestion

import "time"

// The constants of RFC 9406 section 4.3.
const (
	hystartMinThresh  = 4 * time.Millisecond
	hystartMaxThresh  = 16 * time.Millisecond
	hystartDivisor    = 8
	hystartSamples    = 8
	cssGrowthDivisor  = 4
	cssRounds         = 5
	hystartUnmeasured = time.Duration(1<<63 - 1)
)

// hystart ends slow start when the round-trip time rises, before the queue overflows
// (HyStart++, RFC 9406). On a rise it grows more slowly for some rounds (conservative slow
// start) and goes back when the rise was a passing one.
type hystart struct {
	state hystartState
	// roundEnd is the count of delivered bytes at which the round ends.
	roundEnd uint64
	samples  int
	lastMin  time.Duration // smallest round-trip time of the round before
	curMin   time.Duration // and of this one
	baseMin  time.Duration // what curMin was when conservative slow start began
	css      int           // rounds of conservative slow start
}

type hystartState uint8

const (
	hystartNew hystartState = iota
	hystartSlow
	hystartConservative
	hystartDone
)

func (h *hystart) reset() { *h = hystart{} }

// done reports that slow start should end now.
func (h *hystart) done() bool { return h.state == hystartDone }

// divisor takes in an ACK of slow start and returns by how much the growth is to be divided.
// After a timeout ssthresh is known and slow start is not shortened.
func (h *hystart) divisor(s *Sample, p phase) float64 {
	if p != open {
		return 1
	}
	if h.state == hystartNew || h.state == hystartDone {
		*h = hystart{state: hystartSlow, roundEnd: s.Delivered, lastMin: hystartUnmeasured, curMin: hystartUnmeasured}
	} else if s.PriorDelivered >= h.roundEnd {
		h.endRound(s.Delivered)
	}
	if s.RTT > 0 {
		h.samples++
		h.curMin = min(h.curMin, s.RTT)
		h.judge()
	}
	if h.state == hystartConservative {
		return cssGrowthDivisor
	}
	return 1
}

func (h *hystart) endRound(delivered uint64) {
	h.roundEnd = delivered
	h.lastMin, h.curMin = h.curMin, hystartUnmeasured
	h.samples = 0
	if h.state == hystartConservative {
		h.css++
		if h.css >= cssRounds {
			h.state = hystartDone
		}
	}
}

// judge compares this round with the one before, once it has enough samples.
func (h *hystart) judge() {
	if h.samples < hystartSamples {
		return
	}
	switch {
	case h.state == hystartConservative && h.curMin < h.baseMin:
		h.state = hystartSlow
		h.css = 0
	case h.state == hystartSlow && h.lastMin != hystartUnmeasured:
		thresh := min(max(h.lastMin/hystartDivisor, hystartMinThresh), hystartMaxThresh)
		if h.curMin >= h.lastMin+thresh {
			h.state = hystartConservative
			h.baseMin = h.curMin
			h.css = 0
		}
	}
}
