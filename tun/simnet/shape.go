package simnet

import (
	"fmt"
	"time"

	"github.com/gomptcp/gomptcp/tun"
)

// Rate is a number of bits per second. Zero means without limit; a negative rate means
// that nothing is sent and packets wait in the queue.
type Rate int64

// Units of Rate.
const (
	Kbps Rate = 1000
	Mbps      = 1000 * Kbps
	Gbps      = 1000 * Mbps
	// Stalled is the rate of a link that sends nothing for a while.
	Stalled Rate = -1
)

// String gives the rate with its unit.
func (r Rate) String() string {
	switch {
	case r < 0:
		return "stalled"
	case r == 0:
		return "unlimited"
	case r < Mbps:
		return fmt.Sprintf("%gkbit/s", float64(r)/float64(Kbps))
	}
	return fmt.Sprintf("%gMbit/s", float64(r)/float64(Mbps))
}

// Shape is what one direction of a link does to packets. The zero value passes them on at
// once. Probabilities are from 0 to 1, for each packet.
type Shape struct {
	// Rate at which the bytes of IP packets leave the queue.
	Rate Rate
	// Delay is the time from the end of sending to arriving.
	Delay time.Duration
	// Jitter is added to Delay: a random time up to this, evenly spread. Packets keep
	// their order nevertheless.
	Jitter time.Duration
	// Loss is the probability that a packet is lost, independently of others.
	Loss float64
	// Burst is loss in bursts, besides Loss.
	Burst Gilbert
	// Reorder is the probability that a packet takes ReorderBy longer, and may so be
	// overtaken.
	Reorder   float64
	ReorderBy time.Duration
	// Duplicate is the probability that a packet arrives twice.
	Duplicate float64
	// Corrupt is the probability that a bit of a TCP packet's payload is changed. The
	// checksum is made right again, so that TCP takes the packet and what lies above may
	// notice. Packets without payload stay as they are.
	Corrupt float64
	// MTU is the longest IP packet in bytes that passes; others are dropped. 0 means
	// tun.DefaultMTU. A device tells the MTU that was there when the link was made.
	MTU int
	// TellTooBig: the sender of a packet that is longer than the MTU is told by ICMP, unless
	// the packet allows fragments (RFC 1191, RFC 8201). The message comes by the other direction
	// of the link. Otherwise the link is a black hole for such packets. Nothing is ever
	// fragmented.
	TellTooBig bool
	// Queue is where packets wait for the transmitter.
	Queue Queue
}

// Gilbert is a channel with two states, good and bad, that may change before each packet
// (Gilbert and Elliott's model). The zero value is always good.
type Gilbert struct {
	// ToBad and ToGood are the probabilities of leaving the good and the bad state. The
	// mean length of a burst is 1/ToGood packets.
	ToBad, ToGood float64
	// Loss is the probability of losing a packet in the bad state. 0 means 1: all.
	Loss float64
}

// Symmetric returns the shape for both directions, as World.Connect takes it.
func Symmetric(s Shape) (there, back Shape) { return s, s }

func (s *Shape) mtu() int {
	if s.MTU == 0 {
		return tun.DefaultMTU
	}
	return s.MTU
}

// check panics about values that mean nothing.
func (s *Shape) check() {
	for _, p := range []struct {
		name string
		v    float64
	}{
		{"Loss", s.Loss}, {"Reorder", s.Reorder}, {"Duplicate", s.Duplicate}, {"Corrupt", s.Corrupt},
		{"Burst.ToBad", s.Burst.ToBad}, {"Burst.ToGood", s.Burst.ToGood}, {"Burst.Loss", s.Burst.Loss},
	} {
		if !(p.v >= 0 && p.v <= 1) {
			panic(fmt.Sprintf("simnet: Shape.%s is %v, not a probability", p.name, p.v))
		}
	}
	if s.Delay < 0 || s.Jitter < 0 || s.ReorderBy < 0 {
		panic("simnet: a delay of a Shape is negative")
	}
	if s.MTU < 0 || s.MTU > tun.MaxPacketSize {
		panic(fmt.Sprintf("simnet: Shape.MTU is %d, not in 0 to %d", s.MTU, tun.MaxPacketSize))
	}
	if s.Queue.Packets < 0 || s.Queue.Bytes < 0 || s.Queue.Time < 0 || s.Queue.Mark < 0 {
		panic("simnet: a limit of a Queue is negative")
	}
}
