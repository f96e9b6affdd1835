//go:build linux

package interop

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun"
)

// managed is a lab whose host leaves its paths to the test.
func managed(role Role, f Family) LabConfig {
	return LabConfig{Role: role, Family: f, Paths: 1, Host: mptcp.Config{PathManager: pathmgr.None}}
}

// families runs a test for both IP versions.
func families(t *testing.T, test func(t *testing.T, f Family)) {
	Require(t)
	for _, f := range []Family{IPv4, IPv6} {
		t.Run(f.Name, func(t *testing.T) { test(t, f) })
	}
}

// extra is one more link between the two: the library's address there and the kernel's.
func (l *Lab) extra(t *testing.T, n int) (library, kernel netip.Addr) {
	t.Helper()
	library, kernel = netip.AddrFrom4([4]byte{10, 8, byte(n), 2}), netip.AddrFrom4([4]byte{10, 8, byte(n), 1})
	if l.Family.Kernel[0].Is6() {
		library, kernel = netip.AddrFrom16([16]byte{0: 0xfd, 1: 8, 3: byte(n), 15: 2}), netip.AddrFrom16([16]byte{0: 0xfd, 1: 8, 3: byte(n), 15: 1})
	}
	name := fmt.Sprintf("extra%d", n)
	dev := l.Peer.OpenTUN(t, name)
	require.NoError(t, l.Host.AddDevice(l.capture(t, dev), prefix(l.Family, library)))
	l.Peer.SetAddresses(t, name, prefix(l.Family, kernel))
	return library, kernel
}

// talk sends a little both ways.
func talk(t *testing.T, ends ...io.ReadWriter) {
	t.Helper()
	b := make([]byte, 50_000)
	for i, from := range ends {
		done := make(chan error, 1)
		go func() {
			_, err := from.Write(b)
			done <- err
		}()
		_, err := io.ReadFull(ends[1-i], make([]byte, len(b)))
		require.NoError(t, err)
		require.NoError(t, <-done)
	}
}

// soon waits for counters of the kernel, and tells all if they do not come.
func (l *Lab) soon(t *testing.T, want map[string]int64) {
	t.Helper()
	l.within(t, 5*time.Second, want)
}

func (l *Lab) within(t *testing.T, patience time.Duration, want map[string]int64) {
	t.Helper()
	reached := func() bool {
		c := l.Peer.Counters(t)
		for name, n := range want {
			if c.Get(t, name) != n {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(patience); !reached() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	l.Peer.Counters(t).RequireAll(t, want)
}

// subflows waits until a connection has n subflows that carry data.
func subflows(t *testing.T, c *mptcp.Conn, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		up := 0
		for _, s := range c.Info().Subflows {
			if s.State == "established" {
				up++
			}
		}
		return up == n
	}, 5*time.Second, 10*time.Millisecond, "%d subflows", n)
}

// The kernel echoes and joins what we announce, with and without a port, closes what we
// withdraw, and comes back.
func TestLibraryAnnounces(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		for _, port := range []uint16{0, 10100} {
			lab := NewLab(t, managed(Server, f))
			library, kernel := lab.Connect(t, true)
			talk(t, library, kernel)
			at, _ := lab.extra(t, 1)
			require.NoError(t, library.Announce(netip.AddrPortFrom(at, port)))
			lab.soon(t, map[string]int64{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynAckRx": 1})
			subflows(t, library, 2)
			require.True(t, library.Info().Announced[0].Echoed)
			if port != 0 {
				lab.soon(t, map[string]int64{"PortAdd": 1, "MPJoinPortSynAckRx": 1})
			}
			talk(t, library, kernel)

			require.NoError(t, library.Withdraw(at))
			lab.soon(t, map[string]int64{"RmAddr": 1})
			subflows(t, library, 1)
			talk(t, library, kernel)
			require.NoError(t, library.Announce(netip.AddrPortFrom(at, port)))
			lab.soon(t, map[string]int64{"AddAddr": 2, "EchoAddTx": 2, "MPJoinSynAckRx": 2})
			subflows(t, library, 2)
			talk(t, library, kernel)
			lab.Peer.Counters(t).RequireNoReset(t)
			lab.Peer.Counters(t).RequireClean(t)
		}
	})
}

// Three at once, withdrawn in one option.
func TestLibraryAnnouncesSeveral(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		lab := NewLab(t, managed(Server, f))
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		var addrs []netip.Addr
		for i := range 3 {
			at, _ := lab.extra(t, i+1)
			addrs = append(addrs, at)
			require.NoError(t, library.Announce(netip.AddrPortFrom(at, 0)))
		}
		lab.soon(t, map[string]int64{"AddAddr": 3, "EchoAddTx": 3, "MPJoinSynAckRx": 3})
		subflows(t, library, 4)
		require.NoError(t, library.Withdraw(addrs...))
		lab.soon(t, map[string]int64{"RmAddr": 3})
		subflows(t, library, 1)
		talk(t, library, kernel)
		lab.Peer.Counters(t).RequireNoReset(t)
	})
}

