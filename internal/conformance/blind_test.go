package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// blind are segments of an attacker who knows addresses and ports, and even the keys, but
// guesses the sequence numbers wrongly, at a time when the peer's next one is next and the
// host has sent up to sent.
func blind(l *Lab, next, sent uint32) [][]Part {
	ahead, behind := []Part{Seq(next + 1<<30), AckNo(sent)}, []Part{Seq(next - 1<<30), AckNo(sent)}
	unsent, ancient := []Part{Seq(next), AckNo(sent + 1<<20)}, []Part{Seq(next), AckNo(sent - 1<<30)}
	address := option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 0, 99))
	var list [][]Part
	for _, what := range [][]Part{
		{ACK},
		{ACK, Win(0)},
		{Data("evil")},
		{Data("evil"), Map(2, next, 4)},
		{ACK, DataAck(6)},
		{ACK, MapFin(2, 0, 1)},
		{FIN | ACK},
		{ACK, Option(address)},
		{ACK, Option(option.NewRemoveAddr(0))},
		{ACK, Option(option.Prio{Backup: true})},
		{ACK, Option(option.Fail{DSN: l.PeerDSN(1)})},
		{ACK, Option(option.FastClose{ReceiverKey: l.HostKey})},
		{ACK, Map(2, 0, 0)},
		{RST, Reset(option.ReasonProhibited)},
		{RST | ACK, Option(option.FastClose{ReceiverKey: l.HostKey})},
		{ACK, Join},
		{SYN | ACK, Capable},
		{SYN | ACK, Join},
	} {
		places := [][]Part{ahead, behind, unsent, ancient}
		switch {
		case what[0] == RST:
			places = places[:2] // what a RST acknowledges is not looked at
		case what[0] == RST|ACK, what[0] == SYN|ACK:
			places = places[:2]
		}
		for _, at := range places {
			list = append(list, append(append([]Part{}, what...), at...))
		}
	}
	return append(list, []Part{PSH, Seq(next)}, append([]Part{SYN}, ahead...), append([]Part{SYN}, behind...))
}

// attack sends such segments to a subflow; nothing of what can be seen of the host changes.
func attack(t *testing.T, l *Lab, p *Peer, conn *mptcp.Conn, next, sent uint32) {
	t.Helper()
	before := l.Host.Counters()
	var info mptcp.Info
	if conn != nil {
		info = conn.Info()
	}
	for _, segment := range blind(l, next, sent) {
		p.Inject("the attacker's", segment...)
	}
	l.Sleep(5 * Delay)
	require.Equal(t, before, l.Host.Counters())
	if conn != nil {
		require.Equal(t, info, conn.Info())
	}
}

// 8684-3-03, 8684-3.4.1-10, 8684-3.4.2-03: an established connection, with data in flight, on its
// initial subflow and on a join.
func TestBlindAttackOnConnection(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		join := l.Join(1, 1)
		l.Write(conn, "hello").Result()
		p.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		attack(t, l, p, conn, 2, 6)
		attack(t, l, join, conn, 1, 1)
		p.Forget()
		p.Send("acknowledged", ACK, DataAck(6))
		l.Sleep(2 * Delay)
		require.EqualValues(t, 5, conn.Info().BytesSent)
		p.Send("data goes on", Data("on"), Map(2, 2, 2))
		require.Equal(t, "on", l.Read(conn, 2).Result())
		l.Write(conn, "back").Result()
		p.Await("the other way too", ACK, Data("back"), Map(6, 6, 4))
		join.Send("and on the join", Data("too"), Map(4, 1, 3))
		require.Equal(t, "too", l.Read(conn, 3).Result())
	})
}

// 8684-3-03: a connection that is being closed.
func TestBlindAttackWhileClosing(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		require.NoError(t, conn.CloseWrite())
		p.Want("DATA_FIN", ACK, MapFin(1, 0, 1))
		attack(t, l, p, conn, 2, 1)
		p.Forget()
		p.Send("data goes on", Data("on"), Map(2, 2, 2), DataAck(2))
		require.Equal(t, "on", l.Read(conn, 2).Result())
		p.Send("the end", ACK, MapFin(4, 0, 1))
		p.Await("the end of the subflow", FIN|ACK)
	})
}

// 8684-3-03: plain TCP.
func TestBlindAttackOnPlainTCP(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN", SYN)
		p.Send("SYN/ACK", SYN|ACK)
		p.Want("ACK", ACK)
		conn := dial.Result()
		l.Write(conn, "hello").Result()
		p.Want("data", Data("hello"))
		attack(t, l, p, conn, 1, 6)
		p.Forget()
		p.Send("acknowledged", Data("welcome"), AckNo(6))
		require.Equal(t, "welcome", l.Read(conn, 7).Result())
		require.EqualValues(t, 5, conn.Info().BytesSent)
	})
}

// 8684-3-03, 8684-3.1-17: a server's handshake under way, of a connection and of a join.
func TestBlindAttackOnHandshake(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Send("SYN", SYN, Capable)
		p.Want("SYN/ACK", SYN|ACK, Capable)
		attack(t, l, p, nil, 1, 1)
		p.Send("third packet", ACK, Capable)
		conn := accept.Result()
		p.Send("first data", Data("x"), Capable)
		p.Await("accepted", ACK, DataAck(2))
		require.True(t, conn.Info().MPTCP)

		j := l.Client(1)
		j.Send("join", SYN, Join)
		j.Want("SYN/ACK", SYN|ACK, Join)
		attack(t, l, j, conn, 1, 1)
		j.Send("third packet", ACK, Join)
		j.Await("fourth packet", ACK, Len(0), DataAck(2))
	})
}

// 8684-3-03: a client's handshake under way. A SYN alone would be a simultaneous open.
func TestBlindAttackOnDial(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN", SYN, Capable)
		for _, flags := range []Flags{ACK, RST | ACK, RST, FIN | ACK, SYN | ACK} {
			for range 10 { // each makes the endpoint send its SYN again
				p.Inject("the attacker's", flags, Seq(77), AckNo(1000), CapableFlags(option.HMACSHA256))
				l.Sleep(2 * Delay)
			}
		}
		p.Forget()
		p.Send("SYN/ACK", Seq(0), SYN|ACK, AckNo(1), Capable)
		p.Await("third packet", ACK, Capable)
		require.True(t, dial.Result().Info().MPTCP)
		p.Confirm()

		j := l.Opened("join", SYN, Join)
		for _, flags := range []Flags{ACK, RST | ACK, RST, SYN | ACK} {
			j.Inject("the attacker's", flags, Seq(77), AckNo(1000))
		}
		l.Sleep(2 * Delay)
		j.Forget()
		j.Send("SYN/ACK", Seq(0), SYN|ACK, AckNo(1), Join)
		j.Await("third packet", ACK, Join)
		j.Inject("not the fourth packet", ACK, DataAck(1), Seq(1<<30), AckNo(1))
		j.Inject("not the fourth packet", ACK, DataAck(1), Seq(1), AckNo(1<<20))
		j.Await("it is still waited for", ACK, Join)
		j.Send("fourth packet", ACK, DataAck(1))
		j.Never("the third is not repeated", 20*time.Second, With(option.SubtypeJoin))
	})
}
