package mptcp

import (
	"context"
	"crypto/rand"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// simPair is a connection between two hosts of a simulated network.
func simPair(t *testing.T, w *simnet.World, cfg Config) (hosts [2]*Host, c, s *Conn) {
	nodes := [2]*simnet.Host{w.Host("client"), w.Host("server")}
	link := w.Connect(nodes[0], nodes[1], simnet.Shape{Delay: time.Millisecond}, simnet.Shape{Delay: time.Millisecond})
	for i, end := range []*simnet.End{link.A, link.B} {
		cfg := cfg
		cfg.Environment = nodes[i]
		h, err := NewHost(&cfg)
		require.NoError(t, err)
		require.NoError(t, h.AddDevice(end, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)))
		hosts[i] = h
	}
	l, err := hosts[1].Listen("tcp", ":443")
	require.NoError(t, err)
	c, err = hosts[0].Dial(context.Background(), "tcp", "10.0.0.2:443")
	require.NoError(t, err)
	s, err = l.AcceptMPTCP()
	require.NoError(t, err)
	return hosts, c, s
}

// A world that is stuck closes its hosts, and then ends while that is going on: what the
// connections still have to do never happens there as an event.
func TestHostCloseInAStuckWorld(t *testing.T) {
	err := simnet.Run(simnet.Config{Deadline: time.Minute}, func(w *simnet.World) {
		_, c, _ := simPair(t, w, Config{})
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
	})
	var stuck *simnet.StuckError
	require.ErrorAs(t, err, &stuck)
	require.Equal(t, time.Minute, stuck.At)
}

// Close settles connections that have ended but still have something to do.
func TestHostCloseSettlesEndedConnections(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		h, err := NewHost(&Config{Environment: w.Host("host")})
		require.NoError(t, err)
		c, err := h.register(pathmgr.Client)
		require.NoError(t, err)
		blocked, done := make(chan struct{}), make(chan struct{})
		c.mu.Lock()
		c.act(func() { <-blocked; close(done) })
		c.fail(errClosed)
		c.mu.Unlock()
		closed := make(chan error)
		for range 2 {
			go func() { closed <- h.Close() }()
		}
		select {
		case <-closed:
			t.Fatal("Close does not wait")
		case <-time.After(20 * time.Millisecond):
		}
		close(blocked)
		errs := []error{<-closed, <-closed}
		<-done
		require.Contains(t, errs, error(nil))
		require.Contains(t, errs, ErrHostClosed)
	})
}

// A deadline far away does not hold a connection that has ended.
func TestDeadlineDoesNotHoldTheConnection(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		_, c, s := simPair(t, w, Config{})
		require.NoError(t, c.SetDeadline(w.Now().Add(100*time.Hour)))
		require.NoError(t, s.Abort())
		time.Sleep(time.Minute)
		require.NoError(t, c.SetDeadline(w.Now().Add(100*time.Hour)), "after the end, too")
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrFastClosed)
		require.NoError(t, c.SetReadDeadline(w.Now().Add(-time.Second)))
		require.ErrorIs(t, c.readWaitErr(), os.ErrDeadlineExceeded)
		require.Nil(t, c.rx.deadline.timer)
		require.Nil(t, c.tx.deadline.timer)
	})
}

// frozen is an environment in which nothing is ever run.
type frozen struct{ clock.Real }

func (frozen) AfterFunc(time.Duration, func()) clock.Timer { return idleTimer{} }
func (frozen) Rand() io.Reader                             { return rand.Reader }
func (frozen) Register(clock.Member) func()                { return func() {} }

type idleTimer struct{}

func (idleTimer) Stop() bool               { return true }
func (idleTimer) Reset(time.Duration) bool { return true }

// Close does itself what the environment does not run any more.
func TestHostCloseWithoutEvents(t *testing.T) {
	h, err := NewHost(&Config{Environment: frozen{}})
	require.NoError(t, err)
	c, err := h.register(pathmgr.Client)
	require.NoError(t, err)
	ran := false
	c.mu.Lock()
	c.act(func() { ran = true })
	c.mu.Unlock()
	require.NoError(t, h.Close())
	require.True(t, ran)
}
