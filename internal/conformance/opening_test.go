package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.1-32: a client that gets no answer sends its SYN without the option. Which of its SYNs
// came first says nothing: the third packet decides.
func TestSYNsOvertakeEachOther(t *testing.T) {
	for name, capable := range map[string]bool{"the option wins": true, "plain TCP wins": false} {
		t.Run(name, func(t *testing.T) {
			Test(t, Options{}, func(t *testing.T, l *Lab) {
				accept := l.Listen()
				p := l.Client(0)
				p.Send("SYN with the option", SYN, Capable)
				p.Want("SYN/ACK with the option", SYN|ACK, Capable)
				p.Send("SYN without", Seq(0), SYN)
				p.Await("an answer of the same kind", SYN|ACK, NoMPTCP) // 8684-3.1-31
				p.Send("SYN with the option, late", Seq(0), SYN, Capable)
				p.Await("an answer of the same kind", SYN|ACK, Capable)
				p.Send("SYN without", Seq(0), SYN)
				p.Await("an answer of the same kind", SYN|ACK, NoMPTCP)
				if capable {
					p.Send("third packet", ACK, Capable)
				} else {
					p.Send("third packet", ACK)
				}
				conn := accept.Result()
				require.Equal(t, capable, conn.Info().MPTCP)
				if capable {
					p.Send("first data", Data("x"), Capable)
				} else {
					p.Send("first data", Data("x"))
				}
				require.Equal(t, "x", l.Read(conn, 1).Result())
				l.Write(conn, "y").Result()
				s := p.Await("data", ACK, Data("y"))
				require.Equal(t, capable, s.Options.Has(option.SubtypeDSS))
				n := l.Host.Counters()
				require.EqualValues(t, 1, n["MPCapableSYNRX"], "repetitions do not count")
				require.EqualValues(t, 1, n["MPCapableACKRX"]+n["MPCapableFallbackACK"])
			})
		})
	}
}

// 8684-3.1-04, 8684-Q-32: both ends send a SYN at once: plain TCP, both ways. A join that crosses
// another is given up.
func TestSimultaneousOpen(t *testing.T) {
	for name, first := range map[string][]Part{"ACK": {ACK}, "data": {Data("hello")}} {
		t.Run(name, func(t *testing.T) {
			Families(t, Options{}, func(t *testing.T, l *Lab) {
				dial := l.Dial()
				p := l.Opened("SYN", SYN, Capable)
				p.Send("SYN that crosses it", SYN, Capable)
				p.Want("SYN/ACK", SYN|ACK, Seq(0), AckNo(1), NoMPTCP)
				dial.NotDone("before the host's SYN is acknowledged")
				p.Send("SYN/ACK, as the host sent one", Seq(0), SYN|ACK, AckNo(1), Capable)
				p.Want("ACK", ACK, Seq(1), AckNo(1), NoMPTCP)
				p.Send("acknowledged", first...)
				conn := dial.Result()
				require.False(t, conn.Info().MPTCP)
				require.Contains(t, conn.Info().FallbackReason, "simultaneous")
				require.EqualValues(t, 1, l.Host.Counters()["SimultConnectFallback"])
				if name == "ACK" {
					p.Send("data", Data("hello"))
				}
				require.Equal(t, "hello", l.Read(conn, 5).Result())
				l.Write(conn, "welcome").Result()
				p.Await("data", ACK, Data("welcome"), Seq(1), AckNo(6), NoMPTCP)
				p.Send("acknowledged", ACK)
				require.NoError(t, conn.Close())
				p.Await("the end", FIN|ACK, NoMPTCP)
				p.Send("the end", FIN|ACK)
				p.Await("acknowledged", ACK, AckNo(7), NoMPTCP)
			})
		})
	}
	Test(t, meshed, func(t *testing.T, l *Lab) {
		first, conn := joining(l)
		p := l.Opened("join", SYN, Join)
		p.Send("SYN that crosses it", SYN)
		p.Want("refused", RST|ACK, AckNo(1), Reset(option.ReasonMPTCP))
		hostCarriesOn(l, first, conn)
	})
}

// 8684-3.1-34, 8684-3.1-13: the first data comes last.
func TestGapAtTheStart(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Connect()
		l.Write(conn, "z").Result()
		p.Want("the host's data confirms that it speaks MPTCP", ACK, Data("z"), Map(1, 1, 1))
		read := l.Read(conn, 6)
		p.Send("the second half overtakes", Seq(4), Data("def"), Map(4, 4, 3))
		p.Want("a duplicate ACK", ACK, AckNo(1), DataAck(1))
		read.NotDone("there is a gap")
		p.Send("the first half, with keys", Seq(1), Data("abc"), Capable)
		p.Await("all acknowledged", ACK, AckNo(7), DataAck(7))
		require.Equal(t, "abcdef", read.Result())
	})
}

// 8684-3.1-35: two peers whose keys give one token: only joins could suffer.
func TestPeersWithOneToken(t *testing.T) {
	Test(t, Options{PeerKey: option.Key{0xa0, 0, 0, 0, 0, 0, 0xf6, 0xec}}, func(t *testing.T, l *Lab) {
		first, conn := l.Accept()
		first.Confirm()
		hostKey := l.HostKey
		l.PeerKey, l.HostKey = option.Key{0xa0, 0, 0, 0, 0, 0x01, 0x2b, 0xab}, option.Key{}
		second, other := l.Accept()
		second.Confirm()
		require.Equal(t, conn.Info().RemoteToken, other.Info().RemoteToken)
		require.NotEqual(t, conn.Info().LocalToken, other.Info().LocalToken)
		hostCarriesOn(l, second, other)
		l.PeerKey, l.HostKey = option.Key{0xa0, 0, 0, 0, 0, 0, 0xf6, 0xec}, hostKey
		hostCarriesOn(l, first, conn)
	})
}

// 8684-Q-26: the fourth packet may be any segment of the peer.
func TestFourthPacketOfAnyKind(t *testing.T) {
	for name, fourth := range map[string][]Part{
		"ACK":               {ACK},
		"DATA_ACK":          {ACK, DataAck(1)},
		"data":              {Data("x"), Map(1, 1, 1)},
		"announced address": {ACK, Option(option.NewRemoveAddr(77))},
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, Options{Paths: 2, Config: mptcp.Config{PathManager: meshed.Config.PathManager, Scheduler: onlyJoins}}, func(t *testing.T, l *Lab) {
				_, conn := joining(l)
				p := l.Opened("join", SYN, Join)
				p.Send("SYN/ACK", SYN|ACK, Join)
				p.Want("third packet", ACK, Join)
				p.Send("fourth packet", fourth...)
				l.Sleep(2 * Delay)
				l.Write(conn, "hello").Result()
				p.Await("data", Data("hello"), Map(1, 1, 5), Without(option.SubtypeJoin))
			})
		})
	}
}
