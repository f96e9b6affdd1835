package simnet

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
)

// AckProxy is a performance-enhancing proxy (RFC 3135): it acknowledges TCP data to the
// sender as soon as it passes, and repeats towards the receiver what gets lost behind it.
// Its own ACKs carry no MPTCP option: to the connection the bytes are on their way still.
// Data belongs into the direction of the data, Acks into the other one of the same link.
type AckProxy struct {
	// Resend is how long the receiver may take to acknowledge before bytes are sent to it
	// again. Default: 300 ms.
	Resend time.Duration
	// Skip is how many data segments of a connection pass before the proxy acknowledges
	// any. An MPTCP sender whose first data is acknowledged without DATA_ACK goes back to
	// plain TCP (RFC 8684 section 3.7).
	Skip  int
	flows map[flow]*proxied
}

// proxied is one direction of one connection.
type proxied struct {
	passed   int    // data segments
	held     uint32 // the sequence number up to which segments are kept without a hole
	promised uint32 // acknowledged to the sender
	acked    uint32 // acknowledged by the receiver
	reply    uint32 // what the sender has acknowledged of the other direction; 0: nothing yet
	segments [][]byte
	last     []byte // headers of the receiver's last segment
	window   uint16 // its window, scaled
	scale    byte
	waiting  bool // a timer runs
	mending  bool // segments got lost behind the proxy; those up to mendTo are sent again
	mendTo   uint32
	resent   int // of segments, from the first
	burst    int // how many may be
	out      *Passage
}

// maxHeld bounds the segments that a proxy keeps for one flow.
const maxHeld = 4096

// maxBurst is how many segments the proxy has under way at most when it repeats what was lost.
const maxBurst = 32

// Data is the middlebox of the direction of the data.
func (x *AckProxy) Data(p *Passage, b []byte) {
	t, ok := packet.ParseTCP(b)
	if !ok {
		p.Forward(b)
		return
	}
	if t.Flags()&packet.FlagSYN != 0 {
		if x.flows == nil {
			x.flows = make(map[flow]*proxied)
		}
		x.flows[flowOf(t)] = &proxied{held: t.Seq() + 1, promised: t.Seq() + 1, acked: t.Seq() + 1}
	}
	f := x.flows[flowOf(t)]
	if f != nil && t.Flags()&packet.FlagACK != 0 && (f.reply == 0 || int32(t.Ack()-f.reply) > 0) {
		f.reply = t.Ack()
	}
	if f == nil || f.last == nil || t.PayloadLen() == 0 || t.Seq() != f.held || len(f.segments) == maxHeld {
		p.Forward(b)
		return
	}
	f.out = p
	f.held += uint32(t.PayloadLen())
	f.segments = append(f.segments, append([]byte(nil), b...))
	var ack []byte
	if f.passed++; f.passed > x.Skip {
		f.promised = f.held
		ack = f.ack(t)
	}
	p.Forward(b)
	if ack != nil {
		p.Back(ack)
	}
	x.watch(p, f)
}

// ack builds an ACK for what was promised.
func (f *proxied) ack(data packet.TCP) []byte {
	last, _ := packet.ParseTCP(f.last)
	var opts []byte
	if mine, theirs := timestamps(last), timestamps(data); mine != nil && theirs != nil {
		opts = append([]byte{optionNOP, optionNOP, optionTimestamps, 10}, mine[2:6]...)
		opts = append(opts, theirs[2:6]...)
	}
	b := packet.AppendTCP(nil, &packet.Fields{
		Src: last.Src(), Dst: last.Dst(), Seq: data.Ack(), Ack: f.promised, Flags: packet.FlagACK, Window: f.offer(), Options: opts,
	})
	packet.CompleteChecksum(b, nil)
	return b
}

// offer is the receiver's window, less what the proxy still holds for it.
func (f *proxied) offer() uint16 {
	return uint16(max(0, int(f.window)-int(f.promised-f.acked)>>f.scale))
}

// timestamps returns the segment's timestamps option, nil if it has none.
func timestamps(t packet.TCP) (o []byte) {
	eachOption(t.Options(), func(kind byte, opt []byte) {
		if kind == optionTimestamps && len(opt) == 10 {
			o = opt
		}
	})
	return o
}

// watch sends again what the receiver has not acknowledged in time.
func (x *AckProxy) watch(p *Passage, f *proxied) {
	if f.waiting {
		return
	}
	wait := x.Resend
	if wait == 0 {
		wait = 300 * time.Millisecond
	}
	f.waiting = true
	before := f.acked
	p.After(wait, func() {
		f.waiting = false
		if len(f.segments) == 0 {
			return
		}
		if f.acked == before {
			f.mending, f.mendTo = true, f.held
			f.resent, f.burst = 0, 1
			f.resend()
		}
		x.watch(p, f)
	})
}

// resend sends segments again that the receiver has not acknowledged, as many at a time as
// its ACKs show to be possible. They acknowledge what the sender has acknowledged by now: a receiver
// takes nothing that acknowledges what is long past (RFC 5961 section 5).
func (f *proxied) resend() {
	for ; f.resent < min(f.burst, len(f.segments)); f.resent++ {
		b := append([]byte(nil), f.segments[f.resent]...)
		t, _ := packet.ParseTCP(b)
		t.SetAck(f.reply)
		mend(b)
		f.out.Forward(b)
	}
}

// Acks is the middlebox of the other direction.
func (x *AckProxy) Acks(p *Passage, b []byte) {
	t, ok := packet.ParseTCP(b)
	if !ok {
		p.Forward(b)
		return
	}
	f := x.flows[flowOf(t).reverse()]
	if f == nil || t.Flags()&packet.FlagACK == 0 || t.Flags()&packet.FlagRST != 0 {
		p.Forward(b)
		return
	}
	news := int32(t.Ack()-f.acked) > 0
	if news {
		f.acked = t.Ack()
	}
	for len(f.segments) > 0 {
		s, _ := packet.ParseTCP(f.segments[0])
		if int32(s.Seq()+uint32(s.PayloadLen())-f.acked) > 0 {
			break
		}
		f.segments = f.segments[1:]
		f.resent = max(0, f.resent-1)
	}
	f.mending = f.mending && int32(f.mendTo-f.acked) > 0
	if f.mending && news {
		f.burst = min(f.burst+1, maxBurst)
		f.resend()
	}
	f.last = append(f.last[:0], t.Header()...)
	f.window = t.Window()
	if t.Flags()&packet.FlagSYN != 0 {
		f.scale = windowScale(t)
		f.window >>= f.scale // that of a SYN is not scaled (RFC 7323 section 2.2)
	}
	if int32(f.promised-t.Ack()) > 0 {
		t.SetAck(f.promised)
		t.SetWindow(f.offer())
		mend(b)
	}
	p.Forward(b)
}

// windowScale returns the shift that a SYN announces, 0 if it has none.
func windowScale(t packet.TCP) (shift byte) {
	eachOption(t.Options(), func(kind byte, o []byte) {
		if kind == optionWindowScale && len(o) == 3 {
			shift = min(o[2], 14)
		}
	})
	return shift
}
