package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.3-02, -03
func TestChecksumAgainstWhatWasNegotiated(t *testing.T) {
	for _, negotiated := range []bool{false, true} {
		Families(t, Options{Paths: 2, PeerChecksum: negotiated}, func(t *testing.T, l *Lab) {
			first, conn := connected(l)
			p := l.Join(1, 1)
			with := WithChecksum
			if negotiated {
				with = NoChecksum
			}
			p.Send("checksum, or none, though not negotiated", Data("abc"), Map(2, 1, 3), with)
			s := p.Await("reset", Reset(option.ReasonMPTCP))
			require.NotZero(t, s.Flags&RST)
			carriesOn(l, first, conn)
		})
	}
}

// 8684-3.3.1-01, 8684-3.7-02: what is sent again has the mapping that it had.
func TestRetransmissionRepeatsMapping(t *testing.T) {
	Families(t, Options{PeerChecksum: true}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		for _, s := range []string{"one", "twotwo"} {
			l.Write(conn, s).Result()
		}
		p.Await("first", ACK, Data("one"), Map(1, 1, 3))
		p.Await("second", ACK, Data("twotwo"), Map(4, 4, 6))
		p.Await("sent again", ACK, Data("twotwo"), Map(4, 4, 6), Seq(4))
		p.Send("the second is there", ACK, AckNo(1), DataAck(1), sack(p, 4, 10))
		p.Await("the first again", ACK, Data("one"), Map(1, 1, 3), Seq(1))
	})
}

// 8684-3.3.1-08, -09, 8684-Q-28: data without a mapping is acknowledged on the subflow only; the
// mapping may come later.
func TestMappingComesLater(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		_, conn := connected(l)
		p := l.Join(1, 1)
		read := l.Read(conn, 6)
		p.Send("no mapping", Data("abc"))
		p.Await("acknowledged on the subflow", ACK, AckNo(4), DataAck(2))
		read.NotDone("nobody knows where it belongs")
		p.Send("mapping of both", Data("def"), Map(2, 1, 6))
		p.Await("acknowledged", ACK, AckNo(7), DataAck(8))
		require.Equal(t, "abcdef", read.Result())
	})
}

// 8684-3.3.1-16, 8684-1.1-01: a mapping over several segments, which come in any order.
func TestMappingOverSegments(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		Families(t, Options{PeerChecksum: checksum}, func(t *testing.T, l *Lab) {
			p, conn := connected(l)
			sum := option.DSS{HasMap: true, DSN64: true, DSN: uint64(l.PeerDSN(2)), SSN: 2, Len: 9, HasChecksum: checksum}
			if checksum {
				sum.Checksum = option.DSSChecksum(sum.DSN, 2, 9, option.SumBytes([]byte("abcdefghi")))
			}
			p.Send("end", Seq(8), Data("ghi"))
			p.Send("middle with the mapping", Seq(5), Data("def"), Option(sum))
			p.Send("beginning", Seq(2), Data("abc"))
			require.Equal(t, "abcdefghi", l.Read(conn, 9).Result())
			p.Await("acknowledged", ACK, AckNo(11), DataAck(11))
		})
	}
}

// 8684-3.3.1-12, -13, 8684-3.3.2-02, 8684-Q-27
func TestWidthsOfNumbers(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("4 bytes", Data("a"), Map(2, 2, 1))
		p.Await("acknowledged", ACK, AckNo(3), DataAck(3))
		p.Send("8 bytes", Data("b"), Map(3, 3, 1), DataAck(1), Wide)
		p.Await("acknowledged with 8 bytes", ACK, AckNo(4), DataAck(4), Wide)
		p.Send("4 bytes again", Data("c"), Map(4, 4, 1))
		p.Await("acknowledged", ACK, AckNo(5), DataAck(5))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("8 bytes of DATA_ACK", ACK, DataAck(6), Wide)
		p.Never("it was understood", 3*second, SomeData)
	})
}

// 8684-3.3.1-11, -15, T-K7: the lower half wraps after 49 bytes.
func TestNumbersWrap(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		Test(t, Options{PeerKey: option.Key{0xb0, 0, 0, 0, 0, 0xda, 0x41, 0xbf}, PeerChecksum: checksum}, func(t *testing.T, l *Lab) {
			p, conn := connected(l)
			require.Equal(t, uint32(0), l.PeerDSN(50).Low())
			text := strings.Repeat("0123456789", 10)
			p.Send("after the wrap, early", Seq(52), Data(text[50:]), Map(52, 52, 50))
			p.Send("over the wrap", Seq(42), Data(text[40:50]), Map(42, 42, 10))
			p.Send("before it", Seq(2), Data(text[:40]), Map(2, 2, 40))
			p.Send("and again", Seq(2), Data(text[:40]), Map(2, 2, 40))
			require.Equal(t, text, l.Read(conn, 100).Result())
			p.Await("acknowledged", ACK, AckNo(102), DataAck(102))
		})
	}
}

// 8684-3.3.2-01: a hole on one subflow: DATA_ACK stands, the other's ACKs move.
func TestDataAckIsCumulative(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		read := l.Read(conn, 6)
		p.Send("behind a hole", Data("def"), Map(5, 1, 3))
		p.Await("acknowledged on the subflow", ACK, AckNo(4), DataAck(2))
		read.NotDone("there is a hole")
		first.Send("the hole", Data("abc"), Map(2, 2, 3))
		first.Await("all", ACK, AckNo(5), DataAck(8))
		require.Equal(t, "abcdef", read.Result())
	})
}

