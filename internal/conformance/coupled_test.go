package conformance

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// 6356-1-01, 6356-3-02, 8684-3.3.7-01: at a bottleneck that they share, two subflows of a
// connection take about what one TCP takes; without coupling they take two shares.
func TestSharedBottleneck(t *testing.T) {
	if raceEnabled {
		t.Skip("a minute long, and nothing in it that other transfers do not have")
	}
	for seed := uint64(1); seed <= 3; seed++ {
		lia, cubic := sharedBottleneck(t, seed, congestion.NewLIA), sharedBottleneck(t, seed, congestion.NewCubic)
		t.Logf("LIA takes %.2f of what a TCP takes, CUBIC %.2f", lia, cubic)
		require.InDelta(t, 1, lia, 0.25)
		require.Greater(t, cubic, lia+0.3)
	}
}

// sharedBottleneck returns how much more a connection with two subflows gets than a plain TCP
// beside it.
func sharedBottleneck(t *testing.T, seed uint64, factory congestion.Factory) (ratio float64) {
	simnet.Test(t, simnet.Config{Seed: seed, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
		hub, sn := w.Router("hub"), w.Host("server")
		bottleneck := simnet.Shape{Rate: 8 * simnet.Mbps, Delay: 20 * time.Millisecond, Queue: simnet.Queue{Time: 60 * time.Millisecond}}
		last := w.Connect(hub, sn, bottleneck, bottleneck)
		hub.Route(netip.MustParsePrefix("0.0.0.0/0"), last)
		server, err := mptcp.NewHost(&mptcp.Config{Environment: sn})
		require.NoError(t, err)
		require.NoError(t, server.AddDevice(last.B, netip.MustParsePrefix("192.0.2.1/24")))
		listener, err := server.Listen("tcp", ":443")
		require.NoError(t, err)

		var got [2]*mptcp.Conn
		for i, paths := range []int{2, 1} {
			n := w.Host([]string{"two", "one"}[i])
			host, err := mptcp.NewHost(&mptcp.Config{Environment: n, Congestion: factory, DisableMPTCP: paths == 1})
			require.NoError(t, err)
			for j := range paths {
				// Without jitter it is the order of packets at a full queue that decides who gets what.
				l := w.Connect(n, hub, simnet.Shape{Jitter: 4 * time.Millisecond}, simnet.Shape{})
				local := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j), 1}), 24)
				require.NoError(t, host.AddDevice(l.A, local))
				hub.Route(local, l)
			}
			c, err := host.Dial(context.Background(), "tcp", "192.0.2.1:443")
			require.NoError(t, err)
			got[i], err = listener.AcceptMPTCP()
			require.NoError(t, err)
			go func() {
				for b := make([]byte, 64<<10); ; {
					if _, err := c.Write(b); err != nil {
						return
					}
				}
			}()
			go func() { _, _ = io.Copy(io.Discard, got[i]) }()
		}
		time.Sleep(10 * time.Second)
		before := [2]uint64{got[0].Info().BytesReceived, got[1].Info().BytesReceived}
		time.Sleep(time.Minute)
		ratio = float64(got[0].Info().BytesReceived-before[0]) / float64(got[1].Info().BytesReceived-before[1])
		require.Len(t, got[0].Info().Subflows, 2)
	})
	return ratio
}
