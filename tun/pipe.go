package tun

import (
	"cmp"
	"sync"
	"sync/atomic"
)

// The defaults of PipeConfig.
const (
	DefaultMTU      = 1500
	DefaultQueueLen = 512
)

// PipeConfig describes both ends of a Pipe. The zero value works.
type PipeConfig struct {
	// Names are the devices' names; empty ones become "pipe0" and "pipe1".
	Names [2]string
	// MTU in bytes; 0 means DefaultMTU.
	MTU int
	// QueueLen is how many packets, or super-segments, wait in each direction for the
	// reader; more are dropped. 0 means DefaultQueueLen.
	QueueLen int
	// NoGSO and NoChecksum take the features away: super-segments are then split, and
	// partial checksums completed, on the way.
	NoGSO, NoChecksum bool
}

// Pipe returns the two ends of a link inside the process: what is written to one is
// read from the other, at once and in order. Packets that are longer than the MTU,
// or for which there is no room, are dropped.
//
// Closing one end leaves the other open; what is written there is then lost, as on
// a line whose far end is unplugged.
func Pipe(cfg PipeConfig) (a, b *PipeEnd) {
	cfg.MTU = cmp.Or(cfg.MTU, DefaultMTU)
	cfg.QueueLen = cmp.Or(cfg.QueueLen, DefaultQueueLen)
	ab, ba := newQueue(cfg.QueueLen), newQueue(cfg.QueueLen)
	features := Features{GSO: !cfg.NoGSO, Checksum: !cfg.NoChecksum}
	a = &PipeEnd{name: cmp.Or(cfg.Names[0], "pipe0"), mtu: cfg.MTU, features: features, in: ba, out: ab}
	b = &PipeEnd{name: cmp.Or(cfg.Names[1], "pipe1"), mtu: cfg.MTU, features: features, in: ab, out: ba}
	return a, b
}

// PipeEnd is one end of a Pipe.
type PipeEnd struct {
	name     string
	mtu      int
	features Features
	in, out  *queue
	closed   atomic.Bool
	drops    atomic.Uint64

	// What doing a missing feature's work needs.
	softMu  sync.Mutex
	scratch []byte
	one     [1]Packet
}

var _ Device = (*PipeEnd)(nil)

// Name implements Device.
func (e *PipeEnd) Name() string { return e.name }

// MTU implements Device.
func (e *PipeEnd) MTU() int { return e.mtu }

// Features implements Device.
func (e *PipeEnd) Features() Features { return e.features }

// Drops is the number of packets, or super-segments, written to this end that were
// dropped: too long, or no room.
func (e *PipeEnd) Drops() uint64 { return e.drops.Load() }

// Read implements Device.
func (e *PipeEnd) Read(pkts []Packet) (int, error) { return e.in.get(pkts) }

// Write implements Device.
func (e *PipeEnd) Write(pkts []Packet) error {
	if e.closed.Load() {
		return ErrClosed
	}
	if !e.takesAll(pkts) {
		e.writeInSoftware(pkts)
		return nil
	}
	e.drops.Add(uint64(e.out.put(pkts, e.mtu)))
	return nil
}

// writeInSoftware does what a missing feature would have done.
func (e *PipeEnd) writeInSoftware(pkts []Packet) {
	e.softMu.Lock()
	defer e.softMu.Unlock()
	if e.scratch == nil {
		e.scratch = make([]byte, MaxPacketSize)
	}
	for i := range pkts {
		err := Packetize(e.scratch, &pkts[i], func(b []byte) error {
			e.one[0] = Packet{Head: b}
			e.drops.Add(uint64(e.out.put(e.one[:], e.mtu)))
			return nil
		})
		if err != nil {
			e.drops.Add(1)
		}
	}
}

// takesAll reports whether the packets need no feature that the pipe lacks.
func (e *PipeEnd) takesAll(pkts []Packet) bool {
	for i := range pkts {
		if pkts[i].GSOSize > 0 && !e.features.GSO ||
			pkts[i].Checksum == ChecksumPartial && !e.features.Checksum {
			return false
		}
	}
	return true
}

// Close implements Device.
func (e *PipeEnd) Close() error {
	e.closed.Store(true)
	e.in.close()
	return nil
}
