package subflow

import (
	"math"
	"time"
)

const (
	// lossHalfLife is after how long a loss counts half.
	lossHalfLife = 10 * time.Second
	// lossBase is how many segments losses are shared among at least: that one of the first few was lost
	// says little.
	lossBase = 16
	// lossForgotten is the number of segments, the older ones counted less, below which losses are forgotten.
	lossForgotten = 1.0 / 8
)

// lossMeter estimates the share of the segments sent that gets lost. Its memory is some ten seconds long, and
// after half a minute a single loss is forgotten: a path that was bad is tried again some time. The Sender
// owns it.
type lossMeter struct {
	sent, lost float64 // segments, the older the less
	at         time.Time
}

// count adds segments sent and lost; lost is negative for what turned out to have arrived.
func (m *lossMeter) count(now time.Time, sent, lost int) {
	if d := now.Sub(m.at); d > lossHalfLife/100 { // else it hardly matters
		f := fading(d)
		m.sent, m.lost, m.at = m.sent*f, m.lost*f, now
	}
	m.sent += float64(sent)
	m.lost = max(m.lost+float64(lost), 0)
}

func fading(d time.Duration) float64 { return math.Exp2(-d.Seconds() / lossHalfLife.Seconds()) }

// ratio is the share, from 0 to 1.
func (m *lossMeter) ratio(now time.Time) float64 {
	f := fading(now.Sub(m.at))
	if m.lost*f < lossForgotten {
		return 0
	}
	return min(m.lost*f/max(m.sent*f, lossBase), 1)
}

// LossRatio is the share of the segments sent in the last ten seconds or so that was lost, from 0 to 1.
func (s *Sender) LossRatio(now time.Time) float64 { return s.losses.ratio(now) }

// segments is how many segments n bytes make.
func (s *Sender) segments(n int) int { return (n + s.mss - 1) / s.mss }
