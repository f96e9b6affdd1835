package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.3.8-02, 8684-3.2-07: no data on a backup subflow while another works, not even a copy of what
// waits for its DATA_ACK.
func TestBackupSubflow(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Client(1).SetID(1, true)
		p.Send("SYN with B", SYN, Join)
		p.Want("SYN/ACK", SYN|ACK, Join)
		p.Send("third packet", ACK, Join)
		p.Want("fourth packet", ACK, Len(0))
		l.Write(conn, "hello").Result()
		first.Await("data on the regular one", ACK, Data("hello"), Map(1, 1, 5))
		first.Send("acknowledged on the subflow only", ACK, DataAck(1))
		first.Await("so it is sent again", ACK, Data("hello"), Map(1, 6, 5))
		first.Send("acknowledged", ACK, DataAck(6))
		p.Never("none here", second, SomeData)
		first.Send("RST", RST|ACK)
		l.Sleep(2 * Delay)
		l.Write(conn, "again").Result()
		p.Await("now here", ACK, Data("again"), Map(6, 1, 5))
	})
}

// 8684-3.3.2-04, 8684-3.3.6-01, -02, 8684-6-03: data that was confirmed elsewhere is still sent again,
// the same bytes, on the subflow that lacks it.
func TestHoleIsFilledWithOldBytes(t *testing.T) {
	Test(t, Options{Paths: 2, Config: mptcp.Config{Scheduler: onlyJoins}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		l.Write(conn, "hello").Result()
		p.Await("data, which is lost", ACK, Data("hello"), Map(1, 1, 5))
		first.Await("sent again elsewhere", ACK, Data("hello"), Map(1, 1, 5))
		first.Send("acknowledged", ACK, DataAck(6))
		p.Forget()
		p.Await("and still there, the same bytes", ACK, Data("hello"), Seq(1))
	})
}

// 8684-3.3.5-03: a window that is shut on one subflow stops that one only.
func TestWindowOfOneSubflow(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		p.Send("shut here", ACK, Win(0), DataAck(1))
		l.Sleep(2 * Delay)
		p.Forget()
		l.Write(conn, strings.Repeat("w", 5000)).Result()
		for end := uint32(1); end < 5001; {
			s := first.Await("data", ACK, SomeData)
			end = s.Seq + uint32(len(s.Payload))
			first.Send("acknowledged", ACK, AckNo(end), DataAck(int(end)))
		}
		for _, s := range p.Arrived() {
			require.Empty(t, s.Payload)
		}
	})
}

// 8684-3.4-02, 8684-3.9.1-01: from the second address to the port of the initial subflow.
func TestWhereJoinsGo(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		joining(l)
		peer, host := l.Opened("join", SYN, Join).Addrs()
		require.Equal(t, peerAt(l, 0, Port), peer)
		require.Equal(t, l.HostAddr(1), host.Addr())
	})
}

// 8684-3.4.1-08: unassigned flag bits are ignored.
func TestReservedBitsOfAddAddr(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, _ := l.Accept()
		p.Confirm()
		add := option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 1, 0))
		b := add.AppendTo(nil)
		b[2] |= 0x0e
		p.Send("with flags", ACK, Raw(b...))
		p.Want("echo without", ACK, Option(add.Reply()))
	})
}

// 8684-3.4.1-11, 8684-3.9.3-02, 8684-Q-33: an address that refused is not tried again, unless announced
// again.
func TestRefusedAddress(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Confirm()
		add := Option(option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 1, 0)))
		p.Send("another address", ACK, add)
		l.Opened("join", SYN, Join).Send("port closed", RST|ACK)
		l.NotOpened("not again", 60*second)
		p.Send("announced again", ACK, add)
		l.Opened("then it is", SYN, Join)
		hostCarriesOn(l, p, conn)
	})
}

// 8684-3.4.1-12: the same ID and address with another port.
func TestSameAddressOtherPort(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, _ := l.Accept()
		p.Confirm()
		for _, port := range []uint16{1001, 1002} {
			p.Send("announcement", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 1, port))))
			at, _ := l.Opened("join", SYN, Join).Addrs()
			require.Equal(t, peerAt(l, 1, port), at)
			l.Sleep(second)
		}
	})
}

// 8684-3.4.2-03, -05: a REMOVE_ADDR out of the window has no effect, and no join comes of it.
func TestRemoveAddrOutOfWindow(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		l.Join(1, 3)
		first.Send("spoofed", Seq(60_000_000), ACK, Option(option.NewRemoveAddr(3)))
		l.Sleep(30 * second)
		require.Equal(t, "established", conn.Info().Subflows[1].State)
		carriesOn(l, first, conn)
	})
}

