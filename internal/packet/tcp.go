// Package packet reads and writes the IPv4, IPv6 and TCP headers of one packet in
// place, sums checksums, and cuts TCP super-segments into packets.
//
// Parsing never panics, whatever the bytes. Appending panics only on a caller's
// error. Nothing here keeps bytes, allocates in the steady state, or has state of
// its own, so all of it may be called concurrently for different packets.
package packet

import (
	"encoding/binary"
	"net/netip"
)

// The control bits of a TCP header (RFC 9293 section 3.1, RFC 3168 section 6.1).
const (
	FlagFIN uint8 = 0x01
	FlagSYN uint8 = 0x02
	FlagRST uint8 = 0x04
	FlagPSH uint8 = 0x08
	FlagACK uint8 = 0x10
	FlagURG uint8 = 0x20
	FlagECE uint8 = 0x40
	FlagCWR uint8 = 0x80
)

// Header lengths in bytes, and the protocol numbers that this package knows.
const (
	IPv4MinLen = 20 // IPv4 header without options
	IPv6Len    = 40 // IPv6 header without extension headers
	TCPMinLen  = 20 // TCP header without options
	udpLen     = 8

	protoTCP = 6
	protoUDP = 17
)

// Offsets of the TCP fields from the start of the TCP header.
const (
	offSrcPort  = 0
	offDstPort  = 2
	offSeq      = 4
	offAck      = 8
	offDataOff  = 12
	offFlags    = 13
	offWindow   = 14
	offChecksum = 16
	offUrgent   = 18
)

// TCP is a view of the IP and TCP headers at the start of a byte slice. It is a
// value that shares the bytes it was parsed from: the setters write through, and
// none of them adjusts a checksum. The zero value is not usable; see ParseTCP.
type TCP struct {
	b     []byte
	total uint32 // by the IP header; may exceed len(b)
	ip    uint8  // length of the IP header
	hdr   uint8  // length of IP and TCP headers
}

// ParseTCP returns a view of the packet at the start of b. b holds at least all
// headers; the payload may lie elsewhere, and b may be longer than the packet.
//
// ok is false for anything but TCP, for IPv4 fragments, for IPv6 with any
// extension header, and for lengths that contradict each other.
func ParseTCP(b []byte) (t TCP, ok bool) {
	h, ok := parseIP(b)
	if !ok || h.proto != protoTCP || len(b) < h.len+TCPMinLen {
		return TCP{}, false
	}
	tcpLen := int(b[h.len+offDataOff]>>4) * 4
	hdr := h.len + tcpLen
	if tcpLen < TCPMinLen || hdr > len(b) || hdr > h.total {
		return TCP{}, false
	}
	return TCP{b: b, total: uint32(h.total), ip: uint8(h.len), hdr: uint8(hdr)}, true
}

// IsIPv6 reports the address family.
func (t TCP) IsIPv6() bool { return t.b[0]>>4 == 6 }

// Src is the sender's address and port.
func (t TCP) Src() netip.AddrPort {
	return netip.AddrPortFrom(t.addr(12, 8), t.u16(offSrcPort))
}

// Dst is the receiver's address and port.
func (t TCP) Dst() netip.AddrPort {
	return netip.AddrPortFrom(t.addr(16, 24), t.u16(offDstPort))
}

func (t TCP) addr(off4, off6 int) netip.Addr {
	if t.IsIPv6() {
		return netip.AddrFrom16([16]byte(t.b[off6 : off6+16]))
	}
	return netip.AddrFrom4([4]byte(t.b[off4 : off4+4]))
}

// Seq is the sequence number field.
func (t TCP) Seq() uint32 { return t.u32(offSeq) }

// SetSeq writes the sequence number field.
func (t TCP) SetSeq(v uint32) { t.put32(offSeq, v) }

// Ack is the acknowledgment number field.
func (t TCP) Ack() uint32 { return t.u32(offAck) }

// SetAck writes the acknowledgment number field.
func (t TCP) SetAck(v uint32) { t.put32(offAck, v) }

// Flags is the byte of control bits.
func (t TCP) Flags() uint8 { return t.b[int(t.ip)+offFlags] }

// SetFlags writes the byte of control bits.
func (t TCP) SetFlags(v uint8) { t.b[int(t.ip)+offFlags] = v }

// Window is the window field, not scaled.
func (t TCP) Window() uint16 { return t.u16(offWindow) }

// SetWindow writes the window field.
func (t TCP) SetWindow(v uint16) { t.put16(offWindow, v) }

// Urgent is the urgent pointer field.
func (t TCP) Urgent() uint16 { return t.u16(offUrgent) }

// Checksum is the checksum field.
func (t TCP) Checksum() uint16 { return t.u16(offChecksum) }

// SetChecksum writes the checksum field.
func (t TCP) SetChecksum(v uint16) { t.put16(offChecksum, v) }

// TTL is the IPv4 time to live or the IPv6 hop limit.
func (t TCP) TTL() uint8 {
	if t.IsIPv6() {
		return t.b[7]
	}
	return t.b[8]
}

// TOS is the IPv4 type of service or the IPv6 traffic class: DSCP and ECN.
func (t TCP) TOS() uint8 {
	if t.IsIPv6() {
		return t.b[0]<<4 | t.b[1]>>4
	}
	return t.b[1]
}

// IPLen is the length of the IP header in bytes.
func (t TCP) IPLen() int { return int(t.ip) }

// HeaderLen is the length of the IP and TCP headers in bytes, and so the offset of
// the payload.
func (t TCP) HeaderLen() int { return int(t.hdr) }

// TotalLen is the length of the packet in bytes as its IP header says. It may
// exceed the bytes that were parsed when the payload lies elsewhere.
func (t TCP) TotalLen() int { return int(t.total) }

// PayloadLen is TotalLen without the headers.
func (t TCP) PayloadLen() int { return int(t.total) - int(t.hdr) }

// Options is the options part of the TCP header, in place, possibly empty.
func (t TCP) Options() []byte { return t.b[int(t.ip)+TCPMinLen : t.hdr : t.hdr] }

// Header is the IP and TCP headers, in place.
func (t TCP) Header() []byte { return t.b[:t.hdr:t.hdr] }

// Payload is the part of the payload that lies in the bytes parsed, in place.
func (t TCP) Payload() []byte { return t.b[t.hdr:min(len(t.b), int(t.total))] }

func (t TCP) u16(off int) uint16      { return binary.BigEndian.Uint16(t.b[int(t.ip)+off:]) }
func (t TCP) u32(off int) uint32      { return binary.BigEndian.Uint32(t.b[int(t.ip)+off:]) }
func (t TCP) put16(off int, v uint16) { binary.BigEndian.PutUint16(t.b[int(t.ip)+off:], v) }
func (t TCP) put32(off int, v uint32) { binary.BigEndian.PutUint32(t.b[int(t.ip)+off:], v) }
