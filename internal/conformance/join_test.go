package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// twoPaths is a host with two paths that joins nothing by itself.
var twoPaths = Options{Paths: 2}

// connected is a connection from the peer, confirmed by its first data "x".
func connected(l *Lab) (*Peer, *mptcp.Conn) {
	l.T().Helper()
	p, conn := l.Connect()
	p.Send("first data", Data("x"), Capable)
	p.Want("accepted", ACK, AckNo(2), DataAck(2))
	require.Equal(l.T(), "x", l.Read(conn, 1).Result())
	return p, conn
}

// carriesOn shows that the connection still works both ways on the initial subflow.
func carriesOn(l *Lab, p *Peer, conn *mptcp.Conn) {
	l.T().Helper()
	p.Forget()
	p.Send("data goes on", Data("on"), Map(2, 2, 2))
	require.Equal(l.T(), "on", l.Read(conn, 2).Result())
	p.Await("and is acknowledged", ACK, AckNo(4), DataAck(4))
	l.Write(conn, "back").Result()
	p.Await("the other way too", ACK, Data("back"), Map(1, 1, 4))
	p.Send("acknowledged", ACK, AckNo(5), DataAck(5))
}

// 8684-3.2-07, -08, -11, -15, 8684-3.4-03
func TestHostAcceptsJoin(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Client(1).SetID(7, true)
		p.Send("join", SYN, Join)
		s := p.Want("SYN/ACK with HMAC", SYN|ACK, Join)
		j, _ := s.Options.JoinSynAck()
		require.False(t, j.Backup)
		p.Send("third packet", ACK, Join)
		p.Want("fourth packet", ACK, Len(0), AckNo(1), Without(option.SubtypeJoin))
		require.Len(t, conn.Info().Subflows, 2)
		require.True(t, conn.Info().Subflows[1].Backup)
		require.EqualValues(t, 1, l.Host.Counters()["MPJoinSynBackupRx"])
		carriesOn(l, first, conn)
	})
}

// 8684-3.2-03, -04: an ID stands for one address; that of the initial subflow has 0.
func TestAddressIDs(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		connected(l)
		var ids []option.AddrID
		for _, path := range []int{0, 1, 1} {
			ids = append(ids, l.Join(path, option.AddrID(path)).HostID)
		}
		require.Equal(t, option.AddrID(0), ids[0])
		require.NotZero(t, ids[1])
		require.Equal(t, ids[1], ids[2])
	})
}

// 8684-3.2-09, -10, 8684-3.8-01
func TestJoinWithUnknownToken(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Client(1)
		p.Send("join", SYN, Option(option.JoinSyn{ID: 1, Token: l.HostKey.Token() ^ 1, Nonce: option.Nonce{1}}))
		p.Want("refused", RST|ACK, AckNo(1), Reset(option.ReasonMPTCP))
		carriesOn(l, first, conn)
	})
}

// 8684-3.2-09, -10, 8684-3.6-02: the limit of subflows, of which some may have ended in a moment.
func TestJoinBeyondLimit(t *testing.T) {
	Test(t, Options{Paths: 2, Config: mptcp.Config{MaxSubflows: 2}}, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		l.Join(1, 1)
		p := l.Client(1)
		p.Send("one too many", SYN, Join)
		p.Want("refused for now", RST|ACK, Option(option.Reset{Reason: option.ReasonProhibited, Transient: true}))
		carriesOn(l, first, conn)
	})
}

// 8684-3.2-14, -19, 8684-3.8-01
func TestThirdPacketOfJoinIsBad(t *testing.T) {
	for name, third := range map[string][]Part{
		"wrong HMAC":          {ACK, BadHMAC},
		"no MP_JOIN":          {ACK},
		"data and no MP_JOIN": {Data("abc"), Map(2, 1, 3)},
		"DSS and no MP_JOIN":  {ACK, DataAck(1)},
	} {
		t.Run(name, func(t *testing.T) {
			Families(t, twoPaths, func(t *testing.T, l *Lab) {
				first, conn := connected(l)
				p := l.Client(1)
				p.Send("join", SYN, Join)
				p.Want("SYN/ACK", SYN|ACK, Join)
				p.Send("bad", third...)
				s := p.Await("refused", With(option.SubtypeReset))
				require.NotZero(t, s.Flags&RST)
				r, _ := s.Options.Reset()
				require.Equal(t, option.ReasonMPTCP, r.Reason)
				carriesOn(l, first, conn)
			})
		})
	}
}

// 8684-3.2-15: the fourth packet was lost.
func TestThirdPacketOfJoinAgain(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		connected(l)
		p := l.Join(1, 1)
		p.Send("third packet again", ACK, Join)
		p.Want("fourth packet again", ACK, Len(0))
	})
}

// 8684-3.2-18: by token, not by port; and the listener is gone.
func TestJoinToPortWithoutListener(t *testing.T) {
	for _, closed := range []bool{false, true} {
		Families(t, twoPaths, func(t *testing.T, l *Lab) {
			_, conn := connected(l)
			if closed {
				l.CloseListener()
			}
			p := l.ClientTo(1, 8443)
			p.Send("join", SYN, Join)
			p.Want("SYN/ACK", SYN|ACK, Join)
			p.Send("third packet", ACK, Join)
			p.Want("fourth packet", ACK, Len(0))
			p.Send("data", Data("abc"), Map(2, 1, 3))
			require.Equal(t, "abc", l.Read(conn, 3).Result())
			p.Await("the DATA_ACK", ACK, AckNo(4), DataAck(5))
		})
	}
}

