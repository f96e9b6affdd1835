//go:build linux

package interop

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/linkem"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun"
)

func TestMain(m *testing.M) {
	if Asked() {
		RemoveStale()
	}
	code := m.Run()
	repeated.report()
	os.Exit(code)
}

// moment is how long something may take that happens in the middle of an exchange.
const moment = patience / 2

// each runs a test for both roles and IP versions.
func each(t *testing.T, test func(t testing.TB, cfg LabConfig)) {
	for _, role := range []Role{Client, Server} {
		for _, family := range []Family{IPv4, IPv6} {
			run(t, string(role)+"/"+family.Name, func(t testing.TB) {
				cfg := LabConfig{Role: role, Family: family}
				if role == Server {
					cfg.Host.PathManager = pathmgr.None // the kernel's client opens the second subflow
				}
				test(t, cfg)
			})
		}
	}
}

// Two subflows, both directions at once: the bytes are whole and the kernel saw nothing
// but good MPTCP.
func TestTwoSubflows(t *testing.T) {
	each(t, func(t testing.TB, cfg LabConfig) {
		lab := NewLab(t, cfg)
		lab.transferOverMPTCP(t)
		counters := lab.Peer.Counters(t)
		counters.RequireNoReset(t)
	})
}

// DSS checksums on both ends, asked for by either alone (RFC 8684 section 3.1, flag A).
func TestChecksum(t *testing.T) {
	for _, asks := range []string{"library", "kernel"} {
		t.Run(asks+" asks", func(t *testing.T) {
			each(t, func(t testing.TB, cfg LabConfig) {
				cfg.Host.Checksum = asks == "library"
				lab := NewLab(t, cfg)
				if asks == "kernel" {
					lab.Peer.Sysctl(t, "net/mptcp/checksum_enabled", "1")
				}
				info := lab.transferOverMPTCP(t)
				require.True(t, info.Checksum, "the connection uses checksums")
				lab.Peer.Counters(t).RequireNoReset(t)
			})
		})
	}
}

// slowLink puts a link of 200 Mbit/s and 5 ms each way before a device, so that both
// paths are needed and a transfer takes long enough to be disturbed in the middle.
func slowLink(t testing.TB, dev tun.Device) tun.Device {
	line := linkem.Params{Rate: 200e6, Delay: 5 * time.Millisecond, Queue: 512 << 10}
	link, near := linkem.Bridge(linkem.Config{Names: [2]string{dev.Name()}, MTU: dev.MTU(), AtoB: line, BtoA: line}, dev)
	t.Cleanup(func() { link.Close() })
	return near
}

// One path becomes a black hole midway, the initial subflow's or the joined one's.
func TestBlackHole(t *testing.T) {
	for i, name := range []string{"initial subflow", "joined subflow"} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t testing.TB, cfg LabConfig) {
				cfg.Wrap = slowLink
				lab := NewLab(t, cfg)
				library, kernel := lab.Connect(t, true)
				up, down := lab.joinedFlows(t, library)
				down.PauseAt = down.Bytes * 3 / 10
				down.Pause = func() { lab.CutPath(i) }
				lab.exchange(t, library, kernel, up, down)
				require.Positive(t, lab.gateOf(i).Dropped(), "the path was in use when it died")
				lab.requireMPTCP(t, library.Info())
			})
		})
	}
}

// A path that was dead for three seconds works again, while the transfer goes on.
func TestPathReturns(t *testing.T) {
	each(t, func(t testing.TB, cfg LabConfig) {
		cfg.Wrap = slowLink
		lab := NewLab(t, cfg)
		library, kernel := lab.Connect(t, true)
		up, down := lab.joinedFlows(t, library)
		down.PauseAt = down.Bytes * 3 / 10
		down.Pause = func() {
			lab.CutPath(0)
			time.Sleep(3 * time.Second)
			lab.RestorePath(0)
		}
		lab.exchange(t, library, kernel, up, down)
		lab.requireMPTCP(t, library.Info())
	})
}

// A reader that pauses for three seconds closes its window: the sender stops, and goes on
// afterwards, with nothing lost.
func TestReaderPauses(t *testing.T) {
	// What the buffers of both ends hold together is less than maxAhead, which is less than
	// what remains to be sent.
	const buffer, maxAhead = 1 << 20, 10e6
	for _, reader := range []string{"library", "kernel"} {
		t.Run(reader+" reads", func(t *testing.T) {
			each(t, func(t testing.TB, cfg LabConfig) {
				cfg.Host.SendBuffer, cfg.Host.ReceiveBuffer = buffer, buffer
				lab := NewLab(t, cfg)
				lab.Peer.Sysctl(t, "net/ipv4/tcp_rmem", fmt.Sprint("4096 131072 ", buffer))
				lab.Peer.Sysctl(t, "net/ipv4/tcp_wmem", fmt.Sprint("4096 131072 ", buffer))
				library, kernel := lab.Connect(t, true)
				up, down := lab.joinedFlows(t, library)
				flow := up
				if reader == "library" {
					flow = down
				}
				flow.Bytes = max(flow.Bytes, 20e6)
				var ahead int64
				flow.PauseAt = flow.Bytes / 4
				flow.Pause = func() {
					time.Sleep(3 * time.Second)
					ahead = flow.Sent.Load() - flow.Received.Load()
				}
				lab.exchange(t, library, kernel, up, down)
				require.Less(t, ahead, int64(maxAhead), "the sender stands still at a closed window")
				require.Positive(t, ahead)
				lab.requireMPTCP(t, library.Info())
				lab.Peer.Counters(t).RequireNoReset(t)
			})
		})
	}
}

