package tracecheck

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// flow names a TCP connection from one side.
type flow struct{ src, dst netip.AddrPort }

func (f flow) reverse() flow { return flow{f.dst, f.src} }

func (f flow) String() string { return fmt.Sprintf("%v > %v", f.src, f.dst) }

// segment is a TCP segment. Its slices point into the packet.
type segment struct {
	flow
	seq       uint32
	flags     byte
	mptcp     [][]byte // each option 30, kind and length included
	payload   []byte
	malformed bool // the list of options is
	sumOK     bool
}

func (s *segment) String() string { return fmt.Sprintf("%v seq %d", s.flow, s.seq) }

const (
	flagSYN = 2
	flagRST = 4
	flagACK = 16

	protocolTCP = 6
	kindMPTCP   = 30
)

// parse takes an IP packet apart; ok is false if it is not a whole TCP segment.
func parse(b []byte) (s segment, ok bool) {
	if len(b) < 20 {
		return s, false
	}
	var tcp []byte
	var src, dst netip.Addr
	switch b[0] >> 4 {
	case 4:
		head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		fragment := binary.BigEndian.Uint16(b[6:]) & 0x3fff
		if b[9] != protocolTCP || fragment != 0 || head < 20 || total < head || len(b) < total {
			return s, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		tcp = b[head:total]
	case 6:
		if len(b) < 40 || b[6] != protocolTCP || len(b) < 40+int(binary.BigEndian.Uint16(b[4:])) {
			return s, false
		}
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		tcp = b[40 : 40+int(binary.BigEndian.Uint16(b[4:]))]
	default:
		return s, false
	}
	if len(tcp) < 20 || int(tcp[12]>>4)*4 < 20 || int(tcp[12]>>4)*4 > len(tcp) {
		return s, false
	}
	s.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp))
	s.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))
	s.seq, s.flags = binary.BigEndian.Uint32(tcp[4:]), tcp[13]
	head := int(tcp[12]>>4) * 4
	s.payload = tcp[head:]
	pseudo := sum(uint64(protocolTCP)+uint64(len(tcp)), src.AsSlice())
	s.sumOK = fold(sum(sum(pseudo, dst.AsSlice()), tcp)) == 0xffff
	s.mptcp, s.malformed = options(tcp[20:head])
	return s, true
}

// options finds each option 30.
func options(o []byte) (mptcp [][]byte, malformed bool) {
	for len(o) > 0 && o[0] != 0 {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return mptcp, true
		}
		n := int(o[1])
		if o[0] == kindMPTCP {
			if n < 3 {
				return mptcp, true
			}
			mptcp = append(mptcp, o[:n])
		}
		o = o[n:]
	}
	return mptcp, false
}

// sum adds the 16-bit words of b to s; an odd byte at the end counts as a word's upper
// half.
func sum(s uint64, b []byte) uint64 {
	for len(b) >= 2 {
		s += uint64(b[0])<<8 | uint64(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

func fold(s uint64) uint16 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