// 8684-3-04: initial sequence numbers of two subflows have nothing to do with each other.
func TestInitialSequenceNumbers(t *testing.T) {
	Test(t, meshed, func(t *testing.T, l *Lab) {
		first, _ := joining(l)
		join := l.Opened("join", SYN, Join)
		diff := int32(join.HostSeq(0) - first.HostSeq(0))
		require.Greater(t, max(diff, -diff), int32(10_000))
	})
}

// 8684-3.3.4-03, 8684-3.3.1-01, 8684-Q-19: late and overlapping copies do no harm.
func TestOverlappingMappings(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		first.Send("bytes", Data("abcdef"), Map(2, 2, 6))
		p.Send("some again, and more", Data("defghi"), Map(5, 1, 6))
		first.Send("old ones", Data("xxx"), Map(2, 8, 3))
		p.Send("the rest, with old ones before it", Data("ghijkl"), Map(8, 7, 6))
		require.Equal(t, "abcdefghijkl", l.Read(conn, 12).Result())
		p.Await("acknowledged", ACK, AckNo(13), DataAck(14))
	})
}

// 8684-3.4.1-05, -06, -09, 8684-3.4-01, 8684-Q-15
func TestAddAddrIsEchoedAndJoined(t *testing.T) {
	for _, port := range []uint16{0, 8443} {
		Families(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
			p, _ := l.Accept()
			p.Confirm()
			add := option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 1, port))
			p.Send("another address", ACK, Option(add))
			p.Want("echo", ACK, Option(add.Reply()))
			j := l.Opened("join", SYN, Join)
			at, _ := j.Addrs()
			if port == 0 {
				port = Port
			}
			require.Equal(t, peerAt(l, 1, port), at)
		})
	}
}

// 8684-3.4.1-04, 8684-3.1-18, 8684-Q-08: an announcement that comes before the first DSS, as
// Linux sends it, is confirmed and joined after that.
func TestAddAddrBeforeDSS(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN", SYN, Capable)
		p.Send("SYN/ACK", SYN|ACK, Capable)
		p.Want("third packet", ACK, Capable)
		dial.Result()
		add := option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 1, 0))
		p.Send("another address", ACK, Option(add))
		l.NotOpened("too early", second)
		p.Confirm()
		p.Await("echo", ACK, Option(add.Reply()))
		at, _ := l.Opened("join", SYN, Join).Addrs()
		require.Equal(t, peerAt(l, 1, Port), at)
	})
}

// 8684-3.4.1-02, -07, 8684-3-03: a wrong HMAC; a segment that TCP does not accept.
func TestAddAddrThatDoesNotCount(t *testing.T) {
	Test(t, meshed, func(t *testing.T, l *Lab) {
		p, conn := joining(l)
		l.Opened("join of the second path", SYN, Join)
		add := option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 3, 0))
		bad := add
		bad.HMAC[7] ^= 1
		p.Send("wrong HMAC", ACK, Option(bad))
		p.Send("beyond the window", Seq(50_000_000), ACK, Option(add))
		p.Never("no echo", 3*second, With(option.SubtypeAddAddr))
		hostCarriesOn(l, p, conn)
	})
}

// 8684-3.3.8-02, -03: MP_PRIO of the peer.
func TestPeerMakesSubflowBackup(t *testing.T) {
	Test(t, Options{Paths: 2, Config: mptcp.Config{Scheduler: onlyJoins}}, func(t *testing.T, l *Lab) {
		_, conn := connected(l)
		p := l.Join(1, 1)
		require.False(t, conn.Info().Subflows[1].Backup)
		p.Send("please not here", ACK, Option(option.Prio{Backup: true}))
		l.Sleep(2 * Delay)
		require.True(t, conn.Info().Subflows[1].Backup)
		require.False(t, conn.Info().Subflows[0].Backup)
		p.Send("and here again", ACK, Option(option.Prio{}))
		l.Sleep(2 * Delay)
		require.False(t, conn.Info().Subflows[1].Backup)
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("acknowledged", ACK, DataAck(6))
	})
}

// 8684-3-01, 8684-3.4.1-14: duplicate ACKs with options are no sign of congestion.
func TestDuplicateAcksWithOptions(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		l.Write(conn, "one").Result()
		l.Write(conn, "two").Result()
		p.Await("data", Data("one"))
		p.Await("data", Data("two"))
		for id := range 4 {
			p.Send("announcement", ACK, AckNo(1), Option(option.NewAddAddr(l.PeerKey, l.HostKey, option.AddrID(id+1), peerAt(l, id+1, 0))))
		}
		p.Never("nothing is sent again for that", 2*Delay+Delay/2, Data("one"))
	})
}
