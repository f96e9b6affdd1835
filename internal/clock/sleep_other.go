//go:build !linux

package clock

import "time"

var began = time.Now()

// Asleep implements Sleeper by what the wall clock is ahead of the monotonic one, which stands still
// while the machine is suspended. Setting the wall clock forward looks the same.
func (Real) Asleep() time.Duration {
	now := time.Now()
	return now.Round(0).Sub(began.Round(0)) - now.Sub(began)
}
