package conformance

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
)

// either runs a script with the host as server and as client, over two paths that it leaves
// alone: the connection is confirmed, and "x" has been read if the host is the server.
func either(t *testing.T, o Options, f func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn)) {
	t.Helper()
	if o.Paths == 0 {
		o.Paths = 2
	}
	t.Run("server", func(t *testing.T) {
		Families(t, o, func(t *testing.T, l *Lab) {
			p, conn := connected(l)
			f(t, l, p, conn)
		})
	})
	t.Run("client", func(t *testing.T) {
		Families(t, o, func(t *testing.T, l *Lab) {
			p, conn := joining(l)
			p.Forget()
			f(t, l, p, conn)
		})
	})
}

// signalsIn are the options of a subtype that have arrived, and all that arrived.
func signalsIn(p *Peer, want option.Subtype) (list []option.Option) {
	for _, s := range p.Arrived() {
		for o := range s.Options.All() {
			if o.Subtype() == want {
				list = append(list, o)
			}
		}
	}
	return list
}

// mine is an announcement as the host makes it.
func mine(l *Lab, id option.AddrID, addr netip.AddrPort) option.AddAddr {
	return option.NewAddAddr(l.HostKey, l.PeerKey, id, addr)
}

// 8684-3-02, -05, 8684-3.4.1-09, -14: not more than two ACKs in a row for the sake of options
// alone; what has to wait is not lost.
func TestEchoesAreNotThreeDuplicates(t *testing.T) {
	either(t, Options{Paths: 1}, func(t *testing.T, l *Lab, p *Peer, _ *mptcp.Conn) {
		for id := range 6 {
			p.Send("announcement", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, option.AddrID(id+1), peerAt(l, id+1, 0))))
		}
		l.Sleep(3 * Delay)
		require.Len(t, signalsIn(p, option.SubtypeAddAddr), 2)
		p.Send("new data to acknowledge", Data("abc"), Map(int(p.SndNxt()), p.SndNxt(), 3))
		l.Sleep(3 * Delay)
		require.Len(t, signalsIn(p, option.SubtypeAddAddr), 2)
		l.Sleep(second)
		got := signalsIn(p, option.SubtypeAddAddr)
		require.Equal(t, []option.Option{
			option.AddAddr{Echo: true, ID: 5, Addr: peerAt(l, 5, 0)}, option.AddAddr{Echo: true, ID: 6, Addr: peerAt(l, 6, 0)},
		}, got)
		require.EqualValues(t, 6, l.Host.Counters()["AddAddr"])
		require.EqualValues(t, 6, l.Host.Counters()["EchoAddTx"])
	})
}

// 8684-3.4.1-01, -03, -06, 8684-A-04, 8684-Q-01, -03: with and without a port, signed; it stops
// with the echo.
func TestAnnouncement(t *testing.T) {
	for _, port := range []uint16{0, 8443} {
		either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
			at := netip.AddrPortFrom(l.HostAddr(1), port)
			require.NoError(t, conn.Announce(at))
			s := p.Await("announcement", ACK, Len(0), Option(mine(l, 1, at)))
			n := 0
			for range s.Options.All() {
				n++
			}
			require.Equal(t, 1, n, "it travels alone")
			require.False(t, conn.Info().Announced[0].Echoed)
			p.Send("echo", ACK, Option(option.AddAddr{Echo: true, ID: 1, Addr: at}))
			p.Never("not again", 60*second, With(option.SubtypeAddAddr))
			require.Equal(t, []mptcp.AnnouncedAddr{{ID: 1, Addr: at, Echoed: true}}, conn.Info().Announced)
			require.EqualValues(t, 1, l.Host.Counters()["EchoAdd"])
		})
	}
}

// 8684-3.4.1-10: without echo it is sent again, at growing distances, three times. An echo
// that names another address does not count.
func TestAnnouncementWithoutEcho(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		at := netip.AddrPortFrom(l.HostAddr(1), 0)
		require.NoError(t, conn.Announce(at))
		var times []time.Duration
		for range 4 {
			s := p.Await("announcement", ACK, Option(mine(l, 1, at)))
			times = append(times, s.At)
			p.Send("echo of something else", ACK, Option(option.AddAddr{Echo: true, ID: 1, Addr: netip.AddrPortFrom(l.HostAddr(1), 7)}))
		}
		for i, want := range []time.Duration{second, 2 * second, 4 * second} {
			require.InDelta(t, want.Seconds(), (times[i+1] - times[i]).Seconds(), 0.1)
		}
		p.Never("then no more", 300*second, With(option.SubtypeAddAddr))
		require.EqualValues(t, 4, l.Host.Counters()["AddAddrTx"])
	})
}

