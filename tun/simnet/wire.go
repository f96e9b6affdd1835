package simnet

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/gomptcp/gomptcp/internal/packet"
)

// addresses returns where an IP packet comes from and goes to.
func addresses(b []byte) (src, dst netip.Addr, ok bool) {
	switch {
	case len(b) >= packet.IPv4MinLen && b[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), true
	case len(b) >= packet.IPv6Len && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), true
	}
	return netip.Addr{}, netip.Addr{}, false
}

// decrementTTL counts the time to live down; it returns false when that was its end.
func decrementTTL(b []byte) bool {
	ttl := &b[7]
	if b[0]>>4 == 4 {
		ttl = &b[8]
	}
	if *ttl <= 1 {
		return false
	}
	*ttl--
	mendIP(b)
	return true
}

// mendIP renews the checksum of an IPv4 header.
func mendIP(b []byte) {
	if b[0]>>4 != 4 {
		return
	}
	n := int(b[0]&0xf) * 4
	if n < packet.IPv4MinLen || n > len(b) {
		return
	}
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^packet.Fold(packet.Sum(0, b[:n])))
}

// mend makes lengths and checksums of a TCP packet right, after whatever was done to it.
func mend(b []byte) {
	if b[0]>>4 == 4 {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		mendIP(b)
	} else {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-packet.IPv6Len))
	}
	packet.SetChecksumPartial(b)
	packet.CompleteChecksum(b, nil)
}

// tooBig is what a router says about a packet that is longer than mtu, nil if nothing: to
// packets that may be fragmented, and to what is not TCP. Routers have no addresses
// here, so they use those of RFC 7600 section 5 and RFC 6666.
func tooBig(b []byte, mtu int) []byte {
	if _, ok := packet.ParseTCP(b); !ok || !packet.DontFragment(b) {
		return nil
	}
	if b[0]>>4 == 4 {
		return packet.AppendTooBig(nil, netip.AddrFrom4([4]byte{192, 0, 0, 8}), mtu, b)
	}
	return packet.AppendTooBig(nil, netip.MustParseAddr("100::1"), mtu, b)
}

// corrupt changes a bit of a TCP packet's payload and mends the checksum; it returns
// false if there is no payload.
func corrupt(b []byte, rng *rand.Rand) bool {
	t, ok := packet.ParseTCP(b)
	if !ok || len(t.Payload()) == 0 {
		return false
	}
	pay := t.Payload()
	pay[rng.IntN(len(pay))] ^= 1 << rng.IntN(8)
	mend(b)
	return true
}

// eachOption calls f with the kind and the bytes of each TCP option, as long as the list
// makes sense. The bytes are in place, kind and length included.
func eachOption(opts []byte, f func(kind byte, o []byte)) {
	for len(opts) > 0 {
		switch kind := opts[0]; {
		case kind == optionEnd:
			return
		case kind == optionNOP:
			opts = opts[1:]
		case len(opts) < 2 || int(opts[1]) < 2 || int(opts[1]) > len(opts):
			return
		default:
			n := int(opts[1])
			f(kind, opts[:n])
			opts = opts[n:]
		}
	}
}

// TCP option kinds.
const (
	optionEnd         = 0
	optionNOP         = 1
	optionWindowScale = 3
	optionSACK        = 5
	optionTimestamps  = 8
	optionMPTCP       = 30
)
