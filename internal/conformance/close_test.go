package conformance

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.3.3-02, -03, -07, -09, 8684-W-24: DATA_FIN both ways, then FIN on all subflows.
func TestOrderlyClose(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		Families(t, Options{Paths: 2, PeerChecksum: checksum}, func(t *testing.T, l *Lab) {
			first, conn := connected(l)
			p := l.Join(1, 1)
			l.Write(conn, "hello").Result()
			first.Await("data", ACK, Data("hello"), Map(1, 1, 5))
			first.Send("acknowledged", ACK, DataAck(6))
			require.NoError(t, conn.CloseWrite())
			first.Await("DATA_FIN alone: its own DSN, SSN 0, length 1", ACK, Len(0), MapFin(6, 0, 1))
			first.Never("no FIN while the peer may send", second, FIN|ACK)
			first.Send("half closed: the other direction goes on", Data("abc"), Map(2, 2, 3), DataAck(7))
			require.Equal(t, "abc", l.Read(conn, 3).Result())
			first.Send("DATA_FIN of ours, with data", Data("de"), MapFin(5, 5, 3), DataAck(7))
			require.Equal(t, "de", l.Read(conn, 10).Result())
			first.Await("DATA_FIN acknowledged", ACK, AckNo(7), DataAck(8))
			first.Await("FIN", FIN|ACK)
			p.Await("FIN on every subflow", FIN|ACK)
			require.ErrorIs(t, l.Read(conn, 1).Err(), io.EOF)
		})
	}
}

// 8684-3.3.3-04: DATA_FIN overtakes data.
func TestDataFinOvertakesData(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		read := l.Read(conn, 4)
		p.Send("DATA_FIN", ACK, MapFin(5, 0, 1))
		p.Await("not yet acknowledged", ACK, DataAck(2))
		read.NotDone("the data is missing")
		first.Send("the data", Data("abc"), Map(2, 2, 3))
		first.Await("all acknowledged", ACK, DataAck(6))
		require.Equal(t, "abc", read.Result())
	})
}

// 8684-3.3.3-02: repeated until acknowledged.
func TestDataFinIsRepeated(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		require.NoError(t, conn.CloseWrite())
		for range 3 {
			p.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
		}
		p.Send("acknowledged", ACK, DataAck(2))
		l.Sleep(2 * Delay)
		p.Forget()
		p.Never("and not again", 10*second, MapFin(1, 0, 1))
	})
}

// 8684-3.3-04, 8684-3.3.3-01, -10: a FIN without DATA_FIN ends only its subflow; break before
// make.
func TestFINOfTheOnlySubflowKeepsTheConnection(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		read := l.Read(conn, 3)
		first.Send("FIN", FIN|ACK)
		first.Await("FIN of the host", FIN|ACK, AckNo(3))
		first.Send("acknowledged", ACK)
		l.Sleep(5 * second)
		read.NotDone("the connection lives")
		p := l.Join(1, 1)
		p.Send("data", Data("abc"), Map(2, 1, 3))
		require.Equal(t, "abc", read.Result())
		l.Write(conn, "hello").Result()
		p.Await("data of the host", ACK, Data("hello"), Map(1, 1, 5))
	})
}

// 8684-3.5-01: a RST ends only its subflow, also if it is the only one.
func TestRSTKeepsTheConnection(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		l.Write(conn, "hello").Result()
		first.Await("data", ACK, Data("hello"))
		first.Send("RST", RST|ACK)
		l.Sleep(second)
		p := l.Join(1, 1)
		p.Await("the data comes here", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("data", Data("abc"), Map(2, 1, 3), DataAck(6))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
	})
}

// 8684-3.3.3-10: not for ever.
func TestConnectionWithoutSubflowsEnds(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{BreakTimeout: 5 * second}}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		read := l.Read(conn, 1)
		p.Send("RST", RST|ACK)
		l.Sleep(4 * second)
		read.NotDone("it may come back")
		require.ErrorIs(t, read.Err(), mptcp.ErrNoPath)
		j := l.Client(0)
		j.Send("too late", SYN, Join)
		j.Want("refused", RST|ACK, Reset(option.ReasonMPTCP))
	})
}

