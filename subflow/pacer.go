package subflow

import "time"

const (
	// pacerCredit is how much unused sending time a pacer saves up: timers are good to about
	// a millisecond.
	pacerCredit = 2 * time.Millisecond
	// maxLateness is how much of the time by which a timer of the pacer's own was late is made good beside that. On a
	// busy machine each may be late by some milliseconds, and a controller that takes what is lost for the
	// path's rate would slow down further and further.
	maxLateness = 20 * time.Millisecond
)

// pacer spreads data over time at a given rate. It allows sending while its balance is
// not negative; what is sent is taken from the balance, which grows with time. The Sender
// owns it. A rate of 0 means not paced.
type pacer struct {
	balance float64 // bytes
	at      time.Time
}

// ready brings the balance up to now and reports whether data may leave. due is since when it would have if it
// was waited for that, else zero.
func (p *pacer) ready(now, due time.Time, rate float64) bool {
	if rate <= 0 {
		return true
	}
	if p.at.IsZero() {
		p.at = now
	}
	if d := now.Sub(p.at); d > 0 {
		credit := pacerCredit
		if late := now.Sub(due); !due.IsZero() && late > 0 {
			credit += min(late, maxLateness)
		}
		p.balance = min(p.balance+rate*d.Seconds(), rate*credit.Seconds())
		p.at = now
	}
	return p.balance >= 0
}

// spend takes n bytes that left from the balance.
func (p *pacer) spend(n int, rate float64) {
	if rate > 0 {
		p.balance -= float64(n)
	}
}

// next is when ready will be true, provided that it is not now.
func (p *pacer) next(rate float64) time.Time {
	// One nanosecond more than exact, so that rounding never makes it wake too early; a
	// rate near zero may rise long before its debt is paid.
	seconds := min(-p.balance/rate, 1)
	return p.at.Add(time.Duration(seconds*1e9) + 1)
}
