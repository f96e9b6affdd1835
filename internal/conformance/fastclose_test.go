package conformance

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

var byACK = Options{Paths: 2, Config: mptcp.Config{FastCloseByACK: true}}

// toPeer and toHost are MP_FASTCLOSE with the right keys.
func toPeer(l *Lab) Part { return Option(option.FastClose{ReceiverKey: l.PeerKey}) }
func toHost(l *Lab) Part { return Option(option.FastClose{ReceiverKey: l.HostKey}) }

// eachRole runs a script with the host as server and as client; l.Join adds a subflow either
// way.
func eachRole(t *testing.T, o Options, f func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn)) {
	t.Run("server", func(t *testing.T) {
		Families(t, o, func(t *testing.T, l *Lab) {
			first, conn := connected(l)
			f(t, l, first, conn)
		})
	})
	t.Run("client", func(t *testing.T) {
		Families(t, o, func(t *testing.T, l *Lab) {
			l.Listen()
			first, conn := l.Accept()
			first.Send("x, a first mapping", Data("x"), Map(1, 1, 1), DataAck(1))
			require.Equal(t, "x", l.Read(conn, 1).Result())
			first.Await("acknowledged", ACK, DataAck(2))
			f(t, l, first, conn)
		})
	})
}

// 8684-3.5-02, -06: MP_FASTCLOSE on an ACK of one subflow, RST on the others; the peer's RST
// ends it.
func TestAbortByACK(t *testing.T) {
	eachRole(t, byACK, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		p := l.Join(1, 1)
		read := l.Read(conn, 1)
		require.NoError(t, conn.Abort())
		require.ErrorIs(t, read.Err(), net.ErrClosed)
		first.Await("MP_FASTCLOSE with the peer's key", ACK, Len(0), toPeer(l))
		p.Await("RST on the other subflow", RST|ACK, Without(option.SubtypeFastClose))
		j := l.Client(1)
		j.Send("no subflow is taken", SYN, Join)
		j.Want("refused", RST|ACK, Reset(option.ReasonMPTCP))
		first.Send("data is not taken any more", Data("abc"), Map(2, 2, 3), DataAck(1))
		first.Send("RST", RST|ACK)
		first.Never("that was all", 10*second, RST|ACK)
		first.Never("and not again", time.Microsecond, toPeer(l))
		require.EqualValues(t, 1, l.Host.Counters()["MPFastcloseTx"])
	})
}

// 8684-3.5-07: a silent peer: once and three times again, one RTO apart, then RST.
func TestAbortByACKUnanswered(t *testing.T) {
	eachRole(t, byACK, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		require.NoError(t, conn.Abort())
		last := first.Await("MP_FASTCLOSE", ACK, toPeer(l)).At
		for range 3 {
			at := first.Await("again", ACK, toPeer(l)).At
			require.InDelta(t, (200*time.Millisecond + 2*Delay).Seconds(), (at - last).Seconds(), 0.1, "RTO")
			last = at
		}
		first.Want("RST with MP_FASTCLOSE", RST|ACK, toPeer(l))
		first.Never("the end", 10*second, toPeer(l))
	})
}

// The second Abort does not wait any longer; nor does Host.Close.
func TestAbortByACKTwice(t *testing.T) {
	for name, again := range map[string]func(l *Lab, c *mptcp.Conn) error{
		"Abort":      func(_ *Lab, c *mptcp.Conn) error { return c.Abort() },
		"Host.Close": func(l *Lab, _ *mptcp.Conn) error { return l.Host.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, byACK, func(t *testing.T, l *Lab) {
				first, conn := connected(l)
				require.NoError(t, conn.Abort())
				first.Await("MP_FASTCLOSE", ACK, toPeer(l))
				require.NoError(t, again(l, conn))
				first.Want("RST", RST|ACK, toPeer(l))
			})
		})
	}
}

// 8684-3.5-06: both at once: answered with RST if it came on an ACK.
func TestAbortByBoth(t *testing.T) {
	for name, flags := range map[string]Flags{"on an ACK": ACK, "on a RST": RST | ACK} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, byACK, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
				require.NoError(t, conn.Abort())
				first.Send("MP_FASTCLOSE", flags, toHost(l))
				first.Await("MP_FASTCLOSE of the host, on its way", ACK, toPeer(l))
				if flags == ACK {
					first.Want("answered", RST|ACK, Without(option.SubtypeFastClose))
				}
				first.Never("no RST answers a RST", 10*second, RST|ACK)
				require.EqualValues(t, 1, l.Host.Counters()["MPFastcloseRx"])
			})
		})
	}
}

