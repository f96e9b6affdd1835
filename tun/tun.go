// Package tun holds the packet devices that carry a host's paths.
//
// A Device moves whole IP packets, or super-segments of up to 64 KB that stand
// for many of them, between the protocol stack and whatever lies behind: a Linux
// TUN interface (OpenLinux), a portable TUN of the operating system
// (OpenPortable), or another host in the same process (Pipe).
package tun

import "errors"

// MaxPacketSize is the largest IP packet, or super-segment with its headers, that
// a Device takes or gives.
const MaxPacketSize = 65535

// ErrClosed is returned by the methods of a Device that has been closed, or whose
// interface has gone.
var ErrClosed = errors.New("tun: device closed")

// ChecksumState says how far the transport checksum of a Packet can be trusted.
type ChecksumState uint8

const (
	// ChecksumComplete: the field holds a whole checksum that nobody has verified.
	ChecksumComplete ChecksumState = iota
	// ChecksumPartial: the field holds only the folded, uncomplemented sum of the
	// pseudo header; whoever puts the packet on a wire has to complete it. What
	// comes in this way never left the machine and needs no check.
	ChecksumPartial
	// ChecksumVerified: the device has checked it.
	ChecksumVerified
)

// Packet is one IP packet, or one TCP super-segment that stands for several
// (GSOSize > 0). It is a value; the bytes belong to whoever made it and are
// valid only during the call that it is passed to, unless that says otherwise.
type Packet struct {
	// Head holds the IP and transport headers and possibly all of the payload.
	Head []byte
	// Payload holds the rest of the packet in order, possibly nothing.
	Payload [][]byte
	// GSOSize is the number of payload bytes for each segment when the packet is a TCP
	// super-segment, else 0. Every piece but the last has exactly this many; each
	// repeats the headers with its options, FIN and PSH only on the last.
	GSOSize int
	// Checksum is the state of the transport checksum.
	Checksum ChecksumState
}

// Len returns the number of bytes in the packet.
func (p *Packet) Len() int {
	n := len(p.Head)
	for _, v := range p.Payload {
		n += len(v)
	}
	return n
}

// Features says what a device does by itself.
type Features struct {
	// GSO: takes and gives TCP super-segments (Packet.GSOSize).
	GSO bool
	// Checksum: takes and gives packets with ChecksumPartial.
	Checksum bool
}

// Device is a path's packet device. Read is called from one goroutine at a time;
// Write and the other methods may be called concurrently with it and with each
// other.
type Device interface {
	// Name identifies the device among those of a host.
	Name() string
	// MTU is the largest IP packet that the link carries, in bytes (a super-segment
	// may be larger).
	MTU() int
	// Features tells what the device does by itself. It does not change.
	Features() Features
	// Read waits for packets and returns how many of pkts it filled, at least one if
	// the error is nil. The caller gives in each Head a buffer of at least
	// MaxPacketSize bytes of length; Read puts a whole packet there and shortens Head
	// to it, leaving Payload nil. It returns ErrClosed (or an error that wraps it) when
	// the device is closed.
	Read(pkts []Packet) (int, error)
	// Write sends the packets in order and does not keep their bytes. It does not wait
	// for room: what a full queue cannot take is dropped, as a network card does. It
	// returns an error only when the device can no longer be used.
	Write(pkts []Packet) error
	// Close closes the device; a Read that waits returns.
	Close() error
}
