package packet

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// tooLong builds a TCP segment of a family with 1000 bytes of payload.
func tooLong(v6 bool, tos uint8) []byte {
	src, dst := netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("192.0.2.1:443")
	if v6 {
		src, dst = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8:1::1]:443")
	}
	b := AppendTCP(nil, &Fields{Src: src, Dst: dst, Seq: 0xfffffff0, TOS: tos, PayloadLen: 1000})
	return append(b, make([]byte, 1000)...)
}

func routerOf(v6 bool) netip.Addr {
	if v6 {
		return netip.MustParseAddr("100::1")
	}
	return netip.MustParseAddr("192.0.0.8")
}

func TestTooBig(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		p := tooLong(v6, 0)
		sent, _ := ParseTCP(p)
		b := AppendTooBig(nil, routerOf(v6), 800, p)
		m, ok := ParseTooBig(b)
		require.True(t, ok)
		require.Equal(t, TooBig{
			From: routerOf(v6), MTU: 800, Src: sent.Src(), Dst: sent.Dst(), Seq: 0xfffffff0, Len: len(p), Quoted: m.Quoted,
		}, m)
		if v6 {
			require.Len(t, b, IPv6Len+icmpLen+len(p), "all of it fits into 1280 bytes")
		} else {
			require.Len(t, b, 576)
		}
		require.Equal(t, p[:len(m.Quoted)], m.Quoted)

		// Anything cut off, and any bit that is wrong, makes it worthless; nothing panics.
		for n := range b {
			_, ok := ParseTooBig(b[:n])
			require.False(t, ok, n)
		}
		icmp := len(b) - len(m.Quoted) - icmpLen
		for i := icmp; i < len(b); i++ {
			b[i] ^= 4
			_, ok := ParseTooBig(b)
			require.False(t, ok, i)
			b[i] ^= 4
		}
		_, ok = ParseTooBig(p)
		require.False(t, ok, "not ICMP")
	}
}

// A message must be for the one who sent what it quotes.
func TestTooBigForSomebodyElse(t *testing.T) {
	b := AppendTooBig(nil, routerOf(false), 800, tooLong(false, 0))
	b[19]++ // the receiver of the message
	_, ok := ParseTooBig(b)
	require.False(t, ok)
}

func TestMarkECN(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for ecn := range 4 {
			p := tooLong(v6, uint8(ecn)|0xb8)
			require.Equal(t, ecn, ECN(p))
			require.True(t, DontFragment(p))
			require.Equal(t, ecn != 0, MarkECN(p))
			seg, ok := ParseTCP(p)
			require.True(t, ok)
			if ecn != 0 {
				ecn = CongestionExperienced
			}
			require.Equal(t, uint8(ecn)|0xb8, seg.TOS(), "the rest stays")
			if !v6 {
				require.EqualValues(t, 0xffff, Fold(Sum(0, p[:IPv4MinLen])))
			}
		}
	}
	require.Zero(t, ECN(nil))
}
