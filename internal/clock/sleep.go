package clock

import "time"

// Sleeper is a Clock of a machine that can be suspended: its timers stand still meanwhile.
type Sleeper interface {
	Clock
	// Asleep is for how long the machine has been suspended, all times together, since some
	// moment before the first call. It never becomes less, but for what clocks are wrong by.
	Asleep() time.Duration
}
