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

// 8684-3.7-04: the same, after a DSS of the server, whose data is acknowledged without
// DATA_ACK. The client may not have noticed yet, and not learn it from data: ACKs tell it, and
// keep it from sending again what plain TCP would deliver twice.
func TestOptionsVanishAfterServerSpoke(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Connect()
		l.Write(conn, "hello").Result()
		p.Await("data with a mapping", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("data without option", Data("abc"))
		p.Await("plain TCP from the first byte on", ACK, Len(0), AckNo(4), DataAck(4), Map(1, 1, 0))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		require.False(t, conn.Info().MPTCP)
		l.Write(conn, "more").Result()
		p.Await("new data tells it, too", ACK, Data("more"), Seq(6), Map(1, 1, 0))
		p.Send("acknowledged", ACK)
		l.Sleep(2 * Delay)
		l.Write(conn, "again").Result()
		p.Await("plain data", ACK, Data("again"), NoMPTCP)
		p.Send("acknowledged", Data("def"))
		p.Await("without option", ACK, AckNo(7), NoMPTCP)
		require.EqualValues(t, 1, l.Host.Counters()["DssFallback"])
		require.EqualValues(t, 1, l.Host.Counters()["InfiniteMapTx"])
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

// 8684-3.3.1-10, 8684-3.7-05: much data without a mapping on a join.
func TestNoMappingForAWindowOfData(t *testing.T) {
	Test(t, Options{Paths: 2, Config: mptcp.Config{ReceiveBuffer: 20_000}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		for range 100 {
			p.Send("no mapping", Data(strings.Repeat("?", 1000)))
			l.Sleep(3 * Delay)
		}
		s := p.Await("reset", With(option.SubtypeReset))
		require.NotZero(t, s.Flags&RST)
		carriesOn(l, first, conn)
	})
}