// The echo is lost: the announcement is repeated, three times.
func TestLibraryAnnouncesWithoutEcho(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		cfg := managed(Server, f)
		cfg.Wrap = func(_ testing.TB, dev tun.Device) tun.Device { return echoless{dev} }
		lab := NewLab(t, cfg)
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		at, _ := lab.extra(t, 1)
		require.NoError(t, library.Announce(netip.AddrPortFrom(at, 0)))
		lab.within(t, 15*time.Second, map[string]int64{"AddAddr": 4, "EchoAddTx": 4, "MPJoinSynAckRx": 1})
		talk(t, library, kernel)
	})
}

// echoless is a device that loses the echoes of ADD_ADDR, either way.
type echoless struct{ tun.Device }

func isEcho(p tun.Packet) bool {
	t, ok := packet.ParseTCP(p.Head)
	if !ok {
		return false
	}
	set := option.Parse(t.Options(), t.Flags())
	a, has := set.AddAddr()
	return has && a.Echo
}

func (d echoless) Read(pkts []tun.Packet) (int, error) {
	n, err := d.Device.Read(pkts)
	for i := range n {
		if isEcho(pkts[i]) {
			pkts[i].Head[0] = 0 // no IP version
		}
	}
	return n, err
}

func (d echoless) Write(pkts []tun.Packet) error {
	if len(pkts) == 1 && isEcho(pkts[0]) {
		return nil
	}
	return d.Device.Write(pkts)
}

// Our echo is lost: the kernel repeats its announcement, and gets one subflow.
func TestKernelAnnouncesWithoutEcho(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		cfg := LabConfig{Role: Client, Family: f, Paths: 1, Host: mptcp.Config{PathManager: pathmgr.DefaultWithLimit(2)}}
		cfg.Wrap = func(_ testing.TB, dev tun.Device) tun.Device { return echoless{dev} }
		lab := NewLab(t, cfg)
		_, at := lab.extra(t, 1)
		lab.Peer.Sysctl(t, "net/mptcp/add_addr_timeout", "1")
		require.NoError(t, lab.Host.RemoveDevice("extra1"))
		lab.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v id 7 dev lo signal", at))
		lab.Peer.SetAddresses(t, "lo", single(at))
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		lab.within(t, 15*time.Second, map[string]int64{"AddAddrTx": 4, "EchoAdd": 0, "MPJoinAckRx": 1})
		talk(t, library, kernel)
		lab.Peer.Counters(t).RequireNoReset(t)
	})
}

// The kernel withdraws all it has announced at once, in one option.
func TestKernelFlushes(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		// A full mesh of three by three is all that the kernel takes.
		host := mptcp.Config{MaxSubflows: 9, PathManager: pathmgr.DefaultWithLimit(9)}
		lab := NewLab(t, LabConfig{Role: Client, Family: f, Paths: 1, Host: host})
		lab.Peer.IP(t, "mptcp limits set subflow 8 add_addr_accepted 4")
		announced := map[netip.Addr]bool{}
		for i := range 2 {
			_, at := lab.extra(t, i+1)
			announced[at] = true
			lab.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v dev extra%d signal", at, i+1))
		}
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		lab.soon(t, map[string]int64{"AddAddrTx": 2, "EchoAdd": 2, "MPJoinAckRx": 8})
		left := func(keep func(a netip.Addr) bool) func() bool {
			return func() bool {
				for _, s := range library.Info().Subflows {
					if s.State != "closed" && !keep(s.Remote.Addr()) {
						return false
					}
				}
				return true
			}
		}
		require.Eventually(t, func() bool {
			seen := map[netip.Addr]bool{}
			for _, s := range library.Info().Subflows {
				seen[s.Remote.Addr()] = seen[s.Remote.Addr()] || s.State == "established"
			}
			return len(seen) == 3
		}, 5*time.Second, 10*time.Millisecond)
		talk(t, library, kernel)
		lab.Peer.IP(t, "mptcp endpoint flush")
		require.Eventually(t, left(func(a netip.Addr) bool { return !announced[a] }), 10*time.Second, 10*time.Millisecond)
		require.Empty(t, library.Info().RemoteAddrs)
		require.EqualValues(t, 2, lab.Host.Counters()["RmAddr"])
		talk(t, library, kernel)
		lab.Peer.Counters(t).RequireNoReset(t)
	})
}

