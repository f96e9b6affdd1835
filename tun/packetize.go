package tun

import (
	"errors"

	"github.com/gomptcp/gomptcp/internal/packet"
)

var errTooLong = errors.New("tun: packet longer than MaxPacketSize")

// Packetize calls emit, in order, with each packet that p stands for as it would
// look on a wire: in one piece, a super-segment cut at GSOSize, the checksum whole.
// It is what a device without offloads does to what it is given. It returns the
// first error of emit, or one for a super-segment that is not TCP.
//
// The bytes given to emit are valid only during that call; they lie in scratch,
// which is of at least MaxPacketSize bytes, or in p itself.
func Packetize(scratch []byte, p *Packet, emit func(b []byte) error) error {
	if p.GSOSize > 0 {
		return packet.Split(scratch, p.Head, p.Payload, p.GSOSize, emit)
	}
	if p.Checksum != ChecksumPartial && len(p.Payload) == 0 {
		return emit(p.Head)
	}
	if p.Len() > len(scratch) {
		return errTooLong
	}
	b := scratch[:p.copyTo(scratch)]
	if p.Checksum == ChecksumPartial {
		packet.CompleteChecksum(b, nil)
	}
	return emit(b)
}

// copyTo puts the packet's bytes in dst, which has room for them, and returns their
// number.
func (p *Packet) copyTo(dst []byte) int {
	n := copy(dst, p.Head)
	for _, v := range p.Payload {
		n += copy(dst[n:], v)
	}
	return n
}

// fits reports whether a link of the given MTU carries the packet, or each piece of
// the super-segment.
func (p *Packet) fits(mtu int) bool {
	if p.GSOSize == 0 {
		return p.Len() <= mtu
	}
	t, ok := packet.ParseTCP(p.Head)
	if !ok || p.Len() > MaxPacketSize {
		return false
	}
	return t.HeaderLen()+min(p.GSOSize, p.Len()-t.HeaderLen()) <= mtu
}
