package clock

import "io"

// Environment is what a host lives in when it is not the machine: a world with time and
// chance of its own. Implementations are safe for concurrent use.
type Environment interface {
	// Clock tells the environment's time and runs the host's timers.
	Clock
	// Rand returns a new source of random bytes at each call, safe for concurrent use.
	Rand() io.Reader
	// Register makes a member known, paused, before anything is asked of it; leave ends
	// that, once the member is closed.
	Register(m Member) (leave func())
}

// Member is what an Environment has to know of a host: time may move only when the host is
// quiet. Its methods may be called concurrently with whatever the host does.
type Member interface {
	// Pause waits until the host's background workers have done what there is to do and
	// holds them; Resume lets them go on. Neither does anything when it is so already, or
	// when the member is closed.
	Pause()
	Resume()
	// Activity counts what the workers were given to do.
	Activity() uint64
	// Close ends the member and waits for its goroutines. It may be called again.
	Close() error
	// Leftovers tells what the host holds: connections and their buffers. It is empty when
	// there is nothing, some time after the last connection's end, and once the host is
	// closed.
	Leftovers() string
	// Dump writes the state of the host for a person who wonders why nothing moves.
	Dump(w io.Writer)
}
