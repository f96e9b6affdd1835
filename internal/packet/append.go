package packet

import (
	"encoding/binary"
	"net/netip"
)

// DefaultTTL is the time to live, or hop limit, of a packet whose Fields name none.
const DefaultTTL = 64

// MaxOptionsLen is the room for options in a TCP header in bytes.
const MaxOptionsLen = 40

// Fields is what AppendTCP writes into headers.
type Fields struct {
	// Src and Dst are of one family; an IPv4-mapped IPv6 address counts as IPv4.
	Src, Dst netip.AddrPort
	// TTL is the time to live or hop limit; 0 means DefaultTTL.
	TTL uint8
	// TOS is the type of service or traffic class: DSCP and ECN.
	TOS uint8
	// ID is the IPv4 identification; unused for IPv6.
	ID       uint16
	Seq, Ack uint32
	Flags    uint8
	Window   uint16
	// Options is the options part of the TCP header: padded to a multiple of 4, at
	// most MaxOptionsLen bytes.
	Options []byte
	// PayloadLen is the number of payload bytes that follow the headers, of a whole
	// super-segment too. Headers and payload together hold at most 65535 bytes.
	PayloadLen int
}

// AppendTCP appends to b an IPv4 header (don't fragment set, header checksum done)
// or an IPv6 header, and a TCP header with options. The TCP checksum field gets the
// partial form, for CompleteChecksum or a device to complete.
//
// It panics when Src and Dst are not of one family, or Options or PayloadLen out of
// range: errors of the caller.
func AppendTCP(b []byte, f *Fields) []byte {
	src, dst := f.Src.Addr().Unmap(), f.Dst.Addr().Unmap()
	if !src.IsValid() || !dst.IsValid() || src.Is4() != dst.Is4() {
		panic("packet: source and destination are not addresses of one family")
	}
	if len(f.Options)%4 != 0 || len(f.Options) > MaxOptionsLen {
		panic("packet: TCP options not a multiple of 4 or longer than 40 bytes")
	}
	tcpLen := TCPMinLen + len(f.Options)
	ipLen := IPv6Len
	if src.Is4() {
		ipLen = IPv4MinLen
	}
	total := ipLen + tcpLen + f.PayloadLen
	if f.PayloadLen < 0 || total > 0xffff {
		panic("packet: payload length out of range")
	}

	start := len(b)
	if src.Is4() {
		b = appendIPv4(b, f, src, dst, total)
	} else {
		b = appendIPv6(b, f, src, dst, total-ipLen)
	}
	sum := Fold(pseudoSum(b[start:], protoTCP, total-ipLen))

	b = binary.BigEndian.AppendUint16(b, f.Src.Port())
	b = binary.BigEndian.AppendUint16(b, f.Dst.Port())
	b = binary.BigEndian.AppendUint32(b, f.Seq)
	b = binary.BigEndian.AppendUint32(b, f.Ack)
	b = append(b, uint8(tcpLen/4)<<4, f.Flags)
	b = binary.BigEndian.AppendUint16(b, f.Window)
	b = binary.BigEndian.AppendUint16(b, sum)
	b = append(b, 0, 0)
	return append(b, f.Options...)
}

func (f *Fields) ttl() uint8 {
	if f.TTL == 0 {
		return DefaultTTL
	}
	return f.TTL
}

func appendIPv4(b []byte, f *Fields, src, dst netip.Addr, total int) []byte {
	start := len(b)
	b = append(b, 4<<4|IPv4MinLen/4, f.TOS)
	b = binary.BigEndian.AppendUint16(b, uint16(total))
	b = binary.BigEndian.AppendUint16(b, f.ID)
	b = binary.BigEndian.AppendUint16(b, ipv4DontFragment)
	b = append(b, f.ttl(), protoTCP, 0, 0)
	s, d := src.As4(), dst.As4()
	b = append(b, s[:]...)
	b = append(b, d[:]...)
	setIPv4Checksum(b[start:])
	return b
}

func appendIPv6(b []byte, f *Fields, src, dst netip.Addr, payloadLen int) []byte {
	b = append(b, 6<<4|f.TOS>>4, f.TOS<<4, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(payloadLen))
	b = append(b, protoTCP, f.ttl())
	s, d := src.As16(), dst.As16()
	b = append(b, s[:]...)
	return append(b, d[:]...)
}
