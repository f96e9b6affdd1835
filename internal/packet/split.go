package packet

import (
	"encoding/binary"
	"errors"
)

// ErrNotTCP is returned by Split for a packet that ParseTCP refuses.
var ErrNotTCP = errors.New("packet: not a TCP packet that can be split")

// ErrSegmentSize is returned by Split for a segment size that is not positive, or
// with which a packet would be longer than 65535 bytes.
var ErrSegmentSize = errors.New("packet: segment size out of range")

// Split cuts a TCP super-segment into packets of gso payload bytes, the last one
// possibly shorter, and calls emit with each in order, until emit returns an error,
// which it returns. A super-segment with at most gso payload bytes makes one
// packet.
//
// head begins with the headers and may hold payload, payload is the rest in order;
// neither is changed. Each packet repeats the headers and options and has its own
// sequence number, IP length, IPv4 identification (counted up) and header checksum;
// FIN and PSH are set only on the last, CWR only on the first; the TCP checksum is
// whole and computed anew, whatever the field held.
//
// The packets are built in scratch, and valid only during the call of emit. When
// its capacity is less than the headers and gso together, Split allocates.
func Split(scratch, head []byte, payload [][]byte, gso int, emit func(seg []byte) error) error {
	t, ok := ParseTCP(head)
	if !ok {
		return ErrNotTCP
	}
	hdr := t.HeaderLen()
	if gso <= 0 || hdr+gso > 0xffff {
		return ErrSegmentSize
	}
	if cap(scratch) < hdr+gso {
		scratch = make([]byte, hdr+gso)
	}
	scratch = scratch[:hdr+gso]

	rest := pieces{first: t.Payload(), more: payload}
	left := rest.len()
	flags, seq := t.Flags(), t.Seq()
	id := binary.BigEndian.Uint16(head[4:])
	for first := true; first || left > 0; first = false {
		n := min(gso, left)
		left -= n
		seg := scratch[:hdr+n]
		copy(seg, head[:hdr])
		rest.read(seg[hdr:])

		view := TCP{b: seg, total: uint32(len(seg)), ip: t.ip, hdr: t.hdr}
		view.SetSeq(seq)
		view.SetFlags(pieceFlags(flags, first, left == 0))
		view.finish(id)
		if err := emit(seg); err != nil {
			return err
		}
		seq += uint32(n)
		id++
	}
	return nil
}

// pieceFlags are the control bits of one piece of a super-segment.
func pieceFlags(flags uint8, first, last bool) uint8 {
	if !first {
		flags &^= FlagCWR
	}
	if !last {
		flags &^= FlagFIN | FlagPSH
	}
	return flags
}

// finish writes lengths, identification and checksums of a packet whose bytes all
// lie in the view.
func (t TCP) finish(id uint16) {
	if !t.IsIPv6() {
		binary.BigEndian.PutUint16(t.b[4:], id)
	}
	setTotalLen(t.b, int(t.ip), len(t.b))
	t.SetChecksum(0)
	n := len(t.b) - int(t.ip)
	t.SetChecksum(^Fold(Sum(pseudoSum(t.b, protoTCP, n), t.b[t.ip:])))
}

// pieces reads through a payload that lies in several slices.
type pieces struct {
	first []byte
	more  [][]byte
}

func (p *pieces) len() int {
	n := len(p.first)
	for _, v := range p.more {
		n += len(v)
	}
	return n
}

// read fills dst, which is no longer than what is left.
func (p *pieces) read(dst []byte) {
	for len(dst) > 0 {
		for len(p.first) == 0 {
			p.first, p.more = p.more[0], p.more[1:]
		}
		n := copy(dst, p.first)
		dst, p.first = dst[n:], p.first[n:]
	}
}