// 8684-3.4.1-04, -10: several announcements go one by one, the next one with the echo or after a
// second: a peer may drop one while it is busy with another, as Linux does.
func TestAnnouncementsOneByOne(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		for last := range byte(3) {
			require.NoError(t, conn.Announce(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 9, last}), 0)))
		}
		l.Sleep(second / 2)
		first := signalsIn(p, option.SubtypeAddAddr)
		require.Len(t, first, 1)
		sent := first[0].(option.AddAddr)
		p.Send("echo", ACK, Option(option.AddAddr{Echo: true, ID: sent.ID, Addr: sent.Addr}))
		l.Sleep(second / 2)
		require.Len(t, signalsIn(p, option.SubtypeAddAddr), 1)
		l.Sleep(second)
		require.NotEmpty(t, signalsIn(p, option.SubtypeAddAddr), "no echo does not stop the others")
	})
}

// 8684-3.4.1-03, -12, -13, 8684-3.2-03: one ID for one address; it goes to another one only
// after REMOVE_ADDR.
func TestAddressIDsOfAnnouncements(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		a := netip.AddrPortFrom(l.HostAddr(1), 0)
		require.NoError(t, conn.Announce(a))
		p.Await("announcement", Option(mine(l, 1, a)))
		again := netip.AddrPortFrom(a.Addr(), 99)
		require.NoError(t, conn.Announce(again))
		p.Await("another port", Option(mine(l, 1, again)))
		j := l.Join(1, 1)
		require.Equal(t, option.AddrID(1), j.HostID)
		require.NoError(t, conn.Announce(netip.AddrPortFrom(l.HostAddr(0), 0)))
		p.Await("the initial address", Option(mine(l, 0, netip.AddrPortFrom(l.HostAddr(0), 0))))
	})
}

// 8684-3.4.1-03: 256 addresses have an ID, no more; one that is withdrawn makes room.
func TestAddressIDsRunOut(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		_, conn := connected(l)
		addr := func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 0)
		}
		for i := range 255 {
			require.NoError(t, conn.Announce(addr(i)))
		}
		require.ErrorContains(t, conn.Announce(addr(255)), "256")
		require.NoError(t, conn.Announce(addr(7)))
		require.NoError(t, conn.Withdraw(addr(7).Addr()))
		require.NoError(t, conn.Announce(addr(255)))
		list := conn.Info().Announced
		require.Len(t, list, 255)
		seen := map[uint8]bool{0: true}
		for _, a := range list {
			require.False(t, seen[a.ID])
			seen[a.ID] = true
		}
	})
}

// 8684-3.4.2-01: several addresses in one option; nothing for one that the peer never knew.
func TestWithdrawal(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		var addrs []netip.Addr
		for i := range 3 {
			addrs = append(addrs, l.HostAddr(i+1))
			require.NoError(t, conn.Announce(netip.AddrPortFrom(addrs[i], 0)))
			p.Await("announcement", Option(mine(l, option.AddrID(i+1), netip.AddrPortFrom(addrs[i], 0))))
		}
		require.Error(t, conn.Withdraw(l.HostAddr(9)))
		require.NoError(t, conn.Withdraw(addrs...))
		p.Await("all in one", ACK, Len(0), Option(option.NewRemoveAddr(1, 2, 3)))
		p.Never("nothing more", 60*second, With(option.SubtypeAddAddr))
		require.Empty(t, conn.Info().Announced)
		require.EqualValues(t, 3, l.Host.Counters()["RmAddrTx"])
	})
}

// 8684-3.4.2-04, -06, 8684-Q-16: a working subflow ends with a FIN, and the signal goes
// elsewhere.
func TestWithdrawalClosesSubflows(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		j := l.Join(1, 4)
		require.NoError(t, conn.Withdraw(l.HostAddr(1)))
		j.Await("FIN", FIN|ACK, Without(option.SubtypeRemoveAddr))
		p.Await("then the withdrawal", ACK, Option(option.NewRemoveAddr(j.HostID)))
		j.Send("FIN", FIN|ACK)
		l.Sleep(second)
		require.Equal(t, "closed", conn.Info().Subflows[1].State)
		require.Empty(t, conn.Info().Subflows[1].Reason)
		require.EqualValues(t, 1, l.Host.Counters()["RmSubflow"])
		require.Zero(t, l.Host.Counters()["MPRstTx"])
	})
}

