package simnet_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// longWay is host a, a router r, and host b, of one family. Both ends are watched.
type longWay struct {
	there, back *line // what arrives at b, and at a
	first, last *simnet.Link
	a, b        netip.AddrPort
}

func newLongWay(t *testing.T, w *simnet.World, v6 bool) *longWay {
	x := &longWay{a: netip.MustParseAddrPort("10.0.0.1:1000"), b: netip.MustParseAddrPort("192.0.2.1:443")}
	toA, toB := "10.0.0.0/8", "192.0.2.0/24"
	if v6 {
		x.a, x.b = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8:1::1]:443")
		toA, toB = "2001:db8::/64", "2001:db8:1::/64"
	}
	r := w.Router("r")
	x.first = w.Connect(w.Host("a"), r, simnet.Shape{Delay: ms(1)}, simnet.Shape{Delay: ms(1)})
	x.last = w.Connect(r, w.Host("b"), simnet.Shape{Delay: ms(2)}, simnet.Shape{Delay: ms(2)})
	r.Route(netip.MustParsePrefix(toA), x.first)
	r.Route(netip.MustParsePrefix(toB), x.last)
	x.there = newLine(t, w, &simnet.Link{A: x.first.A, B: x.last.B})
	x.back = newLine(t, w, &simnet.Link{A: x.last.B, B: x.first.A})
	return x
}

// segment is one from a to b, so many bytes long.
func (x *longWay) segment(seq uint32, size int, tos uint8) []byte {
	head := 40
	if x.a.Addr().Is6() {
		head = 60
	}
	return build(packet.Fields{Src: x.a, Dst: x.b, Seq: seq, TOS: tos, Flags: packet.FlagACK}, make([]byte, size-head))
}

func bothFamilies(t *testing.T, f func(t *testing.T, x *longWay)) {
	for _, v6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("IPv6 %v", v6), func(t *testing.T) {
			simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) { f(t, newLongWay(t, w, v6)) })
		})
	}
}

// A link tells the sender of a packet that is too big, wherever it lies (RFC 1191, RFC
// 8201), if it is told to; the setting holds from one packet to the next.
func TestSenderIsToldOfTheMTU(t *testing.T) {
	bothFamilies(t, func(t *testing.T, x *longWay) {
		for i, l := range []*simnet.Link{x.first, x.last} {
			x.back.got = nil
			l.Change(func(s *simnet.Shape) { s.MTU = 1300 })
			x.there.write(x.segment(1, 1301, 0))
			sleep(time.Second)
			require.Zero(t, len(x.back.got), "a black hole")
			l.Change(func(s *simnet.Shape) { s.TellTooBig = true })
			x.there.write(x.segment(2, 1301, 0))
			x.there.write(x.segment(3, 1300, 0))
			sleep(time.Second)
			require.Len(t, x.back.got, 1)
			m, ok := packet.ParseTooBig(x.back.got[0].bytes)
			require.True(t, ok)
			require.Equal(t, 1300, m.MTU)
			require.Equal(t, []any{x.a, x.b, uint32(2), 1301}, []any{m.Src, m.Dst, m.Seq, m.Len})
			require.EqualValues(t, 2, l.There.Stats().TooBig)
			require.Len(t, x.there.got, i+1)
			l.Change(func(s *simnet.Shape) { s.MTU = 0 })
		}
	})
}

// What may be fragmented, and what is not TCP, is dropped without a word.
func TestNoWordAboutWhatMayBeFragmented(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		x := newLongWay(t, w, false)
		x.last.Change(func(s *simnet.Shape) { s.MTU, s.TellTooBig = 600, true })
		b := x.segment(1, 1000, 0)
		b[6] &^= 0x40
		x.there.write(b)
		sleep(time.Second)
		require.EqualValues(t, 1, x.last.There.Stats().TooBig)
		require.Empty(t, x.back.got)
	})
}

// Middleboxes translate what ICMP quotes (RFC 5508 section 4.2), so that the sender knows
// its own segment again.
func TestMiddleboxesTranslateWhatIsQuoted(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		x := newLongWay(t, w, false)
		nat, shift := simnet.NewNAT(netip.MustParseAddr("10.0.0.9")), simnet.ShiftSequence{By: 1 << 31, ByBack: 7}
		x.first.There.Through(nat.Out, shift.There)
		x.first.Back.Through(shift.Back, nat.In)
		x.last.Change(func(s *simnet.Shape) { s.MTU, s.TellTooBig = 600, true })
		x.there.write(x.segment(1, 100, 0))
		x.there.write(x.segment(77, 1000, 0))
		sleep(time.Second)
		outside, _ := packet.ParseTCP(x.there.got[0].bytes)
		require.Equal(t, "10.0.0.9", outside.Src().Addr().String())
		require.Len(t, x.back.got, 1)
		m, ok := packet.ParseTooBig(x.back.got[0].bytes)
		require.True(t, ok)
		require.Equal(t, []any{x.a, x.b, uint32(77), 600}, []any{m.Src, m.Dst, m.Seq, m.MTU})
	})
}

// Queue.Mark marks what has waited too long, as far as the senders take part in ECN.
func TestQueueMarks(t *testing.T) {
	bothFamilies(t, func(t *testing.T, x *longWay) {
		x.first.Change(func(s *simnet.Shape) { s.Rate, s.Queue = simnet.Mbps, simnet.Queue{Mark: ms(25)} })
		for i := range uint32(5) { // 10 ms each
			x.there.write(x.segment(i, 1250, 1))
			x.there.write(x.segment(i, 1250, 0))
		}
		sleep(time.Second)
		require.Len(t, x.there.got, 10)
		for i, a := range x.there.got {
			switch waited := ms(10) * time.Duration(i); {
			case i%2 == 1:
				require.Zero(t, packet.ECN(a.bytes), "not capable")
			case waited > ms(25):
				require.Equal(t, packet.CongestionExperienced, packet.ECN(a.bytes), i)
			default:
				require.Equal(t, 1, packet.ECN(a.bytes), i)
			}
			require.True(t, packet.VerifyChecksum(a.bytes, nil))
		}
		require.EqualValues(t, 3, x.first.There.Stats().Marked)
	})
}

// CoDel with ECN marks where it would drop (RFC 8289 section 5.5 leaves it open), and goes
// on to drop what cannot be marked.
func TestCoDelMarks(t *testing.T) {
	for _, tc := range []struct {
		tos  uint8
		ecn  bool
		mark bool
	}{{2, true, true}, {2, false, false}, {0, true, false}} {
		simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
			x := newLongWay(t, w, false)
			x.first.Change(func(s *simnet.Shape) {
				s.Rate, s.Queue = 10*simnet.Mbps, simnet.Queue{Packets: 1000, CoDel: &simnet.CoDel{ECN: tc.ecn}}
			})
			for i := range uint32(2000) { // 1 ms each, one each 0.5 ms
				x.there.write(x.segment(i, 1250, tc.tos))
				sleep(ms(0.5))
			}
			sleep(time.Minute)
			stats := x.first.There.Stats()
			if tc.mark {
				require.Zero(t, stats.AQM)
				require.Greater(t, stats.Marked, uint64(20))
				require.Len(t, x.there.got, int(2000-stats.Full))
			} else {
				require.Greater(t, stats.AQM, uint64(20))
				require.Zero(t, stats.Marked)
			}
		})
	}
}
