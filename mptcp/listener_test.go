package mptcp

import (
	"context"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// As many connections wait for Accept as may: SYNs stay unanswered, and the next one gets in as
// soon as there is room. Closing the listener ends those that nobody took.
func TestAcceptQueueIsFull(t *testing.T) {
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
		nodes := [2]*simnet.Host{w.Host("client"), w.Host("server")}
		link := w.Connect(nodes[0], nodes[1], simnet.Shape{Delay: time.Millisecond}, simnet.Shape{Delay: time.Millisecond})
		ends := [2]*simnet.End{link.A, link.B}
		var hosts [2]*Host
		for i, n := range nodes {
			h, err := NewHost(&Config{Environment: n})
			require.NoError(t, err)
			require.NoError(t, h.AddDevice(ends[i], netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)))
			hosts[i] = h
		}
		l, err := hosts[1].Listen("tcp", ":443")
		require.NoError(t, err)
		dial := func(patience time.Duration) (*Conn, error) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return hosts[0].Dial(ctx, "tcp", "10.0.0.2:443")
		}
		var last *Conn
		for range acceptBacklog {
			last, err = dial(time.Second)
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		_, err = dial(20 * time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualValues(t, 5, hosts[1].Counters()["ListenOverflow"], "SYNs after 0, 1, 3, 7 and 15 s")
		require.Zero(t, hosts[1].halfOpen.list.Len(), "they leave nothing behind")

		time.AfterFunc(5*time.Second, func() { _, _ = l.Accept() })
		c, err := dial(20 * time.Second)
		require.NoError(t, err, "room was made while it tried")
		require.False(t, c.Info().MPTCP, "with its fourth SYN") // 8684-3.1-33

		require.NoError(t, l.Close())
		require.NoError(t, last.SetReadDeadline(time.Now().Add(time.Second)))
		_, err = last.Read(make([]byte, 1))
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = dial(time.Second)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}
