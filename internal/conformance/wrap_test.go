package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// keyK7 is T-K7: the lower half of its DSNs wraps after 49 bytes.
var keyK7 = option.Key{0xb0, 0, 0, 0, 0, 0xda, 0x41, 0xbf}

// wrappingKey finds a key whose lower half wraps after not much more than n bytes.
func wrappingKey(n uint32) option.Key {
	var k option.Key
	for i := uint64(1); ; i++ {
		binary.BigEndian.PutUint64(k[:], i)
		if left := -k.IDSN().Low(); n <= left && left < n+n/4 {
			return k
		}
	}
}

// 8684-3.3.1-11, -12, -15, T-K7: the host's own numbers wrap; the peer's DATA_ACKs of both
// widths come in disorder around that.
func TestOwnNumbersWrap(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		Test(t, Options{HostKey: keyK7, PeerChecksum: checksum}, func(t *testing.T, l *Lab) {
			p, conn := connected(l)
			require.Equal(t, keyK7, l.HostKey)
			text := strings.Repeat("0123456789", 10)
			for _, cut := range [][2]int{{0, 40}, {40, 60}, {60, 100}} {
				l.Write(conn, text[cut[0]:cut[1]]).Result()
				p.Await("data", ACK, Data(text[cut[0]:cut[1]]), Map(cut[0]+1, uint32(cut[0]+1), cut[1]-cut[0]))
			}
			require.Equal(t, uint32(0), l.HostDSN(50).Low())
			confirmed := func(n int) {
				l.Sleep(2 * Delay)
				require.EqualValues(t, n, conn.Info().BytesAcked)
			}
			p.Send("before the wrap", ACK, AckNo(41), DataAck(41))
			confirmed(40)
			p.Send("behind it", ACK, AckNo(61), DataAck(61))
			confirmed(60)
			p.Send("an old one, from before it", ACK, AckNo(61), DataAck(41))
			p.Send("an old one of 8 bytes", ACK, AckNo(61), DataAck(50), Wide)
			confirmed(60)
			p.Send("all, in 8 bytes", ACK, AckNo(101), DataAck(101), Wide)
			confirmed(100)
			p.Send("one of the future, by its lower half", ACK, AckNo(101), DataAck(102))
			confirmed(100)
			p.Forget()
			p.Never("nothing is sent again", second, SomeData)
		})
	}
}

// 8684-3.3.1-13, -15, T-K7: the peer's mappings of both widths come in disorder around the
// wrap of their lower half, on two subflows.
func TestWidthsAroundTheWrap(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		Test(t, Options{Paths: 2, PeerKey: keyK7, PeerChecksum: checksum}, func(t *testing.T, l *Lab) {
			first, conn := connected(l)
			p := l.Join(1, 1)
			text := strings.Repeat("0123456789", 10)
			p.Send("after the wrap, 4 bytes", Data(text[60:]), Map(62, 1, 40))
			p.Send("over the wrap, 8 bytes", Data(text[40:60]), Map(42, 41, 20), Wide)
			first.Send("before it, 4 bytes", Data(text[:40]), Map(2, 2, 40))
			p.Await("all", ACK, AckNo(61), DataAck(102))
			p.Send("over the wrap again, 4 bytes", Data(text[40:60]), Map(42, 61, 20))
			first.Send("before it again", Seq(2), Data(text[:40]), Map(2, 2, 40))
			p.Send("further, 4 bytes", Data("on"), Map(102, 81, 2))
			require.Equal(t, text+"on", l.Read(conn, 102).Result())
			p.Await("all", ACK, AckNo(83), DataAck(104))
		})
	}
}

// transfer is a connection between two hosts; the client has two links to a router, that lose
// and reorder packets.
type transfer struct {
	ends [2]*mptcp.Conn
}

