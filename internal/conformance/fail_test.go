package conformance

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/scheduler"
)

var withChecksum = Options{PeerChecksum: true}

// 8684-3.7-06, -08, -09, -11, -14, 8684-6-05, 8684-Q-12: a checksum fails on the only subflow:
// MP_FAIL on an ACK. What failed waits, until the peer says that it is plain TCP. The peer's
// infinite mapping begins somewhere; only the distance counts.
func TestChecksumFailsOnTheOnlySubflow(t *testing.T) {
	for name, inf := range map[string]Part{"from the intact byte": Map(1, 1, 0), "from the new data": Map(8, 8, 0)} {
		t.Run(name, func(t *testing.T) {
			Families(t, withChecksum, func(t *testing.T, l *Lab) {
				p, conn := connected(l)
				read := l.Read(conn, 9)
				p.Send("bad", Data("abc"), Map(2, 2, 3), WrongChecksum)
				p.Await("MP_FAIL, and no DATA_ACK", ACK, AckNo(5), DataAck(2), Option(option.Fail{DSN: l.PeerDSN(2)}))
				p.Send("more that was under way", Data("def"), Map(5, 5, 3))
				p.Await("acknowledged on the subflow only", ACK, AckNo(8), DataAck(2))
				read.NotDone("nothing of it is delivered")
				p.Send("answer", ACK, Option(option.Fail{DSN: l.HostDSN(1)}))
				p.Send("new data with the infinite mapping", Data("ghi"), inf)
				require.Equal(t, "abcdefghi", read.Result())
				p.Await("no DATA_ACK any more", ACK, AckNo(11), NoMPTCP)
				l.Write(conn, "hello").Result()
				p.Await("the other direction", ACK, Data("hello"), Seq(1), Map(1, 1, 0))
				p.Send("acknowledged", ACK)
				p.Never("it is not answered again", 20*second, With(option.SubtypeFail))
				require.Equal(t, []uint64{1, 1, 1, 1, 1, 1}, counters(l, "DataCsumErr", "MPFailTx", "MPFailRx", "InfiniteMapRx", "InfiniteMapTx", "DSSCorruptionFallback"))
			})
		})
	}
}

func counters(l *Lab, names ...string) (list []uint64) {
	all := l.Host.Counters()
	for _, n := range names {
		list = append(list, all[n])
	}
	return list
}

// 8684-3.7-10: the answer, when the peer has nothing more to send and no reason for an infinite
// mapping; and the peer's DATA_FIN after it.
func TestFailAnsweredOnly(t *testing.T) {
	Test(t, withChecksum, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("bad", Data("abc"), Map(2, 2, 3), WrongChecksum)
		p.Await("MP_FAIL", ACK, Option(option.Fail{DSN: l.PeerDSN(2)}))
		p.Send("answer", ACK, Option(option.Fail{DSN: l.HostDSN(1)}))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		p.Send("end of the stream, as in MPTCP", ACK, MapFin(5, 0, 1))
		p.Await("confirmed", ACK, DataAck(6))
		require.ErrorIs(t, l.Read(conn, 1).Err(), io.EOF)
	})
}

// 8684-3.7-11: no answer, but the infinite mapping.
func TestFailAnsweredByInfiniteMapping(t *testing.T) {
	Test(t, withChecksum, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("bad", Data("abc"), Map(2, 2, 3), WrongChecksum)
		p.Await("MP_FAIL", ACK, Option(option.Fail{DSN: l.PeerDSN(2)}))
		p.Send("new data", Data("def"), Map(2, 2, 0))
		require.Equal(t, "abcdef", l.Read(conn, 6).Result())
	})
}

// 8684-3.7-09: MP_FAIL may be lost; a peer that never answers is given up. No subflow may join
// meanwhile.
func TestFailNotAnswered(t *testing.T) {
	Test(t, Options{Paths: 2, PeerChecksum: true, Config: mptcp.Config{BreakTimeout: -1}}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("bad", Data("abc"), Map(2, 2, 3), WrongChecksum)
		for range 3 {
			p.Await("MP_FAIL", ACK, Option(option.Fail{DSN: l.PeerDSN(2)}))
		}
		join := l.Client(1)
		join.Send("join", SYN, Join)
		join.Want("refused", RST|ACK, Reset(option.ReasonMPTCP))
		l.Sleep(120 * second)
		p.Await("reset", RST|ACK, Reset(option.ReasonMiddlebox))
		require.Error(t, l.Read(conn, 1).Err())
	})
}

