package congestion

import "math"

// prr is proportional rate reduction with the slow-start reduction bound (RFC 6937): during
// fast recovery what is sent stays in proportion to what is delivered, so that neither a
// burst nor a pause of half a round trip arises.
type prr struct {
	flight    int // RecoverFS: in flight when the recovery began, the lost bytes included
	delivered int // prr_delivered
	sent      int // prr_out
}

// start returns the window at the begin of a recovery: one segment may go at once, the fast
// retransmission.
func (p *prr) start(inFlight, mss int) float64 { return float64(inFlight + mss) }

// window returns the window after an ACK in recovery, for the target ssthresh.
func (p *prr) window(s *Sample, ssthresh float64, mss int) float64 {
	p.delivered += s.Acked
	target := int(ssthresh)
	var quota int
	if s.InFlight > target {
		// Reduce in proportion: ceil(delivered * ssthresh / RecoverFS) - sent.
		part := min(ssthresh/float64(max(p.flight, 1)), 1)
		quota = int(math.Ceil(float64(p.delivered)*part)) - p.sent
	} else {
		// Loss has taken more than the reduction asked for: come back as slow start does.
		quota = min(target-s.InFlight, max(p.delivered-p.sent, s.Acked)+mss)
	}
	if p.sent == 0 {
		quota = max(quota, mss) // the fast retransmission is always allowed
	}
	return float64(s.InFlight + max(quota, 0))
}
