// Package linkem emulates a link in real time: what enters at one end leaves at the
// other after the time that a line of a given rate and delay needs, or not at all.
// It stands between packet devices, for examples and for tests against a kernel.
//
// It reads package time, so that inside a testing/synctest bubble it runs in
// virtual time.
package linkem

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/tun"
)

// Params describe one direction of a link. The zero value is a line that takes no
// time and loses nothing.
type Params struct {
	// Rate in bits of IP packets per second; 0 or less means unlimited.
	Rate int64
	// Delay is the time from a packet's departure to its arrival.
	Delay time.Duration
	// Jitter is the largest extra delay; each packet gets a random part of it.
	Jitter time.Duration
	// Reorder lets packets overtake each other when Jitter makes them; without it a late
	// packet holds up those behind it.
	Reorder bool
	// Loss is the probability, from 0 to 1, that a packet is lost on the line. A lost
	// packet has used its share of the rate.
	Loss float64
	// Queue is the room in bytes for packets that wait for the line, the one being sent
	// included; what does not fit is dropped. 0 means DefaultQueue.
	Queue int
	// Down drops, without a word, all that enters and all that is under way.
	Down bool
}

// DefaultQueue is the room for waiting packets, in bytes, when Params name none.
const DefaultQueue = 256 << 10

// Config describes a link. The zero value works.
type Config struct {
	// Names of the ends that New and Bridge make, MTU of all packets; see tun.PipeConfig.
	Names [2]string
	MTU   int
	// Seed decides all that is random; the same seed and the same packets give the same
	// losses.
	Seed uint64
	// AtoB and BtoA describe the directions at the start.
	AtoB, BtoA Params
}

// Direction is one of a link's two.
type Direction int

const (
	AtoB Direction = iota // from the first end to the second
	BtoA                  // back
)

// Stats are what one direction has done so far.
type Stats struct {
	Packets, Bytes uint64 // that arrived
	QueueDrops     uint64 // packets for which there was no room
	LossDrops      uint64 // packets that chance took
	DownDrops      uint64 // packets that entered, or were under way, while down
	BadDrops       uint64 // super-segments that could not be split
}

// Link is a running emulation between two devices. Its methods may be called
// concurrently.
type Link struct {
	dirs    [2]*direction
	devices []tun.Device // closed with the link
	readers sync.WaitGroup
}

// New returns a link and its two ends, both in this process. They take
// super-segments, which the link splits.
func New(cfg Config) (l *Link, a, b *tun.PipeEnd) {
	a, innerA := end(cfg, 0)
	b, innerB := end(cfg, 1)
	l = Connect(cfg, innerA, innerB)
	l.devices = append(l.devices, a, b)
	return l, a, b
}

// Bridge returns a link whose first end is in this process and whose second is dev,
// for example a TUN interface in a network namespace: what arrives is written to
// dev, and what is read from dev enters.
func Bridge(cfg Config, dev tun.Device) (l *Link, a *tun.PipeEnd) {
	a, inner := end(cfg, 0)
	l = Connect(cfg, inner, dev)
	l.devices = append(l.devices, a)
	return l, a
}

// Connect starts a link between two devices, from which nobody else may read.
func Connect(cfg Config, a, b tun.Device) *Link {
	l := &Link{devices: []tun.Device{a, b}}
	l.dirs[AtoB] = newDirection(cfg.AtoB, rand.New(rand.NewPCG(cfg.Seed, 0)), b)
	l.dirs[BtoA] = newDirection(cfg.BtoA, rand.New(rand.NewPCG(cfg.Seed, 1)), a)
	l.readers.Go(func() { l.dirs[AtoB].readFrom(a) })
	l.readers.Go(func() { l.dirs[BtoA].readFrom(b) })
	return l
}

// end makes the device of an end and the one that the link has behind it.
func end(cfg Config, i int) (outer, inner *tun.PipeEnd) {
	return tun.Pipe(tun.PipeConfig{Names: [2]string{cfg.Names[i]}, MTU: cfg.MTU, QueueLen: endQueueLen})
}

// endQueueLen bounds the packets that have arrived and wait for the reader of an
// end. It is ample: dropping is the emulated queue's task.
const endQueueLen = 4096

// Params returns what the direction does at present.
func (l *Link) Params(dir Direction) Params {
	d := l.dirs[dir]
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.params
}

// Set changes a direction from now on. What waits for the line gets the new rate,
// what is on it keeps its time of arrival.
func (l *Link) Set(dir Direction, p Params) {
	l.dirs[dir].change(func(old *Params) { *old = p })
}

// SetDown takes both directions down, or up again.
func (l *Link) SetDown(down bool) {
	for _, d := range l.dirs {
		d.change(func(p *Params) { p.Down = down })
	}
}

// Stats returns what the direction has done so far.
func (l *Link) Stats(dir Direction) Stats {
	d := l.dirs[dir]
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Close ends the link and closes its devices, those that were given to it too. What
// is under way is lost.
func (l *Link) Close() error {
	for _, d := range l.dirs {
		d.stop()
	}
	var first error
	for _, dev := range l.devices {
		if err := dev.Close(); err != nil && first == nil {
			first = err
		}
	}
	l.readers.Wait()
	return first
}
