package conformance

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// In all tests here the peer has sent one byte, so that its next DSN is 2, and the host none:
// its DATA_FIN has DSN 1.

// eachEnding runs a script in both roles, with and without checksums.
func eachEnding(t *testing.T, f func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn)) {
	eachRole(t, twoPaths, f)
	t.Run("checksums", func(t *testing.T) {
		o := twoPaths
		o.PeerChecksum = true
		eachRole(t, o, f)
	})
}

// wait starts Conn.Wait.
func wait(l *Lab, conn *mptcp.Conn) *Call[int] {
	return Start(l, "Wait", func() (int, error) { return 0, conn.Wait(context.Background()) })
}

// over checks that the connection has no state left: a join is refused.
func over(l *Lab) {
	l.T().Helper()
	j := l.Client(1)
	j.Send("join", SYN, Join)
	j.Want("unknown", RST|ACK, Reset(option.ReasonMPTCP))
}

// 8684-D-01: M_ESTAB, M_FIN_WAIT_1, M_FIN_WAIT_2, M_TIME_WAIT.
func TestHostClosesFirst(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		p := l.Join(1, 1)
		require.NoError(t, conn.CloseWrite())
		first.Await("DATA_FIN", ACK, Len(0), MapFin(1, 0, 1))
		w := wait(l, conn)
		w.NotDone("not confirmed")
		p.Send("DACK[F], on the other subflow", ACK, DataAck(2))
		w.Result()
		first.Never("no FIN in M_FIN_WAIT_2", 5*second, FIN|ACK)
		first.Send("half closed: data", Data("abc"), Map(2, 2, 3), DataAck(2))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		first.Send("DATA_FIN", ACK, MapFin(5, 0, 1), DataAck(2))
		first.Await("DACK[F]", ACK, DataAck(6))
		first.Await("FIN", FIN|ACK, DataAck(6))
		p.Await("FIN on every subflow", FIN|ACK, DataAck(6))
		require.ErrorIs(t, l.Read(conn, 1).Err(), io.EOF)
		for _, o := range []*Peer{first, p} {
			o.Send("FIN", FIN|ACK, DataAck(2))
			o.Await("acknowledged", ACK, AckNo(o.SndNxt()))
		}
		over(l)
	})
}

// 8684-D-01: M_CLOSE_WAIT, M_LAST_ACK.
func TestPeerClosesFirst(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		first.Send("DATA_FIN with data", Data("abc"), MapFin(2, 2, 4), DataAck(1))
		first.Await("DACK[F]", ACK, DataAck(6))
		require.Equal(t, "abc", l.Read(conn, 10).Result())
		l.Write(conn, "hello").Result()
		first.Await("M_CLOSE_WAIT: data goes on", ACK, Data("hello"))
		first.Send("acknowledged", ACK, DataAck(6))
		require.NoError(t, conn.CloseWrite())
		first.Await("DATA_FIN", ACK, Len(0), MapFin(6, 0, 1))
		first.Send("DACK[F]", ACK, DataAck(7))
		first.Await("FIN", FIN|ACK)
		first.Send("FIN", FIN|ACK, DataAck(7))
		first.Await("acknowledged", ACK, AckNo(first.SndNxt()))
		over(l)
	})
}

// 8684-D-01: M_CLOSING: the DATA_FINs cross.
func TestDataFinsCross(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		require.NoError(t, conn.CloseWrite())
		first.Send("DATA_FIN, crossing", ACK, MapFin(2, 0, 1), DataAck(1))
		first.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
		first.Await("DACK[F]", ACK, DataAck(3))
		first.Never("no FIN in M_CLOSING", 150*time.Millisecond, FIN|ACK)
		first.Send("DACK[F]", ACK, DataAck(2))
		first.Await("FIN", FIN|ACK, DataAck(3))
	})
}

// 8684-D-02: DATA_FIN and DACK[F] in one packet.
func TestDataFinAndItsAckInOnePacket(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		require.NoError(t, conn.CloseWrite())
		first.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
		first.Send("both", ACK, MapFin(2, 0, 1), DataAck(2))
		first.Await("FIN", FIN|ACK, DataAck(3))
	})
}