// 8684-3.7-12: what follows on the only subflow is not known to be contiguous: RST with MP_FAIL.
func TestChecksumFailsBehindAGap(t *testing.T) {
	Families(t, withChecksum, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("behind a gap", Data("def"), Map(5, 2, 3))
		p.Send("bad", Data("ghi"), Map(8, 5, 3), WrongChecksum)
		p.Await("reset with MP_FAIL", RST|ACK, Option(option.Fail{DSN: l.PeerDSN(8)}), Reset(option.ReasonMiddlebox))
		join := l.Join(0, 1)
		join.Send("all that is missing", Data("abcDEFGHI"), Map(2, 1, 9))
		require.Equal(t, "abcdefGHI", l.Read(conn, 9).Result(), "8684-3.3.1-03")
	})
}

// 8684-3.7-10, -11, -14, -15, 8684-Q-11, 8684-Q-12: the peer's checksum has failed: answered
// once, the first new data has the infinite mapping, from the first byte without DATA_ACK.
func TestPeersChecksumFails(t *testing.T) {
	Families(t, Options{Paths: 2, PeerChecksum: true}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		l.Write(conn, "good").Result()
		p.Await("data", ACK, Data("good"), Map(1, 1, 4))
		p.Send("acknowledged", ACK, DataAck(5))
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(5, 5, 5))
		p.Send("it failed", ACK, DataAck(5), Option(option.Fail{DSN: l.HostDSN(5)}))
		p.Await("answer", ACK, Len(0), Option(option.Fail{DSN: l.PeerDSN(2)}))
		p.Never("one is enough, and nothing is sent again", 5*second, ACK)
		l.Write(conn, "more").Result()
		p.Await("infinite mapping, backwards", ACK, Data("more"), Seq(10), Map(5, 5, 0))
		p.Send("acknowledged", Data("abc"))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		l.Write(conn, "plain").Result()
		p.Await("no option", ACK, Data("plain"), NoMPTCP)
		join := l.Client(1)
		join.Send("join", SYN, Join)
		join.Want("refused", RST|ACK)
		require.Equal(t, []uint64{1, 1, 1}, counters(l, "MPFailRx", "MPFailTx", "InfiniteMapTx"))
	})
}

// 8684-3.7-10: the same of a client, and the answer was lost.
func TestPeersChecksumFailsTwice(t *testing.T) {
	Test(t, withChecksum, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		l.Write(conn, "hello").Result()
		p.Want("first data", ACK, Data("hello"), Capable)
		for range 2 {
			p.Send("it failed", ACK, DataAck(1), Option(option.Fail{DSN: l.HostDSN(1)}))
			p.Await("answer", ACK, Option(option.Fail{DSN: l.PeerDSN(1)}))
		}
		p.Send("and an answer to the answer", ACK, Option(option.Fail{DSN: l.HostDSN(3)}))
		p.Never("is not answered", 5*second, With(option.SubtypeFail))
		require.False(t, conn.Info().MPTCP)
	})
}

// 8684-3.7-12: our own data is not contiguous: a subflow that carried some of it has died.
func TestPeersChecksumFailsAfterReinjection(t *testing.T) {
	Test(t, Options{Paths: 2, PeerChecksum: true, Config: mptcp.Config{Scheduler: scheduler.RoundRobin}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		join := l.Join(1, 1)
		for _, s := range []string{"one", "two", "six", "ten"} {
			l.Write(conn, s).Result()
			l.Sleep(2 * Delay)
		}
		join.Send("the join dies", RST|ACK)
		l.Sleep(3 * Delay)
		first.Send("failed", ACK, DataAck(1), Option(option.Fail{DSN: l.HostDSN(1)}))
		first.Await("reset with MP_FAIL", RST|ACK, Option(option.Fail{DSN: l.PeerDSN(2)}))
		again := l.Join(0, 2)
		again.Await("all of it again", ACK, SomeData)
		require.True(t, conn.Info().MPTCP)
	})
}