// 8684-3.5-04, -05: it ends a connection in whatever state, also when one direction has ended.
func TestFastCloseWhenHalfClosed(t *testing.T) {
	for name, flags := range map[string]Flags{"on an ACK": ACK, "on a RST": RST | ACK} {
		for _, ended := range []string{"host", "peer"} {
			t.Run(name+", closed by the "+ended, func(t *testing.T) {
				eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
					p := l.Join(1, 1)
					if ended == "host" {
						require.NoError(t, conn.CloseWrite())
						first.Await("DATA_FIN", ACK, MapFin(1, 0, 1))
						first.Send("acknowledged", ACK, DataAck(2))
						read := l.Read(conn, 1)
						first.Send("MP_FASTCLOSE", flags, toHost(l))
						require.ErrorIs(t, read.Err(), syscall.ECONNRESET)
					} else {
						first.Send("DATA_FIN", ACK, MapFin(2, 0, 1), DataAck(1))
						first.Await("acknowledged", ACK, DataAck(3))
						first.Send("MP_FASTCLOSE", flags, toHost(l))
						l.Sleep(2 * Delay)
						require.ErrorIs(t, l.Write(conn, "x").Err(), syscall.ECONNRESET)
					}
					p.Await("RST on the other", RST|ACK)
				})
			})
		}
	}
}

// 8684-3.5-05, 8684-3-03: RFC 5961 comes first. A RST with MP_FASTCLOSE in the window, but not
// with the next number, is answered with an ACK and does nothing.
func TestFastCloseOnRSTNeedsTheExactNumber(t *testing.T) {
	eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		read := l.Read(conn, 1)
		l.Sleep(second)
		first.Forget()
		first.Send("some bytes further", Seq(first.SndNxt()+1000), RST|ACK, toHost(l))
		first.Want("challenge ACK", ACK, Len(0), AckNo(first.SndNxt()))
		read.NotDone("it does not count")
		first.Send("as the ACK asks for", RST, toHost(l))
		require.ErrorIs(t, read.Err(), syscall.ECONNRESET)
	})
}

// RST right behind data that TCP has not acknowledged yet, and behind a gap that a loss has
// left: both have the number that an honest peer uses.
func TestRSTBehindData(t *testing.T) {
	eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		read := l.Read(conn, 100)
		at := first.SndNxt()
		first.Send("two bytes, after three that are lost", Seq(at+3), Data("de"), Map(5, at+3, 2), DataAck(1))
		first.Send("RST", Seq(at+5), RST|ACK, toHost(l))
		require.ErrorIs(t, read.Err(), syscall.ECONNRESET)
	})
}

// The host's own RST with MP_FASTCLOSE gets through a peer that challenges it.
func TestChallengedAbort(t *testing.T) {
	eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		l.Write(conn, "hello").Result()
		first.Await("data, which counts as lost here", Data("hello"))
		require.NoError(t, conn.Abort())
		first.Await("RST", RST|ACK, Seq(6), toPeer(l))
		first.Send("challenge ACK", ACK, AckNo(3))
		first.Await("RST with the number asked for", RST, Seq(3), toPeer(l))
	})
}

// 8684-3.6-01: the reason of a RST is told in words, and by errors.As in the error of a connection
// that it ended.
func TestReasonOfReset(t *testing.T) {
	for reason := option.ReasonUnspecified; reason <= option.ReasonMiddlebox; reason++ {
		for _, transient := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, transient %v", reason, transient), func(t *testing.T) {
				o := Options{Paths: 2, Config: mptcp.Config{BreakTimeout: second}}
				eachRole(t, o, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
					p := l.Join(1, 1)
					r := Option(option.Reset{Reason: reason, Transient: transient})
					p.Send("RST", RST|ACK, r)
					l.Sleep(2 * Delay)
					subflows := conn.Info().Subflows
					require.Equal(t, "closed", subflows[1].State)
					require.Contains(t, subflows[1].Reason, "reset by peer: "+reason.String())
					first.Send("RST, of the last one", RST|ACK, r)
					err := l.Read(conn, 1).Err()
					require.ErrorIs(t, err, mptcp.ErrNoPath)
					var reset *mptcp.SubflowResetError
					require.ErrorAs(t, err, &reset)
					require.Equal(t, mptcp.SubflowResetError{Reason: reason, Transient: transient, Remote: true}, *reset)
					require.EqualValues(t, 2, l.Host.Counters()["MPRstRx"])
				})
			})
		}
	}
}
