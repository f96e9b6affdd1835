package simnet_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// A pipe between two hosts carries a connection as a link does; nobody waits for a timer.
func TestAttachedDevices(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		var hosts [2]*mptcp.Host
		a, b := tun.Pipe(tun.PipeConfig{})
		for i, dev := range []tun.Device{a, b} {
			node := w.Host([]string{"client", "server"}[i])
			h, err := mptcp.NewHost(&mptcp.Config{Environment: node})
			require.NoError(t, err)
			require.NoError(t, h.AddDevice(node.Attach(dev), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)))
			hosts[i] = h
		}
		l, err := hosts[1].Listen("tcp", ":443")
		require.NoError(t, err)
		c, err := hosts[0].Dial(context.Background(), "tcp", "10.0.0.2:443")
		require.NoError(t, err)
		s, err := l.AcceptMPTCP()
		require.NoError(t, err)
		stream(t, c, s, 3<<20)
		require.Less(t, w.Elapsed(), 100*time.Millisecond)
	})
}