// 8684-3.4.2-01, -04, 8684-3.4-01, 8684-Q-16: a server announces its second address; when the
// device is gone, and with it all that could be said there, it withdraws it; and announces it
// again when it comes back.
func TestServerAnnouncesItsAddresses(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		p, conn := l.Connect()
		p.Send("first data", Data("x"), Capable)
		second := mine(l, 1, netip.AddrPortFrom(l.HostAddr(1), 0))
		p.Await("announcement", ACK, Option(second))
		p.Send("echo", ACK, Option(second.Reply()))
		j := l.Join(1, 4)
		require.Equal(t, option.AddrID(1), j.HostID)
		require.NoError(t, l.Host.RemoveDevice(l.Links[1].A.Name()))
		p.Await("withdrawn", ACK, Option(option.NewRemoveAddr(1)))
		require.Equal(t, "closed", conn.Info().Subflows[1].State)
		require.Empty(t, conn.Info().Announced)
		bits := 8 * len(l.HostAddr(1).AsSlice())
		require.NoError(t, l.Host.AddDevice(l.Links[1].A.Device(), netip.PrefixFrom(l.HostAddr(1), bits)))
		p.Await("announced again", ACK, Option(second))
	})
}

// 8684-3.4.2-01: a client withdraws what only its subflows told of.
func TestClientWithdrawsAddress(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		p, _ := joining(l)
		j := l.AcceptJoin(0)
		p.Forget()
		require.NoError(t, l.Host.RemoveDevice(l.Links[1].A.Name()))
		p.Await("withdrawn", ACK, Option(option.NewRemoveAddr(j.HostID)))
		require.NotZero(t, j.HostID)
		l.NotOpened("no device, no join", 10*second)
	})
}

// 8684-3.4.2-02, -05, 8684-3.2-05: a subflow that answers stays; unknown IDs are passed over.
func TestRemoveAddrOfWorkingSubflow(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		j := l.Join(1, 3)
		next := j.SndNxt()
		p.Send("withdrawn", ACK, Option(option.NewRemoveAddr(200, 3)))
		j.Await("keepalive", ACK, Len(0), Seq(0))
		j.Send("here", ACK, Seq(next), DataAck(1))
		j.Never("no reset", 30*second, RST|ACK)
		require.Equal(t, "established", conn.Info().Subflows[1].State)
		require.EqualValues(t, 1, l.Host.Counters()["RmAddr"])
		require.EqualValues(t, 1, l.Host.Counters()["RmAddrDrop"])
	})
}

// 8684-3.4.2-02, -04: one that does not answer is reset, the others are left alone.
func TestRemoveAddrOfDeadSubflow(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		j := l.Join(1, 3)
		p.Send("withdrawn", ACK, Option(option.NewRemoveAddr(3)))
		for range 3 {
			j.Await("keepalive", ACK, Len(0), Seq(0))
		}
		s := j.Await("reset", RST|ACK, With(option.SubtypeReset))
		require.Less(t, s.At, 10*second)
		infos := conn.Info().Subflows
		require.Equal(t, "closed", infos[1].State)
		require.Equal(t, "established", infos[0].State)
	})
}

// 8684-Q-25: ID 0 is the address of the initial subflow, in both options.
func TestRemoveAddrOfInitialSubflow(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		j := l.Join(1, 3)
		j.Send("withdrawn", ACK, Option(option.NewRemoveAddr(0)))
		p.Await("keepalive", ACK, Len(0), Seq(0))
		l.Sleep(10 * second)
		infos := conn.Info().Subflows
		require.Equal(t, "closed", infos[0].State)
		require.Equal(t, "established", infos[1].State)
	})
}

