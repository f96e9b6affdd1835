package congestion

import (
	"math"
	"time"
)

// curve is the window growth of CUBIC in congestion avoidance (RFC 9438 section 4). Windows
// are in bytes; the RFC's formulas are in segments.
type curve struct {
	ssthresh float64
	kind     epochKind
	// wMax is W_max: the window at which the plateau lies, prior is cwnd_prior.
	wMax, prior float64
	// began is t_epoch: when the present congestion avoidance began, zero before it.
	began time.Time
	// k is K in seconds, wEst the Reno-friendly W_est.
	k, wEst float64
}

// epochKind says what came before the congestion avoidance that is to begin.
type epochKind uint8

const (
	afterSlowStart epochKind = iota
	afterLoss
	afterTimeout
)

// reduce notes a congestion event at the given window, of which beta is left (RFC 9438
// sections 4.6 and 4.7).
func (c *curve) reduce(window, beta float64, mss int) {
	c.prior = window
	if window < c.wMax {
		c.wMax = window * (1 + cubicBeta) / 2 // fast convergence: leave room for others
	} else {
		c.wMax = window
	}
	c.ssthresh = max(window*beta, float64(2*mss))
	c.began = time.Time{}
}

// pause takes d out of the time that the curve sees.
func (c *curve) pause(d time.Duration) {
	if !c.began.IsZero() && d > 0 {
		c.began = c.began.Add(d)
	}
}

// begin starts an epoch of congestion avoidance (RFC 9438 sections 4.2, 4.8 and 4.10).
func (c *curve) begin(now time.Time, window float64, mss int) {
	c.began = now
	c.wEst = window
	if c.kind != afterLoss || c.wMax < window {
		c.k = 0
		c.wMax = window
		return
	}
	c.k = math.Cbrt((c.wMax - window) / float64(mss) / cubicC)
}

// at returns W_cubic for a time since the epoch began.
func (c *curve) at(t time.Duration, mss int) float64 {
	x := t.Seconds() - c.k
	return cubicC*x*x*x*float64(mss) + c.wMax
}

// next returns the window after acked bytes were acknowledged at now.
func (c *curve) next(now time.Time, srtt time.Duration, window, acked float64, mss int) float64 {
	if c.began.IsZero() {
		c.begin(now, window, mss)
	}
	t := now.Sub(c.began)

	alpha := cubicAlpha
	if c.wEst >= c.prior {
		alpha = 1
	}
	c.wEst += alpha * float64(mss) * acked / window
	if c.at(t, mss) < c.wEst {
		return max(window, c.wEst)
	}
	target := min(max(c.at(t+srtt, mss), window), 1.5*window)
	return window + (target-window)*min(acked/window, 1)
}