// 8684-3.3.3-04, 8684-D-01: a DATA_FIN that comes again is answered, in every state.
func TestDataFinAgain(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		again := func(what string, ack int) {
			l.Sleep(second)
			first.Forget()
			first.Send("DATA_FIN again", ACK, MapFin(2, 0, 1), DataAck(ack))
			first.Await(what, ACK, DataAck(3))
		}
		first.Send("DATA_FIN", ACK, MapFin(2, 0, 1), DataAck(1))
		again("M_CLOSE_WAIT", 1)
		require.NoError(t, conn.CloseWrite())
		again("M_LAST_ACK", 1)
		first.Send("DACK[F]", ACK, DataAck(2))
		first.Await("FIN", FIN|ACK)
		again("M_TIME_WAIT, the subflow half closed", 2)
		first.Send("FIN", FIN|ACK, DataAck(2))
		first.Await("acknowledged", ACK, AckNo(first.SndNxt()))
		l.Sleep(second)
		first.Forget()
		first.Send("FIN again, since that was lost", Seq(first.SndNxt()-1), FIN|ACK, MapFin(2, 0, 1), DataAck(2))
		first.Await("TCP's TIME_WAIT answers, for both levels", ACK, AckNo(first.SndNxt()), DataAck(3))
	})
}

// 8684-D-03, 8684-3.3.3-10: without any subflow the end waits for one to come, in every state
// before DATA_FIN is acknowledged.
func TestAllSubflowsLostWhileClosing(t *testing.T) {
	for _, state := range []string{"M_FIN_WAIT_1", "M_CLOSING", "M_LAST_ACK"} {
		t.Run(state, func(t *testing.T) {
			eachEnding(t, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
				peerEnded := state != "M_FIN_WAIT_1"
				if state == "M_LAST_ACK" {
					first.Send("DATA_FIN", ACK, MapFin(2, 0, 1), DataAck(1))
					first.Await("DACK[F]", ACK, DataAck(3))
				}
				require.NoError(t, conn.CloseWrite())
				first.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
				if state == "M_CLOSING" {
					first.Send("DATA_FIN", ACK, MapFin(2, 0, 1), DataAck(1))
					first.Await("DACK[F]", ACK, DataAck(3))
				}
				first.Send("the only subflow dies", RST|ACK)
				w := wait(l, conn)
				l.Sleep(5 * second)
				w.NotDone("the end waits")
				p := l.Join(1, 1)
				p.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
				p.Send("DACK[F]", ACK, DataAck(2))
				w.Result()
				if !peerEnded {
					p.Send("DATA_FIN", ACK, MapFin(2, 0, 1), DataAck(2))
				}
				p.Await("FIN", FIN|ACK, DataAck(3))
			})
		})
	}
}

// 8684-D-03, 8684-Q-32: the host has seen both ends acknowledged, the peer has not: it lost its
// subflow before. It comes back, gets its DACK[F], and then the connection is over.
func TestPeerComesBackForTheLastAck(t *testing.T) {
	for name, dies := range map[string]Flags{"in silence": 0, "with a RST": RST | ACK} {
		t.Run(name, func(t *testing.T) {
			eachEnding(t, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
				require.NoError(t, conn.Close())
				first.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
				first.Send("DATA_FIN and DACK[F]", ACK, MapFin(2, 0, 1), DataAck(2))
				first.Await("FIN, which is lost", FIN|ACK)
				if dies != 0 {
					first.Send("RST", dies)
				}
				l.Sleep(5 * second)
				p := l.Join(1, 1)
				p.Await("FIN at once, with DACK[F]", FIN|ACK, DataAck(3))
				p.Send("FIN", FIN|ACK, DataAck(2))
				p.Await("acknowledged", ACK, AckNo(p.SndNxt()))
				over(l)
			})
		})
	}
}

// 8684-3.3.3-07: FIN on a subflow that is still being opened too, and no new one after.
func TestJoinsAtTheEnd(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		p := l.Client(1).SetID(1, false)
		p.Send("SYN with MP_JOIN", SYN, Join)
		p.Want("SYN/ACK with MP_JOIN", SYN|ACK, Join)
		require.NoError(t, conn.Close())
		first.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
		first.Send("DATA_FIN and DACK[F]", ACK, MapFin(2, 0, 1), DataAck(2))
		first.Await("FIN", FIN|ACK)
		p.Want("the join comes too late: as for an unknown token", RST|ACK, Reset(option.ReasonMPTCP))
		p.Send("third packet", ACK, Join)
		p.Await("nobody is there", RST)
		first.Send("FIN", FIN|ACK, DataAck(2))
		first.Await("acknowledged", ACK, AckNo(first.SndNxt()))
	})
}

// A join of the host's own that is pending when all ends is given up.
func TestOwnJoinAtTheEnd(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Confirm()
		j := l.Opened("SYN with MP_JOIN", SYN, Join)
		require.NoError(t, conn.Close())
		p.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
		p.Send("DATA_FIN and DACK[F]", ACK, MapFin(1, 0, 1), DataAck(2))
		p.Await("FIN", FIN|ACK)
		j.Send("SYN/ACK", SYN|ACK, Join)
		j.Await("too late", RST)
		p.Send("FIN", FIN|ACK, DataAck(2))
		p.Await("acknowledged", ACK, AckNo(p.SndNxt()))
		wait(l, conn).Result()
	})
}

