package simnet

import (
	"net/netip"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
)

// CoalesceSegments joins TCP data segments that follow each other into one of up to size
// bytes of payload, and holds one back for up to wait in case another comes. The options
// are those of the first: of what the others said nothing remains. The result has to
// pass the MTU.
func CoalesceSegments(size int, wait time.Duration) Middlebox {
	c := &coalescer{size: size, wait: wait}
	return c.take
}

// coalescer holds at most one segment.
type coalescer struct {
	size int
	wait time.Duration
	held []byte
	turn int // counts the segments held, so that a timer knows its own
}

func (c *coalescer) take(p *Passage, b []byte) {
	t, ok := packet.ParseTCP(b)
	if !ok || t.PayloadLen() == 0 || t.Flags()&^(packet.FlagACK|packet.FlagPSH) != 0 {
		c.flush(p)
		p.Forward(b)
		return
	}
	if c.held != nil && c.join(t) {
		return
	}
	c.flush(p)
	c.held = b
	c.turn++
	turn := c.turn
	p.After(c.wait, func() {
		if c.turn == turn {
			c.flush(p)
		}
	})
}

// join appends a segment to the one held if it follows that.
func (c *coalescer) join(t packet.TCP) bool {
	h, _ := packet.ParseTCP(c.held)
	n := h.PayloadLen()
	if flowOf(h) != flowOf(t) || t.Seq() != h.Seq()+uint32(n) || n+t.PayloadLen() > c.size {
		return false
	}
	h.SetAck(t.Ack())
	h.SetWindow(t.Window())
	h.SetFlags(h.Flags() | t.Flags())
	c.held = append(c.held, t.Payload()...)
	mend(c.held)
	return true
}

func (c *coalescer) flush(p *Passage) {
	if b := c.held; b != nil {
		c.held = nil
		p.Forward(b)
	}
}

// flow is one direction of a TCP connection.
type flow struct{ src, dst netip.AddrPort }

func flowOf(t packet.TCP) flow { return flow{t.Src(), t.Dst()} }

func (f flow) reverse() flow { return flow{f.dst, f.src} }