// 8684-3.4.2-02, 8684-3.4.1-13: a withdrawn address is not joined any more; its ID may stand
// for another one.
func TestWithdrawnAddressIsNotJoined(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Confirm()
		p.Send("announcement", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, 3, peerAt(l, 1, 0))))
		j := l.Opened("join", SYN, Join)
		j.SetID(3, false).Send("SYN/ACK", SYN|ACK, Join)
		j.Want("third packet", ACK, Join)
		j.Send("fourth packet", ACK, DataAck(1))
		p.Send("ID 3 is taken", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, 3, peerAt(l, 2, 0))))
		l.NotOpened("so it is ignored", 10*second)
		require.Equal(t, []mptcp.AnnouncedAddr{{ID: 3, Addr: peerAt(l, 1, Port), Echoed: true}}, conn.Info().RemoteAddrs)
		p.Send("withdrawn", ACK, Option(option.NewRemoveAddr(3)))
		l.Sleep(second)
		j.Send("reset", RST, Option(option.Reset{Reason: option.ReasonPerformance, Transient: true}))
		l.NotOpened("not again", 60*second)
		p.Send("ID 3 is free", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, 3, peerAt(l, 2, 0))))
		at, _ := l.Opened("join", SYN, Join).Addrs()
		require.Equal(t, peerAt(l, 2, Port), at)
	})
}

// 8684-3.4-03: the peer joined from an address, and then announces it: no join back.
func TestJoinedAddressIsAnnounced(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, _ := l.Accept()
		p.Confirm()
		_, host := p.Addrs()
		j := l.ClientTo(0, host.Port())
		j.SetID(2, false)
		j.Send("SYN with MP_JOIN", SYN, Join)
		j.Want("SYN/ACK", SYN|ACK, Join)
		j.Send("third packet", ACK, Join)
		j.Want("fourth packet", ACK, Len(0))
		p.Send("the same, as it is behind its NAT", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, 2, peerAt(l, 1, 0))))
		p.Await("echo", ACK, With(option.SubtypeAddAddr))
		l.NotOpened("no duplicate", 60*second)
	})
}

// 8684-3.3.8-03, -04, 8684-3.2-07: MP_PRIO goes on its own subflow, and is not lost with others.
func TestPriority(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		j := l.Join(1, 3)
		for _, backup := range []bool{true, false} {
			require.NoError(t, conn.SetBackup(2, backup))
			j.Await("MP_PRIO", ACK, Len(0), Option(option.Prio{Backup: backup}))
			i := conn.Info().Subflows[1]
			require.Equal(t, backup, i.LocalBackup)
			require.False(t, i.RemoteBackup)
		}
		p.Never("not on the other", second, With(option.SubtypePrio))
		require.Error(t, conn.SetBackup(9, true))
		require.EqualValues(t, 2, l.Host.Counters()["MPPrioTx"])
		// Changed three times at once: what counts is the last word.
		for _, backup := range []bool{true, false, true} {
			require.NoError(t, conn.SetBackup(1, backup))
		}
		l.Sleep(second)
		got := signalsIn(p, option.SubtypePrio)
		require.Equal(t, option.Prio{Backup: true}, got[len(got)-1])
	})
}

// 8684-3-02, 8684-3.3.8-03: a signal for one subflow waits there, and others do not wait for it.
func TestSignalsOfSubflowsDoNotWaitForEachOther(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		j := l.Join(1, 3)
		for i := range 5 {
			require.NoError(t, conn.Announce(netip.AddrPortFrom(l.HostAddr(i+2), 0)))
		}
		require.NoError(t, conn.SetBackup(2, true))
		l.Sleep(3 * Delay)
		require.LessOrEqual(t, len(signalsIn(p, option.SubtypeAddAddr)), 2)
		l.Sleep(2 * second)
		require.Len(t, signalsIn(j, option.SubtypePrio), 1)
	})
}

// 8684-3.1-24, 8684-3.2-09, -10: our own flag C.
func TestHostDeniesJoinsToInitialAddress(t *testing.T) {
	Test(t, Options{Paths: 2, Config: mptcp.Config{DenyJoinInitial: true}}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Send("SYN", SYN, Capable)
		p.Want("SYN/ACK with C", SYN|ACK, CapableFlags(option.HMACSHA256|option.DenyJoinInitial))
		p.Send("third packet", ACK, Capable)
		accept.Result()
		p.Send("first data", Data("x"), Capable)
		p.Await("accepted", ACK, DataAck(2))
		j := l.Client(0)
		j.Send("join to the same address and port", SYN, Join)
		j.Want("refused", RST|ACK, Reset(option.ReasonProhibited))
		l.Join(1, 1)
	})
}