// A peer without MPTCP gets plain TCP (RFC 8684 section 3.7).
func TestPlainTCPPeer(t *testing.T) {
	each(t, func(t testing.TB, cfg LabConfig) {
		lab := NewLab(t, cfg)
		library, kernel := lab.Connect(t, false)
		up, down := lab.flows(t)
		lab.exchange(t, library, kernel, up, down)

		info := library.Info()
		require.False(t, info.MPTCP)
		require.NotEmpty(t, info.FallbackReason)
		require.Len(t, info.Subflows, 1)
		counters := lab.Peer.Counters(t)
		counters.RequireAll(t, map[string]int64{"MPCapableSYNRX": 0, "MPCapableSYNTX": 0, "MPJoinSynRx": 0, "MPJoinSynTx": 0})
		counters.RequireNoReset(t)
	})
}

// A host with MPTCP off is a plain TCP peer to the kernel, which falls back.
func TestPlainTCPLibrary(t *testing.T) {
	each(t, func(t testing.TB, cfg LabConfig) {
		cfg.Host.DisableMPTCP = true
		lab := NewLab(t, cfg)
		library, kernel := lab.Connect(t, true)
		up, down := lab.flows(t)
		lab.exchange(t, library, kernel, up, down)
		require.False(t, library.Info().MPTCP)
	})
}

// flows returns the flow from the library to the kernel and the one back.
func (l *Lab) flows(t testing.TB) (up, down *Flow) {
	n := Bytes(t)
	return &Flow{Bytes: n}, &Flow{Bytes: n}
}

// joinedFlows is like flows, but after a tenth of the bytes the senders wait until both
// paths have a subflow: a small transfer would often be over before that.
func (l *Lab) joinedFlows(t testing.TB, library *mptcp.Conn) (up, down *Flow) {
	up, down = l.flows(t)
	for _, f := range []*Flow{up, down} {
		f.HoldAt = f.Bytes / 10
		f.Hold = func() { l.awaitJoin(library) }
	}
	return up, down
}

// transferOverMPTCP connects, sends both ways, closes, and checks all that a transfer
// without incidents must show.
func (l *Lab) transferOverMPTCP(t testing.TB) mptcp.Info {
	t.Helper()
	library, kernel := l.Connect(t, true)
	up, down := l.joinedFlows(t, library)
	l.exchange(t, library, kernel, up, down)
	info := library.Info()
	l.requireMPTCP(t, info)
	return info
}

// exchange sends both ways and closes. It wants everything delivered and confirmed.
func (l *Lab) exchange(t testing.TB, library *mptcp.Conn, kernel Conn, up, down *Flow) {
	t.Helper()
	start := time.Now()
	err := Exchange(library, kernel, up, down, patience)
	took := time.Since(start)
	if err != nil {
		t.Logf("library: %+v", library.Info())
		t.Logf("kernel: %v", l.Peer.Counters(t))
	}
	require.NoError(t, err)
	t.Logf("%d MB each way in %v", up.Bytes/1e6, took.Round(time.Millisecond))

	require.NoError(t, library.Close())
	require.NoError(t, kernel.Close())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, library.Wait(ctx), "all was confirmed")
}

// awaitJoin waits until both paths have a subflow. It gives up after some seconds;
// requireMPTCP then tells.
func (l *Lab) awaitJoin(library *mptcp.Conn) {
	for deadline := time.Now().Add(moment); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		up := 0
		for _, s := range library.Info().Subflows {
			if s.State == "established" {
				up++
			}
		}
		if up == len(l.gates) {
			return
		}
	}
}

// requireMPTCP checks that library and kernel agree on an MPTCP connection with the two
// subflows of the lab and without misbehaviour of either.
func (l *Lab) requireMPTCP(t testing.TB, info mptcp.Info) {
	t.Helper()
	require.True(t, info.MPTCP, info.FallbackReason)
	require.Empty(t, info.FallbackReason)
	used := map[netip.Addr]bool{}
	for _, s := range info.Subflows {
		if l.Role == Client {
			used[s.Local.Addr()] = true
		} else {
			used[s.Remote.Addr()] = true
		}
	}
	require.True(t, used[l.pathAddr(0)] && used[l.pathAddr(1)], "both paths have a subflow: %+v", info.Subflows)

	counters := l.Peer.Counters(t)
	counters.RequireClean(t)
	if l.Role == Client {
		counters.RequireAll(t, map[string]int64{"MPCapableSYNRX": 1, "MPCapableACKRX": 1})
		require.Positive(t, counters.Get(t, "MPJoinSynRx"))
		require.Positive(t, counters.Get(t, "MPJoinAckRx"))
	} else {
		counters.RequireAll(t, map[string]int64{"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1})
		require.Positive(t, counters.Get(t, "MPJoinSynTx"))
		require.Positive(t, counters.Get(t, "MPJoinSynAckRx"))
	}
	require.Eventually(t, func() bool { return l.Peer.Counters(t)["MPCurrEstab"] == 0 },
		patience, 20*time.Millisecond, "the kernel's end closes")
}
