package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.7-03, 8684-Q-10: a join whose data is acknowledged without DATA_ACK.
func TestJoinWithoutDataAck(t *testing.T) {
	Families(t, Options{Paths: 2, Config: mptcp.Config{Scheduler: onlyJoins}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("acknowledged without option", ACK)
		s := p.Await("reset", Reset(option.ReasonMiddlebox))
		require.NotZero(t, s.Flags&RST)
		first.Await("the data goes elsewhere", ACK, Data("hello"), Map(1, 1, 5))
	})
}

// 8684-3.7-04: the initial subflow, while it is alone: plain TCP.
func TestOptionsVanishBehindHandshake(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		l.Write(conn, "hello").Result()
		p.Want("first data", ACK, Data("hello"), Capable)
		p.Send("acknowledged without option", ACK)
		p.Send("data without option", Data("welcome"))
		require.Equal(t, "welcome", l.Read(conn, 7).Result())
		l.Sleep(second)
		p.Forget()
		require.False(t, conn.Info().MPTCP)
		l.Write(conn, "more").Result()
		p.Want("plain data", ACK, Data("more"), Seq(6), Without(option.SubtypeCapable))
		p.Send("acknowledged", ACK)
		require.NoError(t, conn.CloseWrite())
		p.Await("the end is a FIN, as in TCP", FIN|ACK, NoMPTCP)
	})
}

// 8684-3.7-01, 8684-3.1-32: the server's first data is acknowledged without DSS after a good
// third packet.
func TestServerSeesOptionsVanish(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Connect()
		p.Send("data without option", Data("abc"))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		require.False(t, conn.Info().MPTCP)
		l.Write(conn, "hello").Result()
		p.Await("plain data", ACK, Data("hello"), Without(option.SubtypeCapable))
	})
}

// 8684-3.3.1-17, 8684-3.7-14, 8684-W-25: an infinite mapping of the peer.
func TestInfiniteMapping(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("acknowledged", ACK, DataAck(6))
		p.Send("infinite mapping", Data("abc"), Map(2, 2, 0))
		p.Send("and no options", Data("def"))
		require.Equal(t, "abcdef", l.Read(conn, 6).Result())
		p.Await("acknowledged by TCP", ACK, AckNo(8))
		require.False(t, conn.Info().MPTCP)
		l.Write(conn, "plain").Result()
		p.Await("data goes on, perhaps with an infinite mapping of the host", ACK, Data("plain"), Seq(6))
		p.Send("acknowledged", ACK)
		l.Write(conn, "TCP").Result()
		p.Await("plain data", ACK, Data("TCP"), Seq(11), NoMPTCP)
	})
}

// 8684-3.7-06, -07, -08, 8684-3.3.1-06: a checksum fails on one of two subflows.
func TestChecksumFailsOnJoin(t *testing.T) {
	Families(t, Options{Paths: 2, PeerChecksum: true}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		p.Send("good", Data("abc"), Map(2, 1, 3))
		p.Await("acknowledged", ACK, AckNo(4), DataAck(5))
		p.Send("bad", Data("def"), Map(5, 4, 3), WrongChecksum)
		s := p.Await("reset with MP_FAIL", Option(option.Fail{DSN: l.PeerDSN(5)}))
		require.NotZero(t, s.Flags&RST)
		first.Send("what follows is not lost", Data("DEFghi"), Map(5, 2, 6))
		require.Equal(t, "abcDEFghi", l.Read(conn, 9).Result())
		first.Await("acknowledged", ACK, DataAck(11))
	})
}

// 8684-3.3.1-06: a mapping over several segments, of which one is bad, is not delivered.
func TestChecksumOfALongMapping(t *testing.T) {
	Test(t, Options{Paths: 2, PeerChecksum: true}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		good := strings.Repeat("g", 2001)
		dss := option.DSS{
			HasMap: true, DSN64: true, DSN: uint64(l.PeerDSN(2)), SSN: 1, Len: 2001, HasChecksum: true,
			Checksum: option.DSSChecksum(uint64(l.PeerDSN(2)), 1, 2001, option.SumBytes([]byte(good))),
		}
		read := l.Read(conn, 2001)
		p.Send("first half", Data(good[:1001]), Option(dss))
		p.Await("acknowledged on the subflow only", ACK, AckNo(1002), DataAck(2))
		p.Send("second half, changed on its way", Data(good[:999]+"X"), Option(dss))
		p.Await("refused", Option(option.Fail{DSN: l.PeerDSN(2)}))
		read.NotDone("nothing of it is delivered")
		first.Send("elsewhere", Data(good[:1001]), Map(2, 2, 1001))
		first.Send("elsewhere", Data(good[1001:]), Map(1003, 1003, 1000))
		require.Equal(t, good, read.Result())
	})
}

// 8684-3.4.1-05, -06, -09, 8684-3.4-01
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

// 8684-3.4.2-05, 8684-3.8-03, 8684-Q-23
func TestNonsenseIsIgnored(t *testing.T) {
	for name, with := range map[string]Part{
		"REMOVE_ADDR of an unknown ID": Option(option.NewRemoveAddr(200, 3)),
		"unknown subtype":              Raw(0x1e, 4, 0x90, 0),
		"private subtype":              Raw(0x1e, 4, 0xf0, 0),
		"DSS of a wrong length":        Raw(0x1e, 5, 0x20, 0x01, 0),
		"DSS that says nothing":        Raw(0x1e, 4, 0x20, 0x02),
		"MP_CAPABLE out of place":      Raw(0x1e, 12, 0x01, 0x01, 1, 2, 3, 4, 5, 6, 7, 8),
		"MP_JOIN out of place":         Raw(0x1e, 12, 0x10, 0x01, 1, 2, 3, 4, 5, 6, 7, 8),
		"option without an end":        Raw(0x1e, 40, 0x20, 0x01),
		"length 0":                     Raw(0x1e, 0, 1, 1),
		"DATA_ACK of the future":       DataAck(1_000_000),
		"DATA_ACK of the past":         DataAck(-1_000_000),
		"DATA_FIN without mapping":     Raw(0x1e, 4, 0x20, 0x10),
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, Options{}, func(t *testing.T, l *Lab) {
				p, conn := connected(l)
				p.Send("nonsense", ACK, with)
				p.Never("no reset", second, RST|ACK)
				require.Zero(t, conn.Info().BytesSent)
				carriesOn(l, p, conn)
			})
		})
	}
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