// 8684-3.5-04, -05
func TestFastCloseOfPeer(t *testing.T) {
	for name, flags := range map[string]Flags{"on an ACK": ACK, "on a RST": RST | ACK} {
		t.Run(name, func(t *testing.T) {
			Families(t, twoPaths, func(t *testing.T, l *Lab) {
				first, conn := connected(l)
				p := l.Join(1, 1)
				read := l.Read(conn, 1)
				p.Send("MP_FASTCLOSE", flags, Option(option.FastClose{ReceiverKey: l.HostKey}))
				require.ErrorIs(t, read.Err(), syscall.ECONNRESET)
				require.ErrorIs(t, read.Err(), mptcp.ErrFastClosed)
				if flags == ACK {
					p.Await("RST there", RST|ACK)
				}
				first.Await("RST on the others", RST|ACK)
				first.Send("data is not taken any more", Data("abc"), Map(2, 2, 3))
				first.Await("reset", RST)
			})
		})
	}
}

// 8684-Q-21, 8684-3-03: a wrong key; a segment that TCP does not accept.
func TestFastCloseThatDoesNotCount(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		wrong := l.HostKey
		wrong[0] ^= 0x80
		first.Send("wrong key", ACK, Option(option.FastClose{ReceiverKey: wrong}))
		first.Send("beyond the window", Seq(50_000_000), ACK, Option(option.FastClose{ReceiverKey: l.HostKey}))
		first.Send("of the past", Seq(1), ACK, Option(option.FastClose{ReceiverKey: l.HostKey}))
		first.Send("acknowledges what was never sent", ACK, AckNo(1_000_000), Option(option.FastClose{ReceiverKey: l.HostKey}))
		first.Send("a RST beyond the window", Seq(50_000_000), RST|ACK, Option(option.FastClose{ReceiverKey: l.HostKey}))
		carriesOn(l, first, conn)
		p := l.Join(1, 1)
		p.Send("on a RST with a wrong key: only a RST", RST|ACK, Option(option.FastClose{ReceiverKey: wrong}))
		l.Sleep(second)
		p = l.Join(1, 1)
		p.Send("data", Data("abc"), Map(4, 1, 3))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
	})
}

// 8684-3.5-03: RST with MP_FASTCLOSE on all subflows.
func TestAbort(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		require.NoError(t, conn.Abort())
		for _, o := range []*Peer{first, p} {
			o.Await("RST with the peer's key", RST|ACK, Option(option.FastClose{ReceiverKey: l.PeerKey}))
		}
	})
}

// 8684-3.3.3-01: what the peer does not confirm is an error.
func TestCloseIsNotConfirmed(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{CloseTimeout: 5 * second}}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		l.Write(conn, "hello").Result()
		p.Await("data", Data("hello"))
		require.NoError(t, conn.Close())
		wait := Start(l, "Wait", func() (int, error) { return 0, conn.Wait(t.Context()) })
		wait.NotDone("nothing is confirmed")
		err := wait.Err()
		require.True(t, errors.Is(err, mptcp.ErrNotConfirmed), err)
		s := p.Await("reset", RST|ACK)
		require.Greater(t, s.At, 5*second)
	})
}

// 8684-3.3.3-03, T-C4: a DATA_FIN alone with a wrong checksum does not end the stream.
func TestDataFinWithWrongChecksum(t *testing.T) {
	Test(t, Options{PeerChecksum: true}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		read := l.Read(conn, 1)
		p.Send("DATA_FIN", ACK, MapFin(2, 0, 1), WrongChecksum)
		l.Sleep(second)
		read.NotDone("it does not count")
		p.Send("data", Data("y"), Map(2, 2, 1))
		require.Equal(t, "y", read.Result())
	})
}

// 8684-1.1-02: a plain TCP connection whose one stream has ended is probed, and ends when the
// peer is gone.
func TestHalfClosedTCPIsProbed(t *testing.T) {
	Families(t, Options{Config: mptcp.Config{DisableMPTCP: true, KeepAlive: second}}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Send("SYN", SYN)
		p.Want("SYN/ACK", SYN|ACK, NoMPTCP)
		p.Send("ACK", ACK)
		conn := accept.Result()
		require.NoError(t, conn.CloseWrite())
		p.Await("the end of the host's stream", FIN|ACK)
		p.Send("acknowledged", ACK)
		l.Sleep(2 * Delay)
		p.Forget()
		read := l.Read(conn, 3)
		p.Want("a probe", ACK, Len(0), Seq(1))
		p.Send("it is there, and still sends", Data("abc"), AckNo(2))
		require.Equal(t, "abc", read.Result())
		read = l.Read(conn, 1)
		l.Sleep(5 * second)
		read.NotDone("some probes may be lost")
		l.Sleep(6 * second)
		require.ErrorIs(t, read.Err(), syscall.ETIMEDOUT)
	})
}
