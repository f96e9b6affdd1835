package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-5-01: a flood of SYNs from false addresses: the oldest make room, without a word, and
// whoever completes its handshake gets in, with all that TCP offers.
func TestSYNFlood(t *testing.T) {
	Families(t, Options{Config: mptcp.Config{MaxHalfOpen: 32, KeepAlive: -1}}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		var flood []*Peer
		for range 200 {
			p := l.Client(0)
			p.Send("false SYN", SYN, Capable)
			l.HostKey = option.Key{}
			flood = append(flood, p)
		}
		p := l.Client(0)
		p.Send("true SYN", SYN, Capable)
		s := p.Want("SYN/ACK", SYN|ACK, Capable)
		_, scaled := s.Options.WindowScale()
		require.True(t, scaled, "no SYN cookies, which forget the window scale")
		require.True(t, s.Options.SACKPermitted())
		p.Send("third packet", ACK, Capable)
		conn := accept.Result()
		p.Send("first data", Data("x"), Capable)
		p.Await("accepted", ACK, DataAck(2))
		require.Equal(t, "x", l.Read(conn, 1).Result())
		require.EqualValues(t, 200+1-32, l.Host.Counters()["HalfOpenDrop"])

		flood[0].Want("the answer to it", SYN|ACK)
		flood[0].Silence("it was given up without a word", 100*time.Second)
		for range 5 { // 1, 2, 4, 8 and 16 s later, and 32
			flood[199].Await("the newest is still waited for", SYN|ACK)
		}
		carriesOn(l, p, conn)
	})
}

// 8684-3.2-20, 8684-5-01: whoever has seen the token begins many joins. They take no
// subflow from the peer, whose join gets in.
func TestJoinFlood(t *testing.T) {
	for name, port := range map[string]uint16{"listener": Port, "no listener": 8443} {
		t.Run(name, func(t *testing.T) {
			Families(t, Options{Paths: 2, Config: mptcp.Config{MaxSubflows: 2, KeepAlive: -1}}, func(t *testing.T, l *Lab) {
				first, conn := connected(l)
				var flood []*Peer
				for range 100 {
					p := l.ClientTo(1, port)
					p.Send("false join", SYN, Join)
					p.Want("SYN/ACK", SYN|ACK, Join)
					flood = append(flood, p)
				}
				p := l.ClientTo(1, port).SetID(1, false)
				p.Send("true join", SYN, Join)
				p.Want("SYN/ACK", SYN|ACK, Join)
				p.Send("third packet", ACK, Join)
				p.Want("fourth packet", ACK, Len(0), Without(option.SubtypeJoin))
				require.EqualValues(t, 100+1-16, l.Host.Counters()["JoinHalfOpenDrop"])
				require.EqualValues(t, 1, l.Host.Counters()["MPJoinAckRx"])
				flood[0].Silence("given up without a word", 100*time.Second)
				p.Forget()
				p.Send("data", Data("on"), Map(2, 1, 2))
				require.Equal(t, "on", l.Read(conn, 2).Result())
				first.Forget()
			})
		})
	}
}

// 8684-3.2-09, 8684-Q-04, 8684-3.6-02: the limit is looked at again when a join is completed.
func TestLimitWhenJoinsComplete(t *testing.T) {
	Test(t, Options{Paths: 2, Config: mptcp.Config{MaxSubflows: 2, KeepAlive: -1}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		var joins []*Peer
		for range 3 {
			p := l.Client(1)
			p.Send("join", SYN, Join)
			p.Want("SYN/ACK", SYN|ACK, Join)
			joins = append(joins, p)
		}
		joins[0].Send("third packet", ACK, Join)
		joins[0].Want("fourth packet", ACK, Len(0), DataAck(2))
		for _, p := range joins[1:] {
			p.Send("third packet", ACK, Join)
			p.Await("one too many, for now", RST|ACK, Option(option.Reset{Reason: option.ReasonProhibited, Transient: true}))
			p.Silence("and that is all: the stack does not repeat its SYN/ACK", 5*time.Second)
		}
		require.EqualValues(t, 2, l.Host.Counters()["MPJoinRejected"])
		carriesOn(l, first, conn)
	})
}

// 8684-3.2-09, 8684-Q-04, 8684-3.6-02, 8684-3.9.2-02: a peer that joins and resets all the time has to wait.
func TestJoinsThatEndAtOnce(t *testing.T) {
	Test(t, Options{Paths: 2, Config: mptcp.Config{KeepAlive: -1}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		for range 64 {
			l.Join(1, 1).Send("and its end", RST)
		}
		l.Sleep(2 * Delay)
		p := l.Client(1)
		p.Send("one more", SYN, Join)
		p.Want("refused for now", RST|ACK, Option(option.Reset{Reason: option.ReasonResources, Transient: true}))
		l.Sleep(16 * time.Second)
		l.Join(1, 1)
		require.EqualValues(t, 1, l.Host.Counters()["MPJoinRejected"])
		carriesOn(l, first, conn)
	})
}

// A handshake that is not completed ends some time, of a connection and of a join.
func TestHandshakesThatEndNowhere(t *testing.T) {
	Test(t, Options{Paths: 2, Config: mptcp.Config{KeepAlive: -1}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		half := l.Client(0)
		half.Send("SYN", SYN, NoMPTCP)
		half.Want("SYN/ACK", SYN|ACK)
		join := l.Client(1)
		join.Send("join", SYN, Join)
		join.Want("SYN/ACK", SYN|ACK, Join)
		l.Sleep(71 * time.Second)
		half.Forget()
		join.Forget()
		require.Len(t, conn.Info().Subflows, 2)
		require.Equal(t, "closed", conn.Info().Subflows[1].State)
		join.Send("third packet, much too late", ACK, Join)
		s := join.Want("refused", Seq(1))
		require.NotZero(t, s.Flags&RST)
		half.Send("third packet, much too late", ACK)
		s = half.Want("refused", Seq(1))
		require.NotZero(t, s.Flags&RST)
		half.Silence("nothing is left", 100*time.Second)
		carriesOn(l, first, conn)
	})
}
