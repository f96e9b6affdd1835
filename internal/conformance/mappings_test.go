package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.3.1-01: what was declared first stands; a mapping that contradicts it counts only for
// bytes that had none, and with checksums, which cover a whole mapping, not at all.
func TestMappingContradictsMapping(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		Test(t, Options{Paths: 2, PeerChecksum: checksum}, func(t *testing.T, l *Lab) {
			first, conn := connected(l)
			p := l.Join(1, 1)
			p.Send("behind a hole of the subflow", Seq(4), Data("def"), Map(5, 4, 3))
			p.Send("another distance, and more", Seq(4), Data("defghi"), Map(50, 4, 6))
			p.Send("the hole", Seq(1), Data("abc"), Map(2, 1, 3))
			require.Equal(t, "abcdef", l.Read(conn, 6).Result())
			p.Await("acknowledged as first declared", ACK, AckNo(10), DataAck(8))
			first.Send("what belongs behind", Data("ghi"), Map(8, 2, 3))
			require.Equal(t, "ghi", l.Read(conn, 3).Result())
			require.Equal(t, []uint64{1, 0}, counters(l, "DSSNotMatching", "DataCsumErr"))
		})
	}
}

// 8684-6-04: a mapping much longer than the data that comes, overlaps, and copies.
func TestMappingsOfAnyShape(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("a long mapping", Data("abc"), Map(2, 2, 20_000))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		p.Send("nothing more is needed", Data("def"))
		p.Send("a part of it", Data("ghi"), Map(8, 8, 3))
		p.Send("the same in other words, and twice", Data("jkl"), Map(5, 5, 9))
		p.Send("the same in other words, and twice", Seq(11), Data("jkl"), Map(5, 5, 9))
		require.Equal(t, "defghijkl", l.Read(conn, 9).Result())
		p.Send("of bytes long read", ACK, Map(2, 2, 5))
		p.Await("acknowledged", ACK, AckNo(14), DataAck(14))
		require.Zero(t, counters(l, "DSSNotMatching")[0])
	})
}

// 8684-3.8-02: counted, on a join too, and its end may lie out of the window.
func TestMappingOutOfWindowIsCounted(t *testing.T) {
	Families(t, Options{Paths: 2, Config: mptcp.Config{ReceiveBuffer: 64 << 10}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		p.Send("ends far beyond the window", Data("abc"), Map(300_000, 1, 3))
		p.Send("begins before the stream", Data("abc"), Map(-5000, 1, 3))
		l.Sleep(second)
		require.EqualValues(t, 1, counters(l, "NoDSSInWindow")[0])
		require.EqualValues(t, 1, conn.Info().BytesReceived)
		carriesOn(l, first, conn)
	})
}

// 8684-3.3.1-07: urgent data is data, with a mapping and with an infinite one.
func TestUrgentDataAfterFallback(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		const urgent = Flags(0x20)
		p, conn := connected(l)
		p.Send("urgent", urgent, Data("abc"), Map(2, 2, 3))
		p.Send("urgent and plain", urgent, Data("def"), Map(5, 5, 0))
		require.Equal(t, "abcdef", l.Read(conn, 6).Result())
	})
}

// 8684-6-03: bytes that are sent again after a fallback are the same, at the same numbers.
func TestRetransmissionAfterFallback(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		l.Write(conn, " you").Result()
		p.Await("data", ACK, Data(" you"), Map(6, 6, 4))
		p.Send("some of it, without option", ACK, AckNo(6))
		p.Await("the rest again, told of the fallback", ACK, Data(" you"), Seq(6), Map(1, 1, 0))
		p.Send("all", ACK, AckNo(10))
		l.Sleep(2 * Delay)
		require.Zero(t, l.Host.Counters()["DSSCorruptionReset"])
		l.Write(conn, strings.Repeat("x", 100)).Result()
		p.Await("new", ACK, SomeData, Seq(10), Without(option.SubtypeCapable))
	})
}
