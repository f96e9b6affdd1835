package conformance

import (
	"bytes"
	"context"
	"io"
	"math/rand"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// 8684-5-02, 8684-3.2-14, -19: an attacker repeats a join that it has recorded: the host's nonce is
// another one each time, and so the third packet does not fit.
func TestReplayedJoin(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		syn := option.JoinSyn{ID: 1, Token: l.HostKey.Token(), Nonce: option.Nonce{1, 2, 3, 4}}
		p := l.Client(1)
		p.Send("the true join", SYN, Option(syn))
		answer, _ := p.Want("SYN/ACK", SYN|ACK, With(option.SubtypeJoin)).Options.JoinSynAck()
		third := option.NewJoinAck(l.PeerKey, l.HostKey, syn.Nonce, answer.Nonce)
		p.Send("third packet", ACK, Option(third))
		p.Want("fourth packet", ACK, Len(0), DataAck(2))
		p.Send("its end", RST)
		l.Sleep(20 * time.Second) // it may be on the same ports

		for _, replay := range []*Peer{l.Client(1), p} {
			replay.Send("recorded SYN", Seq(0), SYN, Option(syn))
			again, _ := replay.Await("SYN/ACK", SYN|ACK, With(option.SubtypeJoin)).Options.JoinSynAck()
			require.NotEqual(t, answer.Nonce, again.Nonce)
			if replay == p {
				break // the script's numbers are those of the first connection
			}
			replay.Send("recorded third packet", ACK, Option(third))
			replay.Want("refused", RST|ACK, Reset(option.ReasonMPTCP))
		}
		require.EqualValues(t, 1, l.Host.Counters()["MPJoinAckHMacFailure"])
		carriesOn(l, first, conn)
	})
}

// 8684-5-03, 8684-3.1-01: in all that two hosts send, keys stand in MP_CAPABLE and MP_FASTCLOSE
// only, and MP_CAPABLE on the opening of the initial subflow only.
func TestKeysStayInTheirOptions(t *testing.T) {
	var packets [][]byte
	record := func(e simnet.Event) {
		if e.Kind == simnet.Entered {
			packets = append(packets, bytes.Clone(e.Packet))
		}
	}
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour, Record: record}, func(t *testing.T, w *simnet.World) {
		exchangeAndAbort(t, w)
	})
	var keys []option.Key
	for _, b := range packets {
		if p, ok := packet.ParseTCP(b); ok {
			set := option.Parse(p.Options(), p.Flags())
			if c, ok := set.Capable(); ok && c.Form >= option.CapableAck {
				keys = append(keys, c.SenderKey, c.ReceiverKey)
			}
		}
	}
	require.NotEmpty(t, keys)
	fastClose, joins := 0, 0
	for _, b := range packets {
		p, ok := packet.ParseTCP(b)
		require.True(t, ok)
		set := option.Parse(p.Options(), p.Flags())
		require.False(t, set.Has(option.SubtypeCapable) && set.Has(option.SubtypeJoin))
		if set.Has(option.SubtypeJoin) {
			joins++
		}
		if set.Has(option.SubtypeFastClose) {
			fastClose++
		}
		blank(p.Options())
		for _, k := range keys {
			require.False(t, bytes.Contains(b, k[:]), "%v in %v", k, &set)
		}
	}
	require.Positive(t, fastClose)
	require.GreaterOrEqual(t, joins, 3)
}

// blank overwrites MP_CAPABLE and MP_FASTCLOSE.
func blank(o []byte) {
	for i := 0; i+2 < len(o) && o[i] != 0; {
		if o[i] == 1 {
			i++
			continue
		}
		n := int(o[i+1])
		if subtype := option.Subtype(o[i+2] >> 4); o[i] == option.Kind && (subtype == option.SubtypeCapable || subtype == option.SubtypeFastClose) {
			clear(o[i+3 : i+n])
		}
		i += n
	}
}

// exchangeAndAbort lets two hosts with two paths send each other random bytes, and abort.
func exchangeAndAbort(t *testing.T, w *simnet.World) {
	nodes := [2]*simnet.Host{w.Host("client"), w.Host("server")}
	var hosts [2]*mptcp.Host
	for i, n := range nodes {
		h, err := mptcp.NewHost(&mptcp.Config{Environment: n, Checksum: true})
		require.NoError(t, err)
		hosts[i] = h
	}
	for path := range byte(2) {
		shape := simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 10 * time.Millisecond, Loss: 0.01}
		link := w.Connect(nodes[0], nodes[1], shape, shape)
		require.NoError(t, hosts[0].AddDevice(link.A, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, path, 1}), 24)))
		require.NoError(t, hosts[1].AddDevice(link.B, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, path, 2}), 24)))
	}
	l, err := hosts[1].Listen("tcp", ":443")
	require.NoError(t, err)
	a, err := hosts[0].Dial(context.Background(), "tcp", "10.0.0.2:443")
	require.NoError(t, err)
	b, err := l.AcceptMPTCP()
	require.NoError(t, err)
	const n = 300_000
	for i, from := range []*mptcp.Conn{a, b} {
		_, err := io.CopyN(from, rand.New(rand.NewSource(int64(i))), n)
		require.NoError(t, err)
	}
	for _, to := range []*mptcp.Conn{a, b} {
		_, err := io.CopyN(io.Discard, to, n)
		require.NoError(t, err)
	}
	require.NoError(t, a.Abort())
	time.Sleep(time.Second)
}

// 8684-5-05, 8684-3.3.4-02: out of order up to the edge of the window and past it: what lies beyond
// is dropped, and what was kept is used.
func TestReassemblyIsBoundedByTheWindow(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{ReceiveBuffer: 64 << 10}}, func(t *testing.T, l *Lab) {
		p, conn := l.Connect()
		p.Send("first data", Data("x"), Capable)
		p.Await("accepted", ACK, DataAck(2))
		const size = 1000
		chunk := func(i int) (dsn int, payload string) { return 2 + i*size, strings.Repeat(string(rune('a'+i%26)), size) }
		send := func(i int) {
			dsn, payload := chunk(i)
			p.Send("a piece", Seq(uint32(dsn)), Data(payload), Map(dsn, uint32(dsn), size))
		}
		const n = 300
		for i := 1; i < n; i++ {
			send(i)
		}
		l.Sleep(2 * Delay)
		edge := 0
		for _, s := range p.Arrived() {
			edge = max(edge, int(s.Ack)+int(s.Window)<<p.HostScale)
		}
		require.Less(t, edge, n*size/2)
		send(0)
		l.Sleep(2 * Delay)
		top := 0
		for _, s := range p.Arrived() {
			if dss, ok := s.Options.DSS(); ok && dss.HasAck {
				top = max(top, int(dss.WideAck(l.PeerDSN(0)).Sub(l.PeerDSN(0))))
			}
		}
		require.Less(t, top, edge+size, "nothing that began beyond the window was kept")
		require.Greater(t, top, edge/2, "what lay in the window was")
		want := "x"
		got := l.Read(conn, 1+n*size)
		for i := range n {
			_, payload := chunk(i)
			want += payload
		}
		for i := (top - 2) / size; i < n; i++ {
			send(i)
			l.Sleep(2 * Delay)
		}
		require.Equal(t, want, got.Result())
	})
}
