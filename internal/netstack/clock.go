package netstack

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/gomptcp/gomptcp/internal/clock"
)

// stackClock makes a clock.Clock into gVisor's.
type stackClock struct {
	clock.Clock
	start time.Time
}

func newClock(c clock.Clock) tcpip.Clock {
	// A second before now, so that no reading is gVisor's zero, "never".
	return &stackClock{Clock: c, start: c.Now().Add(-time.Second)}
}

// NowMonotonic implements tcpip.Clock.
func (c *stackClock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(c.Now().Sub(c.start))
}

// AfterFunc implements tcpip.Clock.
func (c *stackClock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	return stackTimer{c.Clock.AfterFunc(d, f)}
}

// stackTimer makes a clock.Timer into gVisor's.
type stackTimer struct{ timer clock.Timer }

// Stop implements tcpip.Timer.
func (t stackTimer) Stop() bool { return t.timer.Stop() }

// Reset implements tcpip.Timer.
func (t stackTimer) Reset(d time.Duration) { t.timer.Reset(d) }
