package subflow

import "time"

// pacerCredit is how much unused sending time a pacer saves up: timers are good to about
// a millisecond, and what a late one missed has to be made good.
const pacerCredit = 2 * time.Millisecond

// pacer spreads data over time at a given rate. It allows sending while its balance is
// not negative; what is sent is taken from the balance, which grows with time. The Sender
// owns it. A rate of 0 means not paced.
type pacer struct {
	balance float64 // bytes
	at      time.Time
}

// ready brings the balance up to now and reports whether data may leave.
func (p *pacer) ready(now time.Time, rate float64) bool {
	if rate <= 0 {
		return true
	}
	if p.at.IsZero() {
		p.at = now
	}
	if d := now.Sub(p.at); d > 0 {
		p.balance = min(p.balance+rate*d.Seconds(), rate*pacerCredit.Seconds())
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
