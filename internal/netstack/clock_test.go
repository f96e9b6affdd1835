package netstack

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// manualClock moves when it is told to.
type manualClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*manualTimer]struct{}
}

type manualTimer struct {
	c  *manualClock
	at time.Time
	f  func()
}

func newManualClock() *manualClock {
	return &manualClock{now: time.Unix(1e9, 0), timers: make(map[*manualTimer]struct{})}
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &manualTimer{c: c, f: f}
	t.Reset(d)
	return t
}

func (t *manualTimer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	_, pending := t.c.timers[t]
	delete(t.c.timers, t)
	return pending
}

func (t *manualTimer) Reset(d time.Duration) bool {
	pending := t.Stop()
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.at = t.c.now.Add(d)
	t.c.timers[t] = struct{}{}
	return pending
}

// step moves to the next timer, runs it, and returns how far that was.
func (c *manualClock) step() time.Duration {
	c.mu.Lock()
	var next *manualTimer
	for t := range c.timers {
		if next == nil || t.at.Before(next.at) {
			next = t
		}
	}
	if next == nil {
		c.mu.Unlock()
		return 0
	}
	delete(c.timers, next)
	d := next.at.Sub(c.now)
	c.now = next.at
	c.mu.Unlock()
	next.f()
	return d
}

func TestTimersFollowTheClock(t *testing.T) {
	fam := families[0]
	near, far := namedPipe("a")
	c := newManualClock()
	s := newStack(t, Config{Clock: c})
	addLink(t, s, near, fam.prefixes[0])
	p := newPeer(t, far)
	e, err := s.NewEndpoint(fam.port(0, 0), fam.port(1, 80))
	require.NoError(t, err)
	w := watch(t, e)
	began := c.Now()
	require.NoError(t, e.Connect(fam.port(1, 80)))
	require.Equal(t, packet.FlagSYN, p.next("SYN").Flags())
	var at []int
	for !w.has(Failed) {
		require.NotZero(t, c.step(), "no timer is left")
		select {
		case <-p.arrived:
			at = append(at, int(c.Now().Sub(began)/time.Second))
		case <-w.wake:
		}
	}
	require.Equal(t, []int{1, 3, 7, 15, 31, 63}, at, "when SYNs were repeated, in seconds")
	require.ErrorIs(t, e.Err(), syscall.ETIMEDOUT)
}

// With the same seed and clock, the stack chooses the same port and sequence number.
func TestRandomnessFollowsTheSeed(t *testing.T) {
	fam := families[0]
	syn := func(seed byte) []byte {
		near, far := tun.Pipe(tun.PipeConfig{})
		s := newStack(t, Config{Clock: newManualClock(), Rand: rand.NewChaCha8([32]byte{seed})})
		addLink(t, s, near, fam.prefixes[0])
		p := newPeer(t, far)
		e, err := s.NewEndpoint(fam.port(0, 0), fam.port(1, 80))
		require.NoError(t, err)
		require.NoError(t, e.Connect(fam.port(1, 80)))
		return p.next("SYN").bytes[packet.IPv4MinLen:]
	}
	require.Equal(t, syn(1), syn(1))
	require.NotEqual(t, syn(1), syn(2))
}

func TestPauseWaitsForWhatWasDelivered(t *testing.T) {
	fam := families[0]
	near, far := namedPipe("a")
	hook := newHook()
	s := newStack(t, Config{Hook: hook})
	addLink(t, s, near, fam.prefixes[0])
	p := newPeer(t, far)
	e := p.connected(s, fam)
	before, received := hook.batches.Load(), s.SegmentsReceived()
	p.send(packet.FlagACK, []byte("hello"))
	for hook.batches.Load() == before {
		// The reader runs.
	}
	s.Pause()
	require.Equal(t, received+1, s.SegmentsReceived())
	n, err := e.Read(make([]byte, 10))
	require.NoError(t, err, "processed")
	require.Equal(t, 5, n)
	s.Resume()
	s.Resume()
}

func TestTimeWait(t *testing.T) {
	fam := families[0]
	near, far := namedPipe("a")
	c := newManualClock()
	s := newStack(t, Config{Clock: c, TimeWait: 3 * time.Second})
	addLink(t, s, near, fam.prefixes[0])
	p := newPeer(t, far)
	e := p.connected(s, fam)
	local := e.LocalAddr()
	require.NoError(t, e.CloseWrite())
	require.Equal(t, packet.FlagFIN|packet.FlagACK, p.next("FIN").Flags())
	p.ack++
	p.send(packet.FlagFIN|packet.FlagACK, nil)
	e.want(PeerClosed | Closed)
	e.Close()
	_, err := s.NewEndpoint(local, fam.port(1, 80))
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	began := c.Now()
	for err != nil && c.step() > 0 {
		_, err = s.NewEndpoint(local, fam.port(1, 80))
	}
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, c.Now().Sub(began))
}