// newTransfer connects the hosts; equip, if not nil, puts middleboxes into the links.
func newTransfer(t *testing.T, w *simnet.World, checksum bool, keys [2]option.Key, equip func(l *simnet.Link)) *transfer {
	tr := &transfer{}
	nodes, hub := [2]*simnet.Host{w.Host("client"), w.Host("server")}, w.Router("hub")
	var hosts [2]*mptcp.Host
	for i, n := range nodes {
		h, err := mptcp.NewHost(&mptcp.Config{Environment: WithKey(n, keys[i]), Checksum: checksum})
		require.NoError(t, err)
		hosts[i] = h
	}
	last := w.Connect(hub, nodes[1], simnet.Shape{}, simnet.Shape{})
	hub.Route(netip.MustParsePrefix("0.0.0.0/0"), last)
	require.NoError(t, hosts[1].AddDevice(last.B, netip.MustParsePrefix("192.0.2.1/24")))
	for i := range 2 {
		shape := simnet.Shape{Rate: 2 * simnet.Mbps, Delay: time.Duration(5+10*i) * time.Millisecond, Loss: 0.02, Reorder: 0.05, ReorderBy: 4 * time.Millisecond}
		link := w.Connect(nodes[0], hub, shape, shape)
		if equip != nil {
			equip(link)
		}
		local := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 24)
		require.NoError(t, hosts[0].AddDevice(link.A, local))
		hub.Route(local, link)
	}
	l, err := hosts[1].Listen("tcp", ":443")
	require.NoError(t, err)
	tr.ends[0], err = hosts[0].Dial(context.Background(), "tcp", "192.0.2.1:443")
	require.NoError(t, err)
	tr.ends[1], err = l.AcceptMPTCP()
	require.NoError(t, err)
	return tr
}

// run sends n bytes each way at once and checks them.
func (tr *transfer) run(t *testing.T, n int) {
	var wg sync.WaitGroup
	for i, c := range tr.ends {
		b := make([]byte, n)
		rand.New(rand.NewSource(int64(i))).Read(b)
		wg.Go(func() {
			_, err := c.Write(b)
			require.NoError(t, err)
			require.NoError(t, c.CloseWrite())
		})
		wg.Go(func() {
			got, err := io.ReadAll(tr.ends[1-i])
			require.NoError(t, err)
			require.True(t, bytes.Equal(b, got), "direction %d", i)
		})
	}
	wg.Wait()
}

// requireBothPaths asserts that both paths took much of the data, so that nothing of what lies
// on them did harm.
func (tr *transfer) requireBothPaths(t *testing.T) {
	for _, c := range tr.ends {
		info := c.Info()
		require.True(t, info.MPTCP)
		require.Len(t, info.Subflows, 2)
		for _, s := range info.Subflows {
			require.Greater(t, s.BytesSent, uint64(100_000))
		}
	}
}

// 8684-3.3.1-11, -12, -15, T-K7: a transfer both ways over two lossy paths, while the lower
// half of all data sequence numbers wraps.
func TestTransferAcrossTheWrap(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		keys := [2]option.Key{keyK7, wrappingKey(100_000)}
		seen := [2]struct{ before, after int }{}
		record := func(e simnet.Event) {
			s, ok := packet.ParseTCP(e.Packet)
			if !ok || e.Kind != simnet.Arrived || s.PayloadLen() == 0 {
				return
			}
			set := option.Parse(s.Options(), s.Flags())
			if d, ok := set.DSS(); ok && d.HasMap && !d.DSN64 {
				side := 0
				if s.Src().Port() == 443 {
					side = 1
				}
				if uint32(d.DSN) >= 1<<31 {
					seen[side].before++
				} else {
					seen[side].after++
				}
			}
		}
		simnet.Test(t, simnet.Config{Seed: 7, Deadline: time.Hour, Record: record}, func(t *testing.T, w *simnet.World) {
			tr := newTransfer(t, w, checksum, keys, nil)
			for i, c := range tr.ends {
				require.Equal(t, uint32(keys[i].Token()), c.Info().LocalToken)
			}
			tr.run(t, 1_000_000)
			tr.requireBothPaths(t)
		})
		require.Positive(t, seen[0].after)
		require.Greater(t, seen[1].before, 50)
		require.Greater(t, seen[1].after, 200)
	}
}

// nearTheEnd makes a link move all initial sequence numbers to 20000 before the wrap.
func nearTheEnd(l *simnet.Link) {
	const first = 1<<32 - 20_000
	var s simnet.ShiftSequence
	learn := func(b []byte, shift *uint32) {
		if t, ok := packet.ParseTCP(b); ok && *shift == 0 && simnet.IsSYN(b) {
			*shift = first - t.Seq()
		}
	}
	l.There.Through(func(p *simnet.Passage, b []byte) {
		learn(b, &s.By)
		s.There(p, b)
	})
	l.Back.Through(func(p *simnet.Passage, b []byte) {
		learn(b, &s.ByBack)
		s.Back(p, b)
	})
}

// 8684-3.3.1-04, 8684-Q-29: firewalls choose other initial sequence numbers, and such that TCP's
// numbers wrap in mid-transfer; only relative ones count.
func TestSequenceNumbersAreRewritten(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		simnet.Test(t, simnet.Config{Seed: 8, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
			tr := newTransfer(t, w, checksum, [2]option.Key{{1}, {2}}, nearTheEnd)
			tr.run(t, 1_000_000)
			tr.requireBothPaths(t)
		})
	}
}
