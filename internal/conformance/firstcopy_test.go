package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
)

// 8684-3.3.1-03: the bytes that came first are delivered.
func TestFirstCopyWins(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		first.Send("behind a gap", Data("DEF"), Map(5, 2, 3))
		first.Await("acknowledged there only", ACK, AckNo(5), DataAck(2))
		p.Send("with the gap, and another version", Data("abcdef"), Map(2, 1, 6))
		p.Await("acknowledged", ACK, AckNo(7), DataAck(8))
		require.Equal(t, "abcDEF", l.Read(conn, 6).Result())
		p.Send("and again", Data("xyz"), Map(5, 7, 3))
		p.Send("news", Data("g"), Map(8, 10, 1))
		require.Equal(t, "g", l.Read(conn, 1).Result())
	})
}

// 8684-3.3.1-03: the same on one subflow, where the copy that came first is also read first.
func TestFirstCopyOnTheSameSubflow(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		p.Send("behind a gap", Data("DEF"), Map(5, 1, 3))
		p.Send("another version of it", Data("defg"), Map(5, 4, 4))
		p.Await("acknowledged there only", ACK, AckNo(8), DataAck(2))
		first.Send("the gap, and a third version", Data("abcd"), Map(2, 2, 4))
		first.Await("acknowledged", ACK, AckNo(6), DataAck(9))
		require.Equal(t, "abcDEFg", l.Read(conn, 7).Result())
		require.EqualValues(t, 2, l.Host.Counters()["DuplicateData"])
	})
}

// 8684-3.3.1-03: a copy that was passed over is not looked for again, though the rest of its mapping has yet to come.
func TestFirstCopyBehindOthers(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		p.Send("behind a gap", Data("GHI"), Map(8, 1, 3))
		p.Await("acknowledged there only", ACK, AckNo(4), DataAck(2))
		p.Send("what is due", Data("ABC"), Map(2, 4, 3))
		p.Await("acknowledged", ACK, AckNo(7), DataAck(5))
		first.Send("a copy of that, half a mapping", Data("abc"), Map(2, 2, 6))
		first.Await("acknowledged", ACK, AckNo(5), DataAck(5))
		require.Equal(t, "ABC", l.Read(conn, 3).Result())
		first.Send("the gap, the other half", Data("def"))
		first.Await("acknowledged", ACK, AckNo(8), DataAck(11))
		require.Equal(t, "defGHI", l.Read(conn, 6).Result())
	})
}