// 8684-3.1-24: the peer's flag C, for those who manage paths themselves.
func TestPeerDeniesJoins(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN", SYN, Capable)
		p.Send("SYN/ACK with C", SYN|ACK, CapableFlags(option.HMACSHA256|option.DenyJoinInitial))
		p.Want("third packet", ACK, Capable)
		conn := dial.Result()
		_, err := conn.AddSubflow(t.Context(), l.HostAddr(1), netip.AddrPort{}, false)
		require.ErrorIs(t, err, mptcp.ErrNotConfirmedYet)
		p.Send("confirmed", ACK, DataAck(1))
		l.Sleep(2 * Delay)
		_, err = conn.AddSubflow(t.Context(), l.HostAddr(1), netip.AddrPort{}, false)
		require.ErrorIs(t, err, mptcp.ErrJoinDenied)
	})
}

// 8684-5-04, 8684-3.9.2-02: whatever is announced, few SYNs come of it.
func TestManyAnnouncements(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Confirm()
		for id := range 100 {
			p.Send("announcement", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, option.AddrID(id+1), peerAt(l, id+1, 0))))
		}
		l.Sleep(second)
		for range 7 {
			l.Opened("join", SYN, Join)
		}
		l.Sleep(12 * second)
		l.Opened("the place of one that had no answer", SYN, Join)
		l.NotOpened("not more", 60*second)
		require.Len(t, conn.Info().RemoteAddrs, 8)
		require.EqualValues(t, 100, l.Host.Counters()["AddAddr"])
		require.Positive(t, l.Host.Counters()["AddAddrDrop"])
		hostCarriesOn(l, p, conn)
	})
}

// 8684-5-04, 8684-3.9.3-02: announced and withdrawn again and again, at addresses that refuse.
func TestMisleadingAnnouncements(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Confirm()
		n := 0
		for i := range 60 {
			id := option.AddrID(i%8 + 1)
			p.Send("announcement", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, id, peerAt(l, i+1, 0))))
			l.Sleep(3 * Delay)
			if i < 32 {
				l.Opened("join", SYN, Join).Send("port closed", RST|ACK)
				n++
			}
			p.Send("withdrawn", ACK, Option(option.NewRemoveAddr(id)))
			l.Sleep(3 * Delay)
		}
		l.NotOpened("enough", 60*second)
		hostCarriesOn(l, p, conn)
	})
}

// 8684-3.6-02: a peer without resources is not asked again at once.
func TestResetForWantOfResources(t *testing.T) {
	Test(t, meshed, func(t *testing.T, l *Lab) {
		joining(l)
		p := l.AcceptJoin(0)
		p.Send("no room now", RST, Option(option.Reset{Reason: option.ReasonResources, Transient: true}))
		l.NotOpened("not at once", 4*second)
		l.AcceptJoin(0)
	})
}

// 8684-3.1-18, 8684-3.4.1-04: an announcement that comes before the first DSS is kept until
// subflows may be opened.
func TestAnnouncementBeforeConfirmation(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Send("announcement", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, 3, peerAt(l, 1, 0))))
		l.NotOpened("not yet", second)
		require.Equal(t, []mptcp.AnnouncedAddr{{ID: 3, Addr: peerAt(l, 1, Port), Echoed: true}}, conn.Info().RemoteAddrs)
		require.Empty(t, signalsIn(p, option.SubtypeAddAddr), "an ACK without MP_CAPABLE would mean a fallback")
		p.Send("confirmed", ACK, DataAck(1))
		p.Await("echo", ACK, With(option.SubtypeAddAddr))
		l.Opened("join", SYN, Join)
	})
}

// 8684-3.4.1-10: when the subflow that carried it has gone, an announcement is repeated on another.
func TestAnnouncementMovesToAnotherSubflow(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		at := netip.AddrPortFrom(l.HostAddr(5), 8443)
		require.NoError(t, conn.Announce(at))
		p.Await("announcement", ACK, Option(mine(l, 1, at)))
		j := l.Join(1, 3)
		p.Send("reset", RST)
		j.Await("again", ACK, Option(mine(l, 1, at)))
	})
}

