package packet

import "encoding/binary"

// Bits of the IPv4 fragment field.
const (
	ipv4DontFragment = 0x4000
	ipv4Fragmented   = 0x3fff // more fragments, or an offset
)

// ipHeader is what the rest of the package needs to know of an IP header.
type ipHeader struct {
	proto uint8 // transport protocol
	len   int   // of the header, in bytes
	total int   // of the packet as the header says, in bytes
}

// parseIP reads the IP header at the start of b. ok is false for fragments and for
// wrong lengths. IPv6 extension headers are not followed: proto is then the number
// of the first of them, which is no transport that this package knows.
func parseIP(b []byte) (h ipHeader, ok bool) {
	if len(b) < IPv4MinLen {
		return ipHeader{}, false
	}
	switch b[0] >> 4 {
	case 4:
		h = ipHeader{
			proto: b[9],
			len:   int(b[0]&0x0f) * 4,
			total: int(binary.BigEndian.Uint16(b[2:])),
		}
		if h.len < IPv4MinLen || binary.BigEndian.Uint16(b[6:])&ipv4Fragmented != 0 {
			return ipHeader{}, false
		}
	case 6:
		if len(b) < IPv6Len {
			return ipHeader{}, false
		}
		h = ipHeader{
			proto: b[6],
			len:   IPv6Len,
			total: IPv6Len + int(binary.BigEndian.Uint16(b[4:])),
		}
	default:
		return ipHeader{}, false
	}
	if h.len > len(b) || h.total < h.len {
		return ipHeader{}, false
	}
	return h, true
}

// setTotalLen writes the length of the whole packet into the IP header at b and,
// for IPv4, renews the header checksum.
func setTotalLen(b []byte, ipLen, total int) {
	if b[0]>>4 == 6 {
		binary.BigEndian.PutUint16(b[4:], uint16(total-IPv6Len))
		return
	}
	binary.BigEndian.PutUint16(b[2:], uint16(total))
	setIPv4Checksum(b[:ipLen])
}

// setIPv4Checksum renews the checksum of the IPv4 header ip.
func setIPv4Checksum(ip []byte) {
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^Fold(Sum(0, ip)))
}

// pseudoSum is the unfolded sum of the pseudo header (RFC 9293 section 3.1, RFC
// 8200 section 8.1) for n bytes of transport header and payload.
func pseudoSum(ip []byte, proto uint8, n int) uint64 {
	acc := uint64(proto) + uint64(n>>16) + uint64(n&0xffff)
	if ip[0]>>4 == 6 {
		return Sum(acc, ip[8:40])
	}
	return Sum(acc, ip[12:20])
}
