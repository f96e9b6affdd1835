package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
)

// second is how long tests look for what must not come.
const second = time.Second

// 8684-3.1-01, -02, -06, -10, -11, -22, -25, 8684-W-03
func TestClientOpens(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN without a key", SYN, Option(option.MPCapable{Form: option.CapableSyn, Version: 1, Flags: option.HMACSHA256}))
		dial.NotDone("before the SYN/ACK")
		p.Send("SYN/ACK with our key", SYN|ACK, Capable)
		p.Want("third ACK carries both keys", ACK, Len(0), Seq(1), AckNo(1), Capable)
		require.True(t, dial.Result().Info().MPTCP)
		p.Silence("no more without data", second)
	})
}

// 8684-3.1-30, 8684-3.7-01, 8684-3.1-04
func TestServerSpeaksOnlyTCP(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN", SYN, Capable)
		p.Send("plain SYN/ACK", SYN|ACK)
		p.Want("plain ACK", ACK, Len(0), NoMPTCP)
		conn := dial.Result()
		l.Write(conn, "hello").Result()
		p.Want("plain data", ACK, Data("hello"), NoMPTCP)
		p.Send("plain data", Data("welcome"))
		require.Equal(t, "welcome", l.Read(conn, 7).Result())
		p.Await("plain ACK", ACK, AckNo(8), NoMPTCP)
		require.False(t, conn.Info().MPTCP)
	})
}

// 8684-3.1-23, -26, -28, 8684-Q-24
func TestClientIgnoresUnusableSynAck(t *testing.T) {
	key := option.Key{1, 2, 3, 4, 5, 6, 7, 8}
	for name, o := range map[string]option.MPCapable{
		"flag B":          {Form: option.CapableSynAck, Version: 1, Flags: 0x41, SenderKey: key},
		"no algorithm":    {Form: option.CapableSynAck, Version: 1, Flags: 0x80, SenderKey: key},
		"other algorithm": {Form: option.CapableSynAck, Version: 1, Flags: 0x02, SenderKey: key},
		"version 0":       {Form: option.CapableSynAck, Version: 0, Flags: 0x01, SenderKey: key},
		"version 2":       {Form: option.CapableSynAck, Version: 2, Flags: 0x01, SenderKey: key},
		"form of a SYN":   {Form: option.CapableSyn, Version: 1, Flags: 0x01},
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, Options{}, func(t *testing.T, l *Lab) {
				dial := l.Dial()
				p := l.Opened("SYN", SYN, Capable)
				p.Send("unusable", SYN|ACK, Option(o))
				p.Want("plain ACK", ACK, Len(0), NoMPTCP)
				l.Write(dial.Result(), "hello").Result()
				p.Want("plain data", Data("hello"), NoMPTCP)
			})
		})
	}
}

// 8684-3.1-12: the keys ride on TCP's reliability.
func TestFirstDataCarriesKeysUntilConfirmed(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		l.Write(conn, "hello").Result()
		p.Want("first data with keys", ACK, Data("hello"), Capable)
		p.Await("sent again with keys", ACK, Data("hello"), Seq(1), Capable)
		p.Send("acknowledged", ACK, DataAck(6))
		l.Sleep(second)
		p.Forget()
		l.Write(conn, "again").Result()
		p.Want("then a DSS", ACK, Data("again"), Map(6, 6, 5), DataAck(1), Without(option.SubtypeCapable))
	})
}

// 8684-3.1-12, 8684-Q-07
func TestNoKeysAfterDSSFromServer(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Confirm()
		l.Write(conn, "hello").Result()
		p.Want("first data", ACK, Data("hello"), Map(1, 1, 5), DataAck(1), Without(option.SubtypeCapable))
	})
}

