//go:build linux

package interop

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
)

// These tests have the kernel at both ends, so that what fails in the others is the
// library's fault and not that of namespaces, gates, exchanges or counters.

// kernelLab is a Lab with the kernel in the library's place.
type kernelLab struct {
	server, client *Namespace
	family         Family
	gates          [2]*Gate
}

func newKernelLab(t testing.TB, f Family) *kernelLab {
	l := &kernelLab{server: NewNamespace(t), client: NewNamespace(t), family: f}
	l.server.IP(t, "mptcp limits set subflow 4")
	l.client.IP(t, "mptcp limits set subflow 4")
	for i := range l.gates {
		name, table := fmt.Sprintf("path%d", i+1), 101+i
		here, there := l.client.OpenTUN(t, name), l.server.OpenTUN(t, name)
		l.client.SetAddresses(t, name, prefix(f, f.Library[i]))
		l.server.SetAddresses(t, name, prefix(f, f.Kernel[i]))
		l.gates[i] = NewGate(there)
		connect(l.gates[i], here)
		version := "-4"
		if f.bits == 64 {
			version = "-6"
		}
		require.NoError(t, ip("-n", l.client.name, version, "rule", "add", "from", f.Library[i].String(), "lookup", fmt.Sprint(table)))
		require.NoError(t, ip("-n", l.client.name, version, "route", "add", "default", "dev", name, "table", fmt.Sprint(table)))
		require.NoError(t, ip("-n", l.client.name, version, "route", "add", "default", "dev", name, "metric", fmt.Sprint(table)))
	}
	l.client.IP(t, fmt.Sprintf("mptcp endpoint add %v dev path2 subflow", f.Library[1]))
	return l
}

// connect carries packets between two devices until they are closed.
func connect(a, b tun.Device) {
	carry := func(from, to tun.Device) {
		pkts := make([]tun.Packet, 16)
		bufs := make([][]byte, len(pkts))
		for i := range bufs {
			bufs[i] = make([]byte, tun.MaxPacketSize)
		}
		for {
			for i := range pkts {
				pkts[i] = tun.Packet{Head: bufs[i]}
			}
			n, err := from.Read(pkts)
			if err != nil || to.Write(pkts[:n]) != nil {
				return
			}
		}
	}
	go carry(a, b)
	go carry(b, a)
}

func (l *kernelLab) connect(t testing.TB, serverMPTCP bool) (client, server *net.TCPConn) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	address := netip.AddrPortFrom(l.family.Kernel[0], port).String()
	accepted := acceptOne(l.server.Listen(t, address, serverMPTCP))
	client, err := l.client.Dial(ctx, net.IP(l.family.Library[0].AsSlice()), address, true)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client, wait(t, ctx, accepted).(*net.TCPConn)
}

func TestHarnessTwoSubflows(t *testing.T) {
	families(t, func(t testing.TB, f Family) {
		l := newKernelLab(t, f)
		client, server := l.connect(t, true)
		up, down := &Flow{Bytes: Bytes(t)}, &Flow{Bytes: Bytes(t)}
		require.NoError(t, Exchange(client, server, up, down, patience))
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())

		counters := l.server.Counters(t)
		counters.RequireAll(t, map[string]int64{"MPCapableSYNRX": 1, "MPCapableACKRX": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1})
		counters.RequireClean(t)
		counters.RequireNoReset(t)
		l.client.Counters(t).RequireAll(t, map[string]int64{"MPCapableSYNTX": 1, "MPJoinSynAckRx": 1})
		require.Eventually(t, func() bool { return l.server.Counters(t)["MPCurrEstab"] == 0 }, patience, 20*time.Millisecond)
	})
}

func TestHarnessBlackHole(t *testing.T) {
	for i, name := range []string{"initial subflow", "joined subflow"} {
		t.Run(name, func(t *testing.T) {
			families(t, func(t testing.TB, f Family) {
				l := newKernelLab(t, f)
				client, server := l.connect(t, true)
				up, down := &Flow{Bytes: Bytes(t)}, &Flow{Bytes: Bytes(t)}
				for _, flow := range []*Flow{up, down} {
					flow.HoldAt = flow.Bytes / 10
					flow.Hold = func() { // a small transfer might be over before
						assertEventually(func() bool { return l.server.Counters(t)["MPJoinAckRx"] == 1 }, moment)
					}
				}
				down.PauseAt = down.Bytes / 3
				down.Pause = func() { l.gates[i].Cut(f.Library[i]) }
				start := time.Now()
				require.NoError(t, Exchange(client, server, up, down, 3*patience)) // the kernel sometimes takes long
				t.Logf("%v", time.Since(start))
				l.server.Counters(t).RequireClean(t)
			})
		})
	}
}

// A gate that is never opened again stalls a connection with one path, and Exchange says so.
func TestHarnessNoticesStall(t *testing.T) {
	families(t, func(t testing.TB, f Family) {
		l := newKernelLab(t, f)
		l.client.IP(t, "mptcp endpoint flush")
		client, server := l.connect(t, true)
		up, down := &Flow{Bytes: Bytes(t)}, &Flow{Bytes: Bytes(t)}
		down.PauseAt = down.Bytes / 3
		down.Pause = func() { l.gates[0].Cut(f.Library[0]) }
		require.ErrorContains(t, Exchange(client, server, up, down, time.Second), "nothing received for 1s")
		require.Zero(t, l.server.Counters(t).Get(t, "MPJoinSynRx"))
	})
}

func TestHarnessPlainTCP(t *testing.T) {
	families(t, func(t testing.TB, f Family) {
		l := newKernelLab(t, f)
		client, server := l.connect(t, false)
		up, down := &Flow{Bytes: Bytes(t)}, &Flow{Bytes: Bytes(t)}
		require.NoError(t, Exchange(client, server, up, down, patience))
		l.client.Counters(t).RequireAll(t, map[string]int64{"MPCapableSYNTX": 1, "MPCapableFallbackSYNACK": 1})
		l.server.Counters(t).RequireAll(t, map[string]int64{"MPCapableSYNRX": 0, "MPJoinSynRx": 0})
	})
}
