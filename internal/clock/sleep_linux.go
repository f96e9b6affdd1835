package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Asleep implements Sleeper: Linux has a clock that goes on while the machine is suspended,
// and one that does not.
func (Real) Asleep() time.Duration {
	var boot, monotonic unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - monotonic.Nano())
}