// 8684-3.7-15, 8684-Q-32
func TestJoinAfterFallback(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Send("SYN", SYN, Capable)
		p.Want("SYN/ACK", SYN|ACK, Capable)
		p.Send("third packet without MP_CAPABLE", ACK)
		accept.Result()
		j := l.Client(1)
		j.Send("join", SYN, Join)
		j.Want("refused", RST|ACK, Reset(option.ReasonMPTCP))
	})
}

// joining is a connection of the host, which is about to join over its second path.
func joining(l *Lab) (*Peer, *mptcp.Conn) {
	l.T().Helper()
	p, conn := l.Accept()
	p.Confirm()
	return p, conn
}

// hostCarriesOn is carriesOn for a connection without data so far.
func hostCarriesOn(l *Lab, p *Peer, conn *mptcp.Conn) {
	l.T().Helper()
	p.Forget()
	l.Write(conn, "on").Result()
	p.Await("data goes on", ACK, Data("on"), Map(1, 1, 2))
	p.Send("acknowledged", ACK, DataAck(3))
}

// 8684-3.2-01, -02, -06, -16, -17
func TestHostJoins(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		first, conn := joining(l)
		p := l.Opened("SYN with our token", SYN, Join)
		p.SetID(0, false).Send("SYN/ACK", SYN|ACK, Join)
		p.Want("third packet with HMAC", ACK, Len(0), Seq(1), AckNo(1), Join)
		// The initial subflow is full: what is written has to wait for the other.
		l.Write(conn, strings.Repeat("x", 200_000)).Result()
		p.Want("third packet again", ACK, Len(0), Join)
		p.Want("and again; no data before the fourth packet", ACK, Len(0), Join)
		p.Send("fourth packet", ACK, DataAck(1))
		p.Await("data", ACK, SomeData, With(option.SubtypeDSS), Without(option.SubtypeJoin))
		first.Forget()
	})
}

// 8684-3.2-07: flag B of the SYN/ACK.
func TestHostJoinsBackup(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		_, conn := joining(l)
		p := l.Opened("SYN with our token", SYN, Join)
		p.SetID(0, true).Send("SYN/ACK with B", SYN|ACK, Join)
		p.Want("third packet with HMAC", ACK, Len(0), Join)
		p.Send("fourth packet", ACK, DataAck(1))
		l.Sleep(2 * Delay)
		require.True(t, conn.Info().Subflows[1].RemoteBackup)
		require.EqualValues(t, 1, l.Host.Counters()["MPJoinSynAckBackupRx"])
	})
}

// 8684-3.2-12, -13, 8684-3.8-01
func TestSynAckOfJoinIsBad(t *testing.T) {
	for name, with := range map[string]Part{"wrong HMAC": BadHMAC, "no MP_JOIN": NoMPTCP, "MP_CAPABLE": Capable} {
		t.Run(name, func(t *testing.T) {
			Families(t, meshed, func(t *testing.T, l *Lab) {
				first, conn := joining(l)
				p := l.Opened("SYN", SYN, Join)
				p.Send("bad", SYN|ACK, with)
				s := p.Want("reset", Seq(1), Reset(option.ReasonMPTCP))
				require.NotZero(t, s.Flags&RST)
				hostCarriesOn(l, first, conn)
			})
		})
	}
}

// 8684-3.2-02, -19: each attempt has a nonce of its own.
func TestNoncesDiffer(t *testing.T) {
	Test(t, Options{Paths: 3, Config: meshed.Config}, func(t *testing.T, l *Lab) {
		joining(l)
		seen := map[option.Nonce]bool{}
		for range 2 {
			nonce := l.Opened("SYN", SYN, Join).HostNonce
			require.False(t, seen[nonce])
			seen[nonce] = true
		}
	})
}

// 8684-3.6-01, -03, -04, 8684-3.9.3-02
func TestPermanentResetEndsAttempts(t *testing.T) {
	for name, with := range map[string]Part{
		"reason 3":                      Reset(option.ReasonProhibited),
		"reason 3, reserved bits U V W": Raw(0x1e, 4, 0x8e, 3),
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, meshed, func(t *testing.T, l *Lab) {
				first, conn := joining(l)
				p := l.AcceptJoin(0)
				p.Send("reset for good", RST, with)
				l.NotOpened("not again", 60*second)
				hostCarriesOn(l, first, conn)
			})
		})
	}
}

// 8684-3.6-02
func TestTransientResetIsTriedAgain(t *testing.T) {
	Test(t, meshed, func(t *testing.T, l *Lab) {
		joining(l)
		p := l.AcceptJoin(0)
		p.Send("reset for now", RST, Option(option.Reset{Reason: option.ReasonPerformance, Transient: true}))
		l.AcceptJoin(0)
	})
}

// 8684-3.2-01, -18: the server opens a subflow, to a client that listens nowhere.
func TestServerOpensSubflow(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := joining(l)
		_, host := first.Addrs()
		for _, port := range []uint16{host.Port(), 9} {
			p := l.ClientTo(1, port)
			p.Send("SYN with MP_JOIN", SYN, Join)
			p.Want("SYN/ACK with MP_JOIN", SYN|ACK, Join)
			p.Send("third packet", ACK, Join)
			p.Want("fourth packet", ACK, Len(0))
		}
		require.Len(t, conn.Info().Subflows, 3)
		hostCarriesOn(l, first, conn)
	})
}

// 8684-3.2-08, 8684-3.1-01: a SYN with both options is a join.
func TestSYNWithBothOptions(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		connected(l)
		p := l.Client(1)
		p.Send("both", SYN, Join, Capable)
		p.Want("SYN/ACK with MP_JOIN only", SYN|ACK, Join, Without(option.SubtypeCapable))
	})
}
