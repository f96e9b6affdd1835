package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
)

// 8684-3.3.5-03: a window that is closed on one subflow only stops that one, not the other, whether
// it closes before or after data was placed there.
func TestClosedWindowOfOneSubflow(t *testing.T) {
	eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		p := l.Join(1, 1)
		first.Window = 0
		first.Send("closed, here", ACK, DataAck(1))
		l.Sleep(2 * Delay)
		first.Forget()
		text := strings.Repeat("0123456789", 1000)
		l.Write(conn, text).Result()
		got := 0
		for got < len(text) {
			s := p.Await("data on the other", ACK, SomeData)
			got += len(s.Payload)
			p.Send("acknowledged", ACK, DataAck(1+got))
			first.Send("probes are answered", ACK, DataAck(1+got))
		}
		first.Never("nothing here", 5*second, SomeData)
	})
}

// 8684-3.3.5-03: the window closes over data that is there already: it is sent elsewhere.
func TestWindowClosesOverData(t *testing.T) {
	eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		first.Window = 3000
		first.Send("a small window", ACK, DataAck(1))
		l.Sleep(2 * Delay)
		text := strings.Repeat("0123456789", 200)
		l.Write(conn, text).Result()
		first.Await("data", ACK, SomeData)
		first.Window = 0
		p := l.Join(1, 1)
		for range 20 {
			first.Send("none of it came, and none is wanted", ACK, AckNo(1), DataAck(1))
			l.Sleep(100 * time.Millisecond)
		}
		got := 0
		for got < len(text) {
			s := p.Await("all of it on the other", ACK, SomeData)
			got += len(s.Payload)
			p.Send("acknowledged", ACK, DataAck(1+got))
		}
	})
}

// 8684-3.3.2-03, RFC 9293 section 3.8.6.1: the connection's window is used up, and the update that
// opens it is lost: probes find out. They have no data, and their distance grows.
func TestLostWindowUpdate(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Window = 1000
		p.Send("SYN", SYN, Capable)
		p.Want("SYN/ACK", SYN|ACK, Capable)
		p.Send("third packet", ACK, Capable)
		conn := accept.Result()
		p.Send("first data", Data("x"), Capable)
		l.Write(conn, strings.Repeat("x", 1000)+"more").Result()
		p.Await("up to the edge", ACK, Len(1000), Map(1, 1, 1000))
		p.Window = 0
		p.Send("all of it, and closed", ACK, DataAck(1001))
		l.Sleep(2 * Delay)
		p.Forget()
		var at []time.Duration
		for range 3 {
			at = append(at, p.Want("a probe that has to be answered", ACK, Len(0), Seq(1000)).At)
			p.Send("closed still", ACK, DataAck(1001))
		}
		require.Equal(t, 2*(at[1]-at[0]), at[2]-at[1])
		require.EqualValues(t, 3, l.Host.Counters()["WinProbe"])
		p.Window = 100
		p.Want("a probe", ACK, Len(0), Seq(1000))
		p.Send("open", ACK, DataAck(1001))
		p.Want("at once", ACK, Data("more"))
	})
}

// 8684-3.3.6-03: all bytes are acknowledged on a subflow that works, and a DATA_ACK does not come:
// they are sent again, also while a dead subflow still holds copies of some.
func TestDataAckLagsBesideADeadSubflow(t *testing.T) {
	eachRole(t, twoPaths, func(t *testing.T, l *Lab, _ *Peer, conn *mptcp.Conn) {
		p := l.Join(1, 1)
		text := strings.Repeat("0123456789", 2500) // more than an initial window, so the other one takes part
		l.Write(conn, text).Result()
		for got := 0; got < len(text); {
			got += len(p.Await("all of it, once the other is silent", ACK, SomeData).Payload)
			p.Send("acknowledged on the subflow only", ACK, DataAck(1))
		}
		p.Forget()
		p.Await("again", ACK, SomeData)
		require.Equal(t, "stale", conn.Info().Subflows[0].State)
	})
}

// 8684-3.3.3-03: DATA_FIN takes no room in a window that is closed.
func TestDataFinWithAClosedWindow(t *testing.T) {
	eachRole(t, twoPaths, func(t *testing.T, l *Lab, first *Peer, conn *mptcp.Conn) {
		first.Window = 0
		l.Write(conn, "hello").Result()
		first.Await("data", Data("hello"))
		first.Send("closed", ACK, DataAck(6))
		require.NoError(t, conn.CloseWrite())
		first.Await("DATA_FIN", ACK, Len(0), MapFin(6, 0, 1))
		first.Send("DACK[F]", ACK, DataAck(7))
		wait(l, conn).Result()
	})
}
