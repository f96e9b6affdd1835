package packet

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds b to the Internet checksum accumulator acc (RFC 1071): big-endian
// 16-bit words, a last odd byte padded with zero. Begin with 0 and end with Fold. A
// piece that begins at an odd offset of the whole has to be added by SumAt.
func Sum(acc uint64, b []byte) uint64 {
	// The words are added in little-endian order, eight bytes at a time, and the
	// folded result swapped: the ones' complement sum does not mind (RFC 1071
	// section 2).
	var s, c uint64
	for len(b) >= 64 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[32:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[40:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[48:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[56:]), c)
		s += c // cannot overflow: a sum that carried is at most 2^64-2
		b = b[64:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s += c
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(last[:]), 0)
		s += c
	}
	return acc + uint64(bits.ReverseBytes16(Fold(s)))
}

// SumAt is Sum for a piece that begins at offset off of the whole.
func SumAt(acc uint64, b []byte, off int) uint64 {
	if off&1 == 0 {
		return Sum(acc, b)
	}
	return acc + uint64(bits.ReverseBytes16(Fold(Sum(0, b))))
}

// Fold folds an accumulator into 16 bits, not complemented.
func Fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc>>16 + acc&0xffff)
}

// transport is where the checksum of a packet lies and what it covers.
type transport struct {
	ipHeader
	field int    // offset of the checksum field in head
	head  []byte // cut to the packet when that ends in it
}

// parseTransport finds the checksum of a TCP or UDP packet.
func parseTransport(head []byte) (t transport, ok bool) {
	h, ok := parseIP(head)
	if !ok {
		return transport{}, false
	}
	t = transport{ipHeader: h, head: head[:min(len(head), h.total)]}
	switch {
	case h.proto == protoTCP && len(t.head) >= h.len+TCPMinLen:
		t.field = h.len + offChecksum
	case h.proto == protoUDP && len(t.head) >= h.len+udpLen:
		t.field = h.len + 6
	default:
		return transport{}, false
	}
	return t, true
}

// sumAll is the unfolded sum of transport header and payload, checksum field
// included.
func (t *transport) sumAll(payload [][]byte) uint64 {
	acc := Sum(0, t.head[t.len:])
	off := len(t.head) - t.len
	for _, p := range payload {
		acc = SumAt(acc, p, off)
		off += len(p)
	}
	return acc
}

// put writes the whole checksum for the sum acc.
func (t *transport) put(acc uint64) {
	c := ^Fold(acc)
	if c == 0 && t.proto == protoUDP {
		c = 0xffff // zero would mean "none" (RFC 768)
	}
	binary.BigEndian.PutUint16(t.head[t.field:], c)
}

// CompleteChecksum turns the partial form of a TCP or UDP checksum in head, the
// folded sum of the pseudo header, into the whole one. head begins with the IP
// header and holds the transport header and possibly payload; payload is the rest
// in order, in pieces of any length. Packets of other protocols, and fragments, are
// left as they are.
func CompleteChecksum(head []byte, payload [][]byte) {
	if t, ok := parseTransport(head); ok {
		t.put(t.sumAll(payload))
	}
}

// ChecksumField says where the checksum of the TCP or UDP packet that head begins
// lies: what it covers begins at offset start of head, and the field is at
// start+offset. ok is false for other packets and for fragments.
func ChecksumField(head []byte) (start, offset int, ok bool) {
	t, ok := parseTransport(head)
	return t.len, t.field - t.len, ok
}

// SetChecksumPartial writes the folded, uncomplemented sum of the pseudo header
// into the checksum field of the TCP or UDP packet that head begins, for the length
// in its IP header. Other packets are left as they are.
func SetChecksumPartial(head []byte) {
	if t, ok := parseTransport(head); ok {
		binary.BigEndian.PutUint16(head[t.field:], Fold(pseudoSum(head, t.proto, t.total-t.len)))
	}
}

// VerifyChecksum reports whether the packet is TCP or UDP, not a fragment, and has
// a right transport checksum (for UDP over IPv4: or none). The length that counts
// is that of the bytes given.
func VerifyChecksum(head []byte, payload [][]byte) bool {
	t, ok := parseTransport(head)
	if !ok {
		return false
	}
	if t.proto == protoUDP && head[t.field] == 0 && head[t.field+1] == 0 {
		return head[0]>>4 == 4 // IPv6 wants one (RFC 8200 section 8.1)
	}
	n := len(t.head) - t.len
	for _, p := range payload {
		n += len(p)
	}
	return Fold(t.sumAll(payload)+pseudoSum(head, t.proto, n)) == 0xffff
}
