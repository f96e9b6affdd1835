package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/scheduler"
)

// oldest is a scheduler that uses the first subflow as long as there is one.
type oldest struct{}

func onlyInitial() scheduler.Scheduler { return oldest{} }

func (oldest) Name() string { return "oldest" }

func (oldest) Pick(_ scheduler.Request, paths []scheduler.Path, picked []int) []int {
	if paths[0].Room == 0 {
		return picked
	}
	return append(picked, 0)
}

// 8684-3.7-04, 8684-3.7-01: the options of the server's data vanish, those of the client's do
// not; the client has long been confirmed. The server, which goes on with MPTCP until it
// notices, is not contradicted by its mappings.
func TestServersOptionsVanishInMidStream(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		l.Write(conn, "hello").Result()
		p.Want("first data", ACK, Data("hello"), Capable)
		p.Send("acknowledged", ACK, DataAck(6))
		p.Send("first data without option", Data("abc"))
		p.Await("plain TCP", ACK, AckNo(4), DataAck(4), Map(6, 6, 0))
		p.Send("a mapping that came through", Data("def"), Map(4, 4, 3), DataAck(6))
		require.Equal(t, "abcdef", l.Read(conn, 6).Result())
		p.Send("an infinite mapping that came through", Data("ghi"), Map(4, 4, 0))
		p.Await("now the peer knows: no DATA_ACK", ACK, AckNo(10), NoMPTCP)
		require.NoError(t, conn.CloseWrite())
		p.Await("new data would tell it; the FIN does", FIN|ACK, Map(6, 6, 0))
		p.Send("end", FIN|ACK)
		require.Equal(t, "ghi", l.Read(conn, 10).Result())
	})
}

// 8684-3.7-04, 8684-6-05: after a fallback a mapping of the peer that contradicts it is no
// reason to guess.
func TestMappingContradictsFallback(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		l.Write(conn, "hello").Result()
		p.Want("first data", ACK, Data("hello"), Capable)
		p.Send("acknowledged without option", Data("abc"))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		p.Send("the same bytes again, as data level retransmissions are", Data("abc"), Map(1, 4, 3), DataAck(6))
		p.Await("reset", RST|ACK)
		require.ErrorContains(t, l.Read(conn, 1).Err(), "does not fit")
	})
}

// 8684-3.7-05: options vanish in mid-connection: broken, with RST. 8684-3.3.1-08: till then the
// data is acknowledged on the subflow only.
func TestOptionsVanishInMidStream(t *testing.T) {
	Families(t, Options{Config: mptcp.Config{BreakTimeout: -1}}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("no mapping", Data("abc"))
		p.Await("acknowledged here", ACK, AckNo(5), DataAck(2))
		l.Sleep(3 * time.Second)
		require.EqualValues(t, 1, conn.Info().BytesReceived)
		p.Await("reset", RST|ACK, Reset(option.ReasonMiddlebox))
		require.EqualValues(t, 1, l.Host.Counters()["DSSCorruptionReset"])
		require.ErrorIs(t, l.Read(conn, 1).Err(), mptcp.ErrNoPath)
	})
}

// 8684-6-02: lost mappings are harmless as long as others cover the bytes.
func TestEverySecondMappingLost(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		for i := range 10 {
			at := 2 + 6*i
			p.Send("mapping of two segments", Data("abc"), Map(at, uint32(at), 6))
			p.Send("none here", Data("def"))
			require.Equal(t, "abcdef", l.Read(conn, 6).Result())
		}
		p.Await("all acknowledged", ACK, AckNo(62), DataAck(62))
	})
}

// 8684-Q-31, 8684-3.7-03: the initial subflow loses its options while there is another one.
func TestInitialWithoutDataAck(t *testing.T) {
	Families(t, Options{Paths: 2, Config: mptcp.Config{Scheduler: onlyInitial}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		join := l.Join(1, 1)
		l.Write(conn, "hello").Result()
		first.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		first.Send("acknowledged without option", ACK)
		first.Await("reset", RST|ACK, Reset(option.ReasonMiddlebox))
		join.Await("the data goes elsewhere", ACK, Data("hello"), Map(1, 1, 5))
		join.Send("acknowledged", ACK, DataAck(6))
		require.True(t, conn.Info().MPTCP)
	})
}

// 8684-Q-10: a DATA_ACK that covers no data, as an ACK proxy makes of an ACK that was under
// way, is no confirmation; the next one, without DATA_ACK, is a reason to fall back.
func TestAckProxyPromises(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("promised, on an older ACK", ACK, DataAck(1))
		p.Never("nothing is sent twice", 5*second, ACK, Data("hello"))
		p.Send("promised", ACK)
		p.Await("plain TCP", ACK, Map(1, 1, 0), DataAck(2))
		require.NoError(t, conn.CloseWrite())
		p.Await("the end", FIN|ACK, Map(1, 1, 0))
	})
}

// 8684-Q-20: F without M, and F that the length does not count.
func TestDataFinThatSaysNothing(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("F without M", ACK, Raw(0x1e, 4, 0x20, 0x10))
		p.Send("F with length 0", ACK, MapFin(2, 0, 0))
		l.Sleep(second)
		require.True(t, conn.Info().MPTCP)
		carriesOn(l, p, conn)
	})
}

// 8684-Q-10: an ACK whose room another option has taken says nothing of the path.
func TestOtherOptionInPlaceOfDataAck(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("acknowledged by an ACK for something else", ACK, Option(option.Prio{}))
		l.Sleep(second)
		require.True(t, conn.Info().MPTCP)
		p.Send("acknowledged", ACK, DataAck(6))
		join := l.Join(1, 1)
		join.Send("the same on a join", ACK, Option(option.Prio{}))
		l.Sleep(second)
		require.Len(t, conn.Info().Subflows, 2)
	})
}

// 8684-3.7-04, 8684-3.7-05: the path takes options both ways, one way after some mapped data: what
// came without mapping since then may be anything, so the connection does not fall back.
func TestNoFallbackWithUnmappedData(t *testing.T) {
	Families(t, Options{Config: mptcp.Config{BreakTimeout: -1}}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Send("mapped", Data("abc"), Map(1, 1, 3), DataAck(1))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		p.Send("not mapped: new data, or the same again", Data("abc"))
		l.Sleep(2 * Delay)
		l.Write(conn, "hello").Result()
		p.Await("first data", ACK, Data("hello"))
		p.Send("acknowledged without option", ACK)
		p.Await("reset", RST|ACK, Reset(option.ReasonMiddlebox))
		require.ErrorIs(t, l.Read(conn, 1).Err(), mptcp.ErrNoPath)
	})
}