// What the kernel announces is joined; what it withdraws is closed, by FIN.
func TestKernelAnnounces(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		lab := NewLab(t, LabConfig{Role: Client, Family: f, Paths: 1})
		_, at := lab.extra(t, 1)
		lab.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v id 7 dev extra1 signal", at))
		lab.Peer.IP(t, "mptcp limits set subflow 8 add_addr_accepted 4")
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		lab.soon(t, map[string]int64{"AddAddrTx": 1, "EchoAdd": 1})
		require.Eventually(t, func() bool {
			for _, s := range library.Info().Subflows {
				if s.Remote.Addr() == at && s.State == "established" {
					return s.RemoteID == 7
				}
			}
			return false
		}, 5*time.Second, 10*time.Millisecond)
		talk(t, library, kernel)
		lab.Peer.IP(t, "mptcp endpoint delete id 7")
		lab.soon(t, map[string]int64{"RmAddrTx": 1})
		require.Eventually(t, func() bool {
			for _, s := range library.Info().Subflows {
				if s.Remote.Addr() == at && s.State != "closed" {
					return false
				}
			}
			return len(library.Info().RemoteAddrs) == 0
		}, 10*time.Second, 10*time.Millisecond)
		talk(t, library, kernel)
		time.Sleep(time.Second)
		lab.Peer.Counters(t).RequireNoReset(t)
		for _, s := range library.Info().Subflows {
			require.Empty(t, s.Reason)
		}
	})
}

// A subflow of ours ends, since its address is withdrawn.
func TestLibraryRemovesSubflow(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		for _, initial := range []bool{false, true} {
			lab := NewLab(t, managed(Client, f))
			local, _ := lab.extra(t, 1)
			library, kernel := lab.Connect(t, true)
			talk(t, library, kernel)
			id, err := library.AddSubflow(t.Context(), local, netip.AddrPort{}, false)
			require.NoError(t, err)
			require.EqualValues(t, 2, id)
			lab.soon(t, map[string]int64{"MPJoinAckRx": 1})
			if initial {
				local = f.Library[0]
			}
			require.NoError(t, library.Withdraw(local))
			lab.soon(t, map[string]int64{"RmAddr": 1, "MPRstTx": 0, "MPRstRx": 0})
			subflows(t, library, 1)
			talk(t, library, kernel)
			lab.Peer.Counters(t).RequireNoReset(t)
		}
	})
}

// MP_PRIO, both ways, and the flag B of joins.
func TestPriorities(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		lab := NewLab(t, managed(Client, f))
		local, at := lab.extra(t, 1)
		lab.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v id 7 dev extra1 signal", at))
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		id, err := library.AddSubflow(t.Context(), local, netip.AddrPortFrom(at, port), true)
		require.NoError(t, err)
		lab.soon(t, map[string]int64{"MPJoinSynBackupRx": 1, "MPJoinAckRx": 1})
		require.NoError(t, library.SetBackup(id, false))
		require.NoError(t, library.SetBackup(1, true))
		lab.soon(t, map[string]int64{"MPPrioRx": 2})
		before := library.Info().Subflows
		talk(t, library, kernel)
		after := library.Info().Subflows
		require.Equal(t, before[0].BytesReceived, after[0].BytesReceived, "the kernel heeds it")
		require.Less(t, before[1].BytesReceived, after[1].BytesReceived)

		lab.Peer.IP(t, "mptcp endpoint change id 7 backup")
		lab.soon(t, map[string]int64{"MPPrioTx": 1})
		require.Eventually(t, func() bool { return library.Info().Subflows[1].RemoteBackup }, 5*time.Second, 10*time.Millisecond)
		require.False(t, library.Info().Subflows[0].RemoteBackup)
		lab.Peer.Counters(t).RequireNoReset(t)
	})
}

// Flag C of either end.
func TestNoJoinsToInitialAddress(t *testing.T) {
	families(t, func(t *testing.T, f Family) {
		lab := NewLab(t, LabConfig{Role: Client, Family: f})
		lab.Peer.Sysctl(t, "net/mptcp/allow_join_initial_addr_port", "0")
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		time.Sleep(time.Second)
		lab.soon(t, map[string]int64{"MPJoinSynRx": 0})
		require.Len(t, library.Info().Subflows, 1)

		lab = NewLab(t, LabConfig{Role: Server, Family: f, Host: mptcp.Config{DenyJoinInitial: true, PathManager: pathmgr.None}})
		library, kernel = lab.Connect(t, true)
		talk(t, library, kernel)
		time.Sleep(time.Second)
		lab.soon(t, map[string]int64{"MPJoinSynTx": 0})
		at, _ := lab.extra(t, 1)
		require.NoError(t, library.Announce(netip.AddrPortFrom(at, 0)))
		lab.soon(t, map[string]int64{"MPJoinSynTx": 1, "MPJoinSynAckRx": 1})
		subflows(t, library, 2)
		require.False(t, strings.Contains(lab.Peer.Counters(t).String(), "Rst"))
	})
}