// 8684-3.4.2-01: a withdrawal is not lost when there is no subflow: it waits for one.
func TestWithdrawalWaitsForSubflow(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		p, conn := joining(l)
		l.AcceptJoin(0)
		require.NoError(t, l.Host.RemoveDevice(l.Links[1].A.Name()))
		p.Await("withdrawn", ACK, With(option.SubtypeRemoveAddr))
		require.NoError(t, l.Host.RemoveDevice(l.Links[0].A.Name()))
		l.Sleep(second)
		bits := 8 * len(l.HostAddr(1).AsSlice())
		require.NoError(t, l.Host.AddDevice(l.Links[1].A.Device(), netip.PrefixFrom(l.HostAddr(1), bits)))
		j := l.AcceptJoin(0)
		j.Await("the initial address is withdrawn", ACK, Option(option.NewRemoveAddr(0)))
		require.NotZero(t, j.HostID)
		require.Len(t, conn.Info().Subflows, 3)
	})
}

// 8684-3.9.2-02: addresses that cannot be reached do not keep the places of others.
func TestUnreachableAddressesMakeRoom(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{MaxSubflows: 2, PathManager: pathmgr.DefaultWithLimit(2)}}, func(t *testing.T, l *Lab) {
		p, _ := l.Accept()
		p.Confirm()
		for id := range 2 {
			p.Send("announcement", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, option.AddrID(id+1), peerAt(l, id+1, 0))))
			l.Sleep(second)
		}
		l.Opened("join, not answered", SYN, Join)
		l.Sleep(12 * second)
		at, _ := l.Opened("the other", SYN, Join).Addrs()
		require.Equal(t, peerAt(l, 2, Port), at)
	})
}

// 8684-3.4.2-01, 8684-3-02: withdrawals that have to wait go in one option.
func TestWaitingWithdrawalsAreOne(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		for i := range 2 {
			at := netip.AddrPortFrom(l.HostAddr(i+1), 0)
			require.NoError(t, conn.Announce(at))
			p.Await("announcement", ACK, Option(mine(l, option.AddrID(i+1), at)))
			p.Send("echo", ACK, Option(option.AddAddr{Echo: true, ID: option.AddrID(i + 1), Addr: at}))
		}
		l.Sleep(second)
		for _, backup := range []bool{true, false} {
			require.NoError(t, conn.SetBackup(1, backup)) // two signals in a row, no more
		}
		for i := range 2 {
			require.NoError(t, conn.Withdraw(l.HostAddr(i+1)))
		}
		l.Sleep(second)
		require.Equal(t, []option.Option{option.NewRemoveAddr(1, 2)}, signalsIn(p, option.SubtypeRemoveAddr))
	})
}

// 8684-3.4.2-01: an address that is back before its withdrawal could leave is not withdrawn.
func TestAddressIsBackBeforeItsWithdrawal(t *testing.T) {
	Families(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, _ := l.Accept()
		p.Confirm()
		require.NoError(t, l.Host.RemoveDevice(l.Links[0].A.Name()))
		l.Sleep(second)
		bits := 8 * len(l.HostAddr(0).AsSlice())
		require.NoError(t, l.Host.AddDevice(l.Links[0].A.Device(), netip.PrefixFrom(l.HostAddr(0), bits)))
		j := l.AcceptJoin(0)
		require.Zero(t, j.HostID)
		j.Never("withdrawn", 5*second, With(option.SubtypeRemoveAddr))
	})
}

// 8684-Q-16: a subflow that does not work is reset, not closed.
func TestDeadSubflowIsReset(t *testing.T) {
	either(t, Options{Config: mptcp.Config{Scheduler: onlyJoins}}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		j := l.Join(1, 3)
		l.Write(conn, "hello").Result()
		j.Await("data, which is lost", ACK, Data("hello"))
		l.Sleep(second)
		require.NoError(t, conn.RemoveSubflow(2))
		j.Await("reset", RST|ACK, With(option.SubtypeReset))
		p.Await("the data goes elsewhere", ACK, Data("hello"))
		require.Error(t, conn.RemoveSubflow(2))
	})
}

// 8684-3.4.2-06, 8684-Q-16, -25: the same for the initial subflow, which would be the first choice
// for signals.
func TestWithdrawalOfInitialAddress(t *testing.T) {
	either(t, Options{}, func(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn) {
		j := l.Join(1, 4)
		require.NoError(t, conn.Withdraw(l.HostAddr(0)))
		j.Await("the withdrawal", ACK, Option(option.NewRemoveAddr(0)))
		p.Await("FIN", FIN|ACK, Without(option.SubtypeRemoveAddr))
		p.Send("FIN", FIN|ACK)
		l.Sleep(second)
		require.Equal(t, "closed", conn.Info().Subflows[0].State)
		require.Equal(t, "established", conn.Info().Subflows[1].State)
	})
}
