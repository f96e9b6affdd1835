// Package clock is the one place through which protocol code reads time and
// sets timers, so that a simulator can own both.
package clock

import "time"

// Clock tells the time and runs functions later. Implementations are safe for
// concurrent use.
type Clock interface {
	// Now returns the present time; differences of two results are monotonic.
	Now() time.Time
	// AfterFunc runs f once, in a goroutine of the clock's choosing, when d has
	// passed.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending call of AfterFunc.
type Timer interface {
	// Stop prevents the call; it reports false when the call has begun already.
	Stop() bool
	// Reset makes the timer fire after d, whether it has fired before or not.
	Reset(d time.Duration) bool
}

// Real is the machine's clock (package time).
type Real struct{}

// Now implements Clock.
func (Real) Now() time.Time { return time.Now() }

// AfterFunc implements Clock.
func (Real) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