// Half closed, then aborted: MP_FASTCLOSE.
func TestAbortWhenHalfClosed(t *testing.T) {
	for _, ended := range []string{"host", "peer"} {
		t.Run("closed by the "+ended, func(t *testing.T) {
			eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
				if ended == "host" {
					require.NoError(t, conn.CloseWrite())
					first.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
					first.Send("DACK[F]", ACK, DataAck(2))
				} else {
					first.Send("DATA_FIN", ACK, MapFin(2, 0, 1), DataAck(1))
					first.Await("DACK[F]", ACK, DataAck(3))
				}
				l.Sleep(2 * Delay)
				require.NoError(t, conn.Abort())
				first.Await("RST", RST|ACK, toPeer(l))
				over(l)
			})
		})
	}
}

// Dial that is given up in the handshake: a SYN/ACK that comes late is reset.
func TestDialGivenUp(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		ctx, cancel := context.WithCancel(context.Background())
		dial := Start(l, "Dial", func() (*mptcp.Conn, error) {
			return l.Host.Dial(ctx, "tcp", peerAt(l, 0, Port).String())
		})
		p := l.Opened("SYN", SYN, Capable)
		cancel()
		require.ErrorIs(t, dial.Err(), context.Canceled)
		p.Send("SYN/ACK, too late", SYN|ACK, Capable)
		p.Await("reset", RST, Seq(1))
		p.Silence("and that was it", 10*second)
	})
}

// 8684-3.7-01, 8684-3.3.3-06: the option of the client's third packet was taken away, so that
// the server speaks plain TCP; nothing is sent, and nothing tells the client but that its
// DATA_FIN stays without answer: it ends with FIN, or takes the server's FIN for the end.
func TestEndOfAConnectionThatNeverSpoke(t *testing.T) {
	t.Run("client first", func(t *testing.T) {
		Families(t, Options{}, func(t *testing.T, l *Lab) {
			p, conn := l.Accept()
			require.NoError(t, conn.CloseWrite())
			for range 4 {
				p.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
			}
			p.Await("FIN", FIN|ACK)
			p.Send("acknowledged, by plain TCP", ACK)
			wait(l, conn).Result()
			p.Send("plain TCP goes on", Data("abc"))
			require.Equal(t, "abc", l.Read(conn, 3).Result())
			p.Send("FIN", FIN|ACK)
			require.ErrorIs(t, l.Read(conn, 1).Err(), io.EOF)
			require.NotEmpty(t, conn.Info().FallbackReason)
		})
	})
	t.Run("server first", func(t *testing.T) {
		Families(t, Options{}, func(t *testing.T, l *Lab) {
			p, conn := l.Accept()
			p.Send("FIN of plain TCP", FIN|ACK)
			require.ErrorIs(t, l.Read(conn, 1).Err(), io.EOF)
			l.Write(conn, "x").Result()
			p.Await("plain TCP", Data("x"))
			p.Send("acknowledged", ACK)
			require.NoError(t, conn.Close())
			p.Await("FIN", FIN|ACK)
			p.Send("acknowledged", ACK)
			wait(l, conn).Result()
		})
	})
	t.Run("an MPTCP server is only slow", func(t *testing.T) {
		Families(t, Options{}, func(t *testing.T, l *Lab) {
			p, conn := l.Accept()
			require.NoError(t, conn.CloseWrite())
			p.Await("FIN", FIN|ACK)
			p.Send("data under a mapping", Data("abc"), Map(1, 1, 3), DataAck(2))
			require.Equal(t, "abc", l.Read(conn, 3).Result())
			wait(l, conn).Result()
			require.True(t, conn.Info().MPTCP)
		})
	})
}

// Read and Write after the end say what happened.
func TestErrorsAfterTheEnd(t *testing.T) {
	eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		require.NoError(t, conn.CloseWrite())
		require.ErrorIs(t, l.Write(conn, "x").Err(), syscall.EPIPE)
		require.NoError(t, conn.Close())
		require.ErrorIs(t, l.Write(conn, "x").Err(), net.ErrClosed)
		require.ErrorIs(t, l.Read(conn, 1).Err(), net.ErrClosed)
		require.ErrorIs(t, conn.CloseWrite(), net.ErrClosed)
		require.ErrorIs(t, conn.SetDeadline(time.Time{}), net.ErrClosed)
		require.NoError(t, conn.Abort())
	})
}
