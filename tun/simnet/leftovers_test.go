package simnet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// hoarder is a stack that never lets go of something.
type hoarder struct {
	clock.Member
	leave func()
}

func (*hoarder) Pause()            {}
func (*hoarder) Resume()           {}
func (*hoarder) Activity() uint64  { return 0 }
func (*hoarder) Leftovers() string { return "an old newspaper" }
func (h *hoarder) Close() error    { h.leave(); return nil }

func TestAHostThatKeepsSomethingFailsTheRun(t *testing.T) {
	err := simnet.Run(simnet.Config{}, func(w *simnet.World) {
		h := new(hoarder)
		h.leave = w.Host("attic").Register(h)
		require.Equal(t, "attic: an old newspaper", w.Leftovers())
	})
	require.ErrorContains(t, err, "attic: an old newspaper")
}

// What a connection holds while it is in use, and what when it is over.
func TestLeftovers(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		p := newPair(t, w, nil, simnet.Shape{Delay: ms(5)})
		require.Empty(t, w.Leftovers())
		c, s := p.connect(t)
		stream(t, c, s, 100)
		require.Contains(t, w.Leftovers(), "client: 1 connections, 1 tokens, 1 TCP connections")
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
		time.Sleep(20 * time.Second)
		require.Empty(t, w.Leftovers())
	})
}
