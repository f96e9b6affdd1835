package packet

import (
	"encoding/binary"
	"net/netip"
)

// The two ICMP messages for a packet that is longer than the MTU of a link on its way: type
// "destination unreachable", code "fragmentation needed" (RFC 792, RFC 1191), and type
// "packet too big" (RFC 4443).
const (
	protoICMPv4 = 1
	protoICMPv6 = 58

	icmpLen        = 8 // before the quoted packet
	unreachable    = 3
	fragmentNeeded = 4
	packetTooBig   = 2

	// How long the messages are at most, headers included (RFC 1812 section 4.3.2.3,
	// RFC 4443 section 2.4).
	maxICMPv4, maxICMPv6 = 576, 1280

	quotedTCP = 8 // what is quoted of a TCP header at least: ports and sequence number
)

// TooBig is what an ICMP message says about a TCP segment that was too long for a link.
type TooBig struct {
	// From is who says so.
	From netip.Addr
	// MTU is that of the link in bytes; 0 from routers older than RFC 1191.
	MTU int
	// Src, Dst and Seq are those of the segment, Len is its length by its IP header.
	Src, Dst netip.AddrPort
	Seq      uint32
	Len      int
	// Quoted is the beginning of the segment, in place: its IP header and at least 8 bytes of
	// its TCP header.
	Quoted []byte
}

// ParseTooBig reads the ICMP packet b. ok is false for every other packet, for a wrong
// ICMP checksum, and when what is quoted is no TCP segment from the message's receiver.
func ParseTooBig(b []byte) (m TooBig, ok bool) {
	h, ok := parseIP(b)
	if !ok || h.total > len(b) || h.total < h.len+icmpLen {
		return TooBig{}, false
	}
	icmp := b[h.len:h.total]
	var sum uint64
	outer := TCP{b: b} // for its addresses
	switch {
	case h.proto == protoICMPv4 && !outer.IsIPv6() && icmp[0] == unreachable && icmp[1] == fragmentNeeded:
		m.MTU = int(binary.BigEndian.Uint16(icmp[6:]))
	case h.proto == protoICMPv6 && outer.IsIPv6() && icmp[0] == packetTooBig:
		m.MTU = int(binary.BigEndian.Uint32(icmp[4:]))
		sum = pseudoSum(b, protoICMPv6, len(icmp))
	default:
		return TooBig{}, false
	}
	if Fold(Sum(sum, icmp)) != 0xffff {
		return TooBig{}, false
	}
	m.Quoted = icmp[icmpLen:]
	q, ok := parseIP(m.Quoted)
	if !ok || q.proto != protoTCP || len(m.Quoted) < q.len+quotedTCP || m.Quoted[0]>>4 != b[0]>>4 {
		return TooBig{}, false
	}
	inner := TCP{b: m.Quoted, ip: uint8(q.len)}
	m.From, m.Src, m.Dst, m.Seq, m.Len = outer.addr(12, 8), inner.Src(), inner.Dst(), inner.Seq(), q.total
	return m, m.Src.Addr() == outer.addr(16, 24)
}

// AppendTooBig appends the packet with which the router from answers a packet that is
// longer than mtu bytes. It quotes as much of the packet as fits. from is of the packet's
// family; a packet of neither family panics.
func AppendTooBig(b []byte, from netip.Addr, mtu int, packet []byte) []byte {
	h, ok := parseIP(packet)
	if !ok {
		panic("packet: what is too big is no IP packet")
	}
	start := len(b)
	if packet[0]>>4 == 4 {
		to := netip.AddrFrom4([4]byte(packet[12:16]))
		n := min(len(packet), h.total, maxICMPv4-IPv4MinLen-icmpLen)
		b = appendIPv4(b, &Fields{}, from, to, IPv4MinLen+icmpLen+n)
		b[start+9] = protoICMPv4
		setIPv4Checksum(b[start:])
		b = append(b, unreachable, fragmentNeeded, 0, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(mtu))
		b = append(b, packet[:n]...)
		icmp := b[start+IPv4MinLen:]
		binary.BigEndian.PutUint16(icmp[2:], ^Fold(Sum(0, icmp)))
		return b
	}
	to := netip.AddrFrom16([16]byte(packet[8:24]))
	n := min(len(packet), h.total, maxICMPv6-IPv6Len-icmpLen)
	b = appendIPv6(b, &Fields{}, from, to, icmpLen+n)
	b[start+6] = protoICMPv6
	b = append(b, packetTooBig, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(mtu))
	b = append(b, packet[:n]...)
	icmp := b[start+IPv6Len:]
	binary.BigEndian.PutUint16(icmp[2:], ^Fold(Sum(pseudoSum(b[start:], protoICMPv6, len(icmp)), icmp)))
	return b
}

// DontFragment reports whether a router may not fragment the IP packet b, which is always so
// for IPv6.
func DontFragment(b []byte) bool {
	return len(b) >= IPv4MinLen && (b[0]>>4 == 6 || binary.BigEndian.Uint16(b[6:])&ipv4DontFragment != 0)
}

// ECN is the ECN field of the IP packet b (RFC 3168 section 5): 0 not capable, 1 and 2
// capable, 3 congestion experienced.
func ECN(b []byte) int {
	if len(b) < IPv4MinLen {
		return 0
	}
	return int(TCP{b: b}.TOS() & CongestionExperienced)
}

// CongestionExperienced is the value of ECN that routers set.
const CongestionExperienced = 3

// MarkECN sets "congestion experienced" in the IP packet b. It returns false, and does
// nothing, if its sender does not take part in ECN.
func MarkECN(b []byte) bool {
	h, ok := parseIP(b)
	if !ok || ECN(b) == 0 {
		return false
	}
	if b[0]>>4 == 6 {
		b[1] |= CongestionExperienced << 4
		return true
	}
	b[1] |= CongestionExperienced
	setIPv4Checksum(b[:h.len])
	return true
}
