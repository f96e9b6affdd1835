package interop

import (
	"sync"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// Way is a packet's direction on a path.
type Way int

// The two ways.
const (
	ToKernel Way = iota
	ToLibrary
)

// Meddler is what a middlebox does to a TCP segment, of which b has all bytes: it may
// change them, leaving the length, and returns false to drop the segment. It is called by
// one goroutine at a time.
type Meddler func(way Way, t packet.TCP, b []byte) bool

// Box is a device with a middlebox in its path. It has no offloads, so that the middlebox
// sees the packets as they are on a wire.
type Box struct {
	tun.Device

	mu      sync.Mutex // held while meddle runs
	meddle  Meddler
	in      [][]byte // read, to be given to the reader
	buffers [readBatch][]byte
	split   [tun.MaxPacketSize]byte // scratch of Read
}

// readBatch is how many packets a Box reads at once.
const readBatch = 16

// NewBox puts a middlebox before a device.
func NewBox(dev tun.Device, meddle Meddler) *Box {
	b := &Box{Device: dev, meddle: meddle}
	for i := range b.buffers {
		b.buffers[i] = make([]byte, tun.MaxPacketSize)
	}
	return b
}

// Features implements tun.Device: none.
func (b *Box) Features() tun.Features { return tun.Features{} }

// Read implements tun.Device.
func (b *Box) Read(pkts []tun.Packet) (int, error) {
	for len(b.in) == 0 {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := 0
	for ; n < len(pkts) && len(b.in) > 0; n++ {
		pkts[n] = tun.Packet{Head: pkts[n].Head[:copy(pkts[n].Head, b.in[0])]}
		b.in = b.in[1:]
	}
	return n, nil
}

// fill reads from the device and keeps what passes.
func (b *Box) fill() error {
	var pkts [readBatch]tun.Packet
	for i := range pkts {
		pkts[i].Head = b.buffers[i]
	}
	n, err := b.Device.Read(pkts[:])
	if err != nil {
		return err
	}
	for i := range pkts[:n] {
		err := tun.Packetize(b.split[:], &pkts[i], func(p []byte) error {
			if p = append([]byte(nil), p...); b.passes(ToLibrary, p) {
				b.in = append(b.in, p)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Write implements tun.Device.
func (b *Box) Write(pkts []tun.Packet) error {
	scratch := make([]byte, tun.MaxPacketSize)
	for i := range pkts {
		err := tun.Packetize(scratch, &pkts[i], func(p []byte) error {
			if p = append([]byte(nil), p...); !b.passes(ToKernel, p) {
				return nil
			}
			return b.Device.Write([]tun.Packet{{Head: p}})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// passes shows a packet to the middlebox and makes its checksum right afterwards.
func (b *Box) passes(way Way, p []byte) bool {
	t, ok := packet.ParseTCP(p)
	if !ok {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.meddle(way, t, p) {
		return false
	}
	packet.SetChecksumPartial(p)
	packet.CompleteChecksum(p, nil)
	return true
}

// Option kinds of TCP.
const (
	optionEnd   = 0
	optionNOP   = 1
	optionMPTCP = 30
)

// mptcpOptions returns the MPTCP options of a segment, in place, kind and length
// included.
func mptcpOptions(t packet.TCP) (list [][]byte) {
	for o := t.Options(); len(o) > 0 && o[0] != optionEnd; {
		if o[0] == optionNOP {
			o = o[1:]
			continue
		}
		if len(o) < 2 || int(o[1]) < 2 || int(o[1]) > len(o) {
			break
		}
		if n := int(o[1]); o[0] == optionMPTCP && n > 2 {
			list = append(list, o[:n])
		}
		o = o[o[1]:]
	}
	return list
}

// subtype is that of an MPTCP option.
func subtype(o []byte) byte { return o[2] >> 4 }

// stripMPTCP replaces the MPTCP options of a segment by NOPs.
func stripMPTCP(t packet.TCP) {
	for _, o := range mptcpOptions(t) {
		blank(o)
	}
}

// blank replaces an option by NOPs.
func blank(o []byte) {
	for i := range o {
		o[i] = optionNOP
	}
}