// 8684-3.1-20, 8684-3.3.1-06, 8684-W-19, 8684-Q-09
func TestChecksumsIfEitherAsks(t *testing.T) {
	for _, c := range []struct{ host, peer bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		o := Options{Config: mptcp.Config{Checksum: c.host}, PeerChecksum: c.peer}
		t.Run("client", func(t *testing.T) {
			Families(t, o, func(t *testing.T, l *Lab) {
				p, conn := l.Accept() // looks at flag A of the third packet
				l.Write(conn, "odd").Result()
				p.Want("first data", ACK, Data("odd"), Capable)
				p.Send("data", Data("seven b"), Map(1, 1, 7), DataAck(4))
				p.Await("accepted", ACK, AckNo(8), DataAck(8))
				l.Write(conn, "more").Result()
				p.Want("more data", ACK, Data("more"), Map(4, 4, 4))
				require.Equal(t, c.host || c.peer, l.Checksum)
				require.Equal(t, l.Checksum, conn.Info().Checksum)
			})
		})
		t.Run("server", func(t *testing.T) {
			Families(t, o, func(t *testing.T, l *Lab) {
				p, conn := l.Connect()
				p.Send("first data", Data("odd"), Capable)
				p.Await("accepted", ACK, AckNo(4), DataAck(4))
				l.Write(conn, "welcome").Result()
				p.Await("data", ACK, Data("welcome"), Map(1, 1, 7))
				require.Equal(t, c.host || c.peer, conn.Info().Checksum)
			})
		})
	}
}

// 8684-3.1-33, 8684-3.9.3-01
func TestPlainSYNWhenMPTCPIsUnanswered(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN with option", SYN, Capable)
		p.Await("SYN without option", SYN, NoMPTCP)
		p.Send("SYN/ACK", SYN|ACK)
		p.Await("plain ACK", ACK, Len(0), NoMPTCP)
		require.False(t, dial.Result().Info().MPTCP)
	})
}

// meshed is a host with two paths that joins by itself.
var meshed = Options{Paths: 2, Config: mptcp.Config{PathManager: pathmgr.Default}}

// 8684-3.1-18, 8684-Q-08
func TestNoJoinBeforeDSS(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		l.Write(conn, "hello").Result()
		l.NotOpened("nothing has come from the server", 2*second)
		p.Send("acknowledged", ACK, AckNo(6), DataAck(6))
		l.Opened("now it joins", SYN, Join)
	})
}

// 8684-3.1-24, 8684-3.4.1-05
func TestFlagCDeniesJoinsToInitialAddress(t *testing.T) {
	Test(t, meshed, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN", SYN, Capable)
		p.Send("SYN/ACK with C", SYN|ACK, CapableFlags(option.HMACSHA256|option.DenyJoinInitial))
		p.Want("third packet", ACK, Capable)
		dial.Result()
		p.Confirm()
		l.NotOpened("denied", 2*second)
		p.Send("another address", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 1, 0))))
		join := l.Opened("join to that", SYN, Join)
		at, _ := join.Addrs()
		require.Equal(t, peerAt(l, 1, Port), at)
	})
}

// 8684-3.1-15, 8684-3.1-18: both sides' first data cross.
func TestFirstDataCrosses(t *testing.T) {
	Families(t, meshed, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		l.Write(conn, "hello").Result()
		p.Want("first data with keys", ACK, Data("hello"), Capable)
		p.Send("the server's first data", Data("welcome"), AckNo(1), Map(1, 1, 7), DataAck(1))
		require.Equal(t, "welcome", l.Read(conn, 7).Result())
		p.Await("acknowledged", ACK, AckNo(8), DataAck(8))
		p.Send("acknowledged", ACK, DataAck(6))
		l.AcceptJoin(0)
		p.Forget()
		p.Never("nothing again", second, SomeData)
	})
}

// 8684-3.1-11: a peer that has shown nothing since its SYN/ACK may still wait for the third
// packet; a probe alone, whose number is one before, would not bring it.
func TestClientRepeatsTheThirdPacketWithAProbe(t *testing.T) {
	Families(t, Options{Config: mptcp.Config{KeepAlive: 2 * second}}, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		p := l.Opened("SYN", SYN, Capable)
		p.Send("SYN/ACK", SYN|ACK, Capable)
		p.Want("third packet, which is lost", ACK, Seq(1), AckNo(1), Capable)
		dial.Result()
		p.Silence("until the peer is probed", second)
		p.Await("third packet again", ACK, Len(0), Seq(1), AckNo(1), Capable)
		p.Want("probe", ACK, Len(0), Seq(0), AckNo(1), Capable)
		p.Send("DATA_ACK", ACK, DataAck(1))
		p.Await("probe without it", ACK, Len(0), Seq(0), AckNo(1), DataAck(1))
		p.Silence("only one segment now", second)
	})
}
