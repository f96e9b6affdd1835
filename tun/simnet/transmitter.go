package simnet

import (
	"math"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
)

// transmitter is what sends the packets of a direction one after the other. The
// direction's lock guards it.
type transmitter struct {
	b     []byte        // being sent, nil if none is
	left  float64       // bits of it still to send
	since time.Duration // when left was right
	done  *event        // the end of sending; nil if that is not in sight

	trace  *Trace        // in place of a rate, see Follow
	from   time.Duration // when the trace began
	chance int           // the number of the first opportunity of the trace not yet used
}

// nominal is the rate for a queue to reckon with, 0 if it is not a number.
func (t *transmitter) nominal(rate Rate) Rate {
	if t.trace != nil {
		return 0
	}
	return rate
}

// progress reckons what has been sent at a rate since the last time.
func (t *transmitter) progress(now time.Duration, rate Rate) {
	if t.b != nil && t.trace == nil {
		if rate > 0 {
			t.left = max(0, t.left-(now-t.since).Seconds()*float64(rate))
		}
		t.since = now
	}
}

// transmit begins to send what is next, if nothing is being sent. d.mu is held.
func (d *Direction) transmit() {
	for d.tx.b == nil {
		p, some := d.dequeue()
		if !some {
			return
		}
		d.tx.b, d.tx.left, d.tx.since = p.b, float64(len(p.b)*8), d.w.Elapsed()
		d.reschedule()
	}
}

func (d *Direction) dequeue() (waiting, bool) {
	now, q := d.w.Elapsed(), &d.shape.Queue
	var p waiting
	some := d.queue.len() > 0
	switch {
	case q.CoDel != nil:
		p, some = d.codel.dequeue(q.CoDel, &d.queue, now, d.shape.mtu(), func(b []byte) bool { return d.shed(b, q.CoDel.ECN) })
	case some:
		p = d.queue.pop()
	}
	if some && q.Mark > 0 && now-p.since > q.Mark && packet.ECN(p.b) != 0 {
		d.mark(p.b)
	}
	return p, some
}

// shed drops a packet, or marks it if that may be; it reports whether the packet is gone.
func (d *Direction) shed(b []byte, ecn bool) (gone bool) {
	if ecn && packet.ECN(b) != 0 {
		d.mark(b)
		return false
	}
	d.note(DroppedAQM, b)
	return true
}

// mark sets "congestion experienced" in a packet of a sender that takes part in ECN.
func (d *Direction) mark(b []byte) {
	if packet.ECN(b) == packet.CongestionExperienced {
		return
	}
	packet.MarkECN(b)
	d.note(Marked, b)
}

// reschedule finds out anew when the present packet has been sent. d.mu is held.
func (d *Direction) reschedule() {
	t := &d.tx
	d.w.cancel(t.done)
	t.done = nil
	if t.b == nil {
		return
	}
	now, rate := d.w.Elapsed(), d.shape.Rate
	switch {
	case t.trace != nil:
		t.chance = max(t.chance, t.trace.first(now-t.from))
		t.done = d.w.later(t.from+t.trace.when(t.chance), d.opportunity)
	case rate == 0 || t.left < 1e-3: // less than what a duration can tell
		d.finish()
	case rate < 0: // Change will come back
	default:
		wait := time.Duration(math.Ceil(t.left * float64(time.Second) / float64(rate)))
		t.done = d.w.later(now+wait, d.sent)
	}
}

// finish: the present packet has been sent.
func (d *Direction) finish() {
	b := d.tx.b
	d.tx.b, d.tx.done = nil, nil
	d.propagate(b)
}

// sent runs when the present packet has been sent; the driver calls it.
func (d *Direction) sent() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tx.b == nil {
		return // went down just now
	}
	d.finish()
	d.transmit()
}

// opportunity runs when the trace lets some bytes pass; the driver calls it.
func (d *Direction) opportunity() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tx.chance++
	for budget := float64(opportunityBytes * 8); budget > 0 && d.tx.b != nil && d.tx.trace != nil; {
		if d.tx.left > budget {
			d.tx.left -= budget
			break
		}
		budget -= d.tx.left
		b := d.tx.b
		d.tx.b = nil
		d.propagate(b)
		if p, some := d.dequeue(); some {
			d.tx.b, d.tx.left = p.b, float64(len(p.b)*8)
		}
	}
	d.reschedule()
}