// 8684-3.3.2-03, 8684-3.3.5-01: the window counts with a DATA_ACK only, its edge only grows.
func TestWindowCountsWithDataAck(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Window = 1000
		p.Send("SYN", SYN, Capable)
		p.Want("SYN/ACK", SYN|ACK, Capable)
		p.Send("third packet", ACK, Capable)
		conn := accept.Result()
		l.Write(conn, strings.Repeat("x", 1000)).Result()
		p.Await("all of the window", ACK, SomeData)
		p.Forget()
		p.Send("acknowledged, the window is shut", ACK, Win(0), DataAck(1001))
		l.Sleep(2 * Delay)
		l.Write(conn, strings.Repeat("y", 3000))
		p.Send("open, but without DATA_ACK", ACK, Win(2000))
		p.Never("that does not count", second/10, SomeData)
		p.Send("open", ACK, Win(2000), DataAck(1001))
		s := p.Await("data", ACK, SomeData, Seq(1001))
		require.LessOrEqual(t, s.Seq+uint32(len(s.Payload)), uint32(3001))
		p.Send("an old DATA_ACK with a smaller edge", ACK, Win(2000), DataAck(1))
		p.Send("acknowledged up to there", ACK, Win(uint16(3001-s.Seq)), DataAck(1001))
		p.Await("more, up to the edge", ACK, SomeData)
	})
}

// 8684-3.3.2-04, 8684-3.3.6-01, -03, 8684-4-01: what only the subflow has acknowledged is sent
// again.
func TestSubflowAckIsNoDataAck(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		first, conn := l.Accept()
		l.Write(conn, "hello").Result()
		first.Want("first data", ACK, Data("hello"), Capable)
		first.Send("acknowledged", ACK, DataAck(6))
		join := l.AcceptJoin(0)
		l.Write(conn, "again").Result()
		first.Await("data", ACK, Data("again"), Map(6, 6, 5))
		first.Send("acknowledged, but by no DATA_ACK", ACK, DataAck(6))
		join.Await("sent again elsewhere", ACK, Data("again"), Map(6, 1, 5))
		join.Send("acknowledged", ACK, DataAck(11))
	})
}

// 8684-3.8-02
func TestDataOutOfWindow(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{ReceiveBuffer: 64 << 10}}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("far beyond the window", Data("abc"), Map(10_000_000, 2, 3))
		p.Never("not acknowledged at either level", second, ACK, AckNo(5))
		p.Send("what belongs there", Seq(2), Data("abc"), Map(2, 2, 3))
		p.Await("acknowledged", ACK, AckNo(5), DataAck(5))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
	})
}

// 8684-3.3.4-01, -02: the edge of the window never moves left.
func TestWindowEdgeNeverMovesLeft(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{ReceiveBuffer: 20_000}}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		edge, next := 0, 2
		look := func(s *Segment) {
			d, _ := s.Options.DSS()
			at := int(d.WideAck(l.PeerDSN(0)).Sub(l.PeerDSN(0))) + int(s.Window)<<p.HostScale
			require.GreaterOrEqual(t, at, edge)
			edge = at
		}
		for next+1000 < max(edge, 3000) {
			p.Send("data that nobody reads", Data(strings.Repeat("z", 1000)), Map(next, uint32(next), 1000))
			next += 1000
			look(p.Await("acknowledged", ACK, AckNo(uint32(next)), DataAck(next)))
		}
		require.Greater(t, next, 10_000)
		l.Read(conn, next-2).Result()
		look(p.Await("the window opens again", ACK, DataAck(next)))
		require.Greater(t, edge, next+10_000)
	})
}

// 8684-3.3.1-07: nothing of ours has URG; 8684-3.3.1-16, 8684-3.7-02: every segment has a mapping until the
// first DATA_ACK.
func TestEverySegmentHasAMapping(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		l.Write(conn, strings.Repeat("m", 10_000)).Result()
		for got := 0; got < 10_000; {
			s := p.Await("data", ACK, SomeData)
			dss, ok := s.Options.DSS()
			require.True(t, ok && dss.HasMap)
			start, end := dss.SSN, dss.SSN+uint32(dss.Len)
			require.True(t, start < s.Seq+uint32(len(s.Payload)) && s.Seq < end)
			got += len(s.Payload)
		}
	})
}

// 8684-3.3.4-01: a shut window of the connection is probed, and opens again.
func TestShutWindow(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Window = 1000
		p.Send("SYN", SYN, Capable)
		p.Want("SYN/ACK", SYN|ACK, Capable)
		p.Send("third packet", ACK, Capable)
		conn := accept.Result()
		l.Write(conn, strings.Repeat("x", 3000)).Result()
		p.Await("all of the window", ACK, SomeData)
		p.Window = 0
		p.Send("acknowledged, shut", ACK, DataAck(1001))
		l.Sleep(2 * Delay)
		p.Forget()
		s := p.Want("it asks whether the window has opened", ACK)
		require.LessOrEqual(t, len(s.Payload), 1)
		p.Send("still shut", ACK, DataAck(1001+len(s.Payload)))
		p.Await("it asks again", ACK)
		p.Window = 60_000
		p.Send("open", ACK, DataAck(1001))
		for end := uint32(0); end < 3001; {
			s := p.Await("the rest", ACK, SomeData)
			end = s.Seq + uint32(len(s.Payload))
			p.Send("acknowledged", ACK, AckNo(end), DataAck(int(end)))
		}
	})
}

// 8684-3.8-02, 8684-3.3.4-01: a flood of mappings without data, each elsewhere.
func TestFloodOfMappings(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		for i := range 3000 {
			p.Send("mapping of data to come", ACK, Map(100+2*i, uint32(100+2*i), 1))
		}
		l.Sleep(second)
		carriesOn(l, p, conn)
	})
}