// 8684-3.7-08: MP_FAIL while there are other subflows, and MP_FAIL of data that was never sent.
func TestFailOfOneOfTwo(t *testing.T) {
	Test(t, Options{Paths: 2, PeerChecksum: true, Config: mptcp.Config{Scheduler: onlyJoins}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		join := l.Join(1, 1)
		join.Send("of data never sent", ACK, Option(option.Fail{DSN: l.HostDSN(1)}))
		l.Sleep(2 * Delay)
		l.Write(conn, "hello").Result()
		join.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		join.Send("RST with MP_FAIL", RST|ACK, Option(option.Fail{DSN: l.HostDSN(1)}))
		first.Await("sent elsewhere", ACK, Data("hello"), Map(1, 1, 5))
		first.Send("acknowledged", ACK, DataAck(6))
		require.True(t, conn.Info().MPTCP)
		require.Equal(t, []uint64{2, 0}, counters(l, "MPFailRx", "MPFailTx"))
	})
}

// 8684-3.3.3-02, 8684-3.7-06: a DATA_FIN with data counts when the checksum of both is right.
func TestDataFinWithBadChecksum(t *testing.T) {
	Test(t, Options{Paths: 2, PeerChecksum: true}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		join := l.Join(1, 1)
		read := l.Read(conn, 10)
		join.Send("bad", Data("abc"), MapFin(2, 1, 4), WrongChecksum)
		join.Await("reset with MP_FAIL", RST|ACK, Option(option.Fail{DSN: l.PeerDSN(2)}))
		first.Send("it was longer", Data("abcdef"), MapFin(2, 2, 7))
		require.Equal(t, "abcdef", read.Result())
		first.Await("acknowledged", ACK, AckNo(8), DataAck(9))
	})
}

// 8684-3.7-15: an infinite mapping while there are two subflows: the other one ends.
func TestInfiniteMappingOfOneOfTwo(t *testing.T) {
	Families(t, Options{Paths: 2}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		join := l.Join(1, 1)
		first.Send("good", Data("abc"), Map(2, 2, 3))
		first.Send("plain from here on", Data("def"), Map(5, 5, 0))
		join.Await("ends", RST|ACK)
		require.Equal(t, "abcdef", l.Read(conn, 6).Result())
		first.Send("plain", Data("ghi"))
		require.Equal(t, "ghi", l.Read(conn, 3).Result())
		again := l.Client(1)
		again.Send("join", SYN, Join)
		again.Want("refused", RST|ACK)
	})
}

// 8684-Q-12, 8684-3.7-15: on a join that is left; a part of what follows came before elsewhere.
func TestInfiniteMappingOnAJoin(t *testing.T) {
	Families(t, Options{Paths: 2}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		join := l.Join(1, 1)
		first.Send("on the initial subflow", Data("abc"), Map(2, 2, 3))
		join.Send("two bytes again, and news", Data("bcdef"), Map(3, 1, 0))
		first.Await("ends", RST|ACK)
		require.Equal(t, "abcdef", l.Read(conn, 6).Result())
		join.Await("acknowledged by TCP", ACK, AckNo(6), NoMPTCP)
		l.Write(conn, "hello").Result()
		join.Await("ours", ACK, Data("hello"), Map(1, 1, 0))
	})
}

// 8684-3.7-12: an infinite mapping that leaves a gap, or contradicts what came, is not followed.
func TestInfiniteMappingThatDoesNotFit(t *testing.T) {
	for name, inf := range map[string]Part{"a gap": Map(3, 2, 0), "another distance than a mapping before": Map(1, 2, 0)} {
		t.Run(name, func(t *testing.T) {
			Test(t, Options{Config: mptcp.Config{BreakTimeout: -1}}, func(t *testing.T, l *Lab) {
				p, conn := connected(l)
				p.Send("mapping of data to come", Seq(5), Data("def"), Map(5, 5, 3))
				p.Send("infinite mapping", Seq(2), Data("abc"), inf)
				p.Await("reset", Reset(option.ReasonMiddlebox))
				require.Error(t, l.Read(conn, 1).Err())
			})
		})
	}
}
