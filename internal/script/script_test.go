package script

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/option"
)

// A whole exchange in both roles, and what the ladder shows of it.
func TestExchange(t *testing.T) {
	Families(t, Options{Paths: 2}, func(t *testing.T, l *Lab) {
		p, c := l.Connect()
		read := l.Read(c, 5)
		read.NotDone("before any data")
		p.Send("data", Data("hello"), Map(1, 1, 5))
		p.Want("acknowledged", ACK, AckNo(6), DataAck(6))
		require.Equal(t, "hello", read.Result())
		l.Join(1, 3)
		p.Forget()
		p.Silence("nothing to say", time.Second)
		for _, want := range []string{
			"# SYN with MP_CAPABLE\n",
			"<── PSH|ACK 1:6(5) ack 1 win 65535",
			"path 1 port 50001  DSS dsn=8e087c8f ssn=1 len=5  (dsn 1)\n",
			"──> ACK 1:1(0) ack 6 win",
			"(data ack 6)\n",
			"path 2 port 50002  MP_JOIN SYN id=3 token=" + l.HostKey.Token().String(),
		} {
			require.Contains(t, l.Exchange(), want)
		}
	})
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, c := l.Accept()
		l.Write(c, "hi").Result()
		p.Want("first data", ACK, Data("hi"), Capable)
		p.Send("acknowledged", ACK, DataAck(3))
	})
}

// Lost packets are marked.
func TestLadderShowsLosses(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, _ := l.Connect()
		l.Links[0].There.SetUp(false)
		p.Send("nobody hears the answer", Data("x"), Map(1, 1, 1))
		p.Silence("the link is down", time.Second)
		require.Contains(t, l.Exchange(), "[dropped (down)]")
	})
}

// Every part says no when it is not there.
func TestPartsAreChecked(t *testing.T) {
	Test(t, Options{PeerChecksum: true}, func(t *testing.T, l *Lab) {
		p, c := l.Connect()
		l.Write(c, "hello").Result()
		s := p.Want("data", ACK, Seq(1), AckNo(1), Len(5), SomeData, Data("hello"), Map(1, 1, 5), DataAck(1), With(option.SubtypeDSS))
		for _, wrong := range []Part{
			ACK | FIN, Seq(2), AckNo(2), Win(1), Len(4), Data("hallo"), Map(2, 1, 5), Map(1, 2, 5), Map(1, 1, 4), MapFin(1, 1, 5),
			DataAck(2), Wide, NoMPTCP, Without(option.SubtypeDSS), With(option.SubtypeJoin), Capable, Join, Reset(option.ReasonMPTCP),
			CapableFlags(1), BadHMAC, Raw(1),
		} {
			require.Error(t, s.check([]Part{wrong}), wrong.String())
		}
		s.Payload[0] ^= 1
		require.ErrorContains(t, s.check([]Part{Map(1, 1, 5)}), "checksum is wrong")
		l.Checksum = false
		require.ErrorContains(t, s.check([]Part{Map(1, 1, 5)}), "not as negotiated")
	})
}

// Keys and HMACs are checked.
func TestSecretsAreChecked(t *testing.T) {
	Test(t, Options{Paths: 2}, func(t *testing.T, l *Lab) {
		l.Connect()
		p := l.Client(1)
		p.Send("join", SYN, Join)
		s := p.Want("SYN/ACK", SYN|ACK, Join)
		l.HostKey[0] ^= 1
		require.ErrorContains(t, s.check([]Part{Join}), "HMAC is wrong")
	})
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		l.Dial()
		p := l.Opened("SYN", SYN, Capable)
		p.Send("SYN/ACK", SYN|ACK, Capable)
		s := p.Want("third packet", ACK, Capable)
		l.PeerKey[0] ^= 1
		require.ErrorContains(t, s.check([]Part{Capable}), "not echoed")
	})
}

// A packet that cannot be is refused before it is sent.
func TestDraftWithTooManyOptions(t *testing.T) {
	p := &Peer{l: &Lab{}}
	d := &draft{p: p, flags: ACK, raw: make([]byte, 41)}
	_, err := d.build()
	require.ErrorContains(t, err, "44 bytes")
	require.Error(t, Len(3).put(d))
}

func TestDescribe(t *testing.T) {
	require.Equal(t, `SYN|ACK, seq 3, data "x", DATA_ACK 2, mapping dsn 1 ssn 0 len 1 fin`,
		describe([]Part{SYN | ACK, Seq(3), Data("x"), DataAck(2), MapFin(1, 0, 1)}))
	require.True(t, strings.HasPrefix(fmt.Sprint(Data(strings.Repeat("y", 100))), `data "yyy`))
}
