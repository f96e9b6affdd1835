package simnet

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Direction is one direction of a link. Its methods may be called from any goroutine of
// the world, and take effect at once.
type Direction struct {
	w        *World
	from, to *End
	opposite *Direction

	mu    sync.Mutex // guards what follows; released while others are called
	shape Shape
	boxes []*Passage // in the order in which a packet meets them
	down  bool
	downs uint64 // how often it went down: what was on its way then is lost
	stats Stats
	taps  []func(k Kind, b []byte)
	rng   *rand.Rand
	bad   bool // the state of Shape.Burst
	last  time.Duration
	queue fifo
	codel codel
	tx    transmitter
}

// Stats counts the packets of a direction.
type Stats struct {
	// Entered is what came, before middleboxes; Arrived what came out, and ArrivedBytes its
	// bytes, IP headers included.
	Entered, Arrived, ArrivedBytes uint64
	// Lost, Full, AQM, TooBig and Down count what was dropped: by chance, by a full queue,
	// by CoDel, for its length, and because the link was down.
	Lost, Full, AQM, TooBig, Down uint64
	// Duplicated, Corrupted and Marked count packets that this happened to.
	Duplicated, Corrupted, Marked uint64
}

// String tells what is not zero.
func (s Stats) String() string {
	out := fmt.Sprintf("%d entered, %d arrived", s.Entered, s.Arrived)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{s.Lost, "lost"}, {s.Full, "dropped by a full queue"}, {s.AQM, "dropped by AQM"}, {s.TooBig, "too big"},
		{s.Down, "lost while down"}, {s.Duplicated, "duplicated"}, {s.Corrupted, "corrupted"}, {s.Marked, "marked"},
	} {
		if c.n > 0 {
			out += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return out
}

func newDirection(w *World, from, to *End, s Shape) *Direction {
	return &Direction{w: w, from: from, to: to, shape: s, rng: w.Rand("link " + from.name)}
}

// Name is the name of the end at which the direction begins.
func (d *Direction) Name() string { return d.from.name }

// Shape returns the present shape.
func (d *Direction) Shape() Shape {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shape
}

// Change changes the shape: f is given the present one. A packet that is being sent goes
// on at the new rate. Change panics when the result is out of range.
func (d *Direction) Change(f func(s *Shape)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.shape
	f(&s)
	s.check()
	d.tx.progress(d.w.Elapsed(), d.shape.Rate)
	d.shape = s
	d.reschedule()
	d.transmit()
}

// SetUp says whether packets pass. When they no longer do, those that wait and those on
// their way are lost too.
func (d *Direction) SetUp(up bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down == !up {
		return
	}
	d.down = !up
	if up {
		return
	}
	d.downs++
	for d.queue.len() > 0 {
		d.note(DroppedDown, d.queue.pop().b)
	}
	if d.tx.b != nil {
		d.note(DroppedDown, d.tx.b)
		d.tx.b = nil
	}
	d.reschedule()
}

// Stats returns the counters.
func (d *Direction) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// QueueLen is how many packets, and bytes, wait for the transmitter.
func (d *Direction) QueueLen() (packets, bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue.len(), d.queue.bytes
}

// note counts and records what happened to a packet. d.mu is held.
func (d *Direction) note(k Kind, b []byte) {
	st := &d.stats
	switch k {
	case Entered:
		st.Entered++
	case Arrived:
		st.Arrived++
		st.ArrivedBytes += uint64(len(b))
	case Duplicated:
		st.Duplicated++
	case Corrupted:
		st.Corrupted++
	case DroppedLoss:
		st.Lost++
	case DroppedFull:
		st.Full++
	case DroppedAQM:
		st.AQM++
	case DroppedMTU:
		st.TooBig++
	case DroppedDown:
		st.Down++
	case Marked:
		st.Marked++
	}
	for _, tap := range d.taps {
		tap(k, b)
	}
	if d.w.cfg.Record != nil {
		d.w.cfg.Record(Event{At: d.w.Elapsed(), Direction: d, Kind: k, Packet: b})
	}
}

// enter takes a packet that comes to this direction. The driver calls it, and owns the
// packet no longer.
func (d *Direction) enter(b []byte) {
	d.mu.Lock()
	d.note(Entered, b)
	first := d.firstBox()
	d.mu.Unlock()
	if first != nil {
		first.box(first, b)
		return
	}
	d.enqueue(b)
}

// enqueue takes a packet that has passed the middleboxes.
func (d *Direction) enqueue(b []byte) {
	if answer := d.queueOrAnswer(b); answer != nil {
		d.opposite.enter(answer) // through the middleboxes that the packet had met
	}
}

// queueOrAnswer returns what the sender of the packet is to be told, nil if nothing.
func (d *Direction) queueOrAnswer(b []byte) (answer []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch rate := d.shape.Rate; {
	case d.down:
		d.note(DroppedDown, b)
	case len(b) > d.shape.mtu():
		d.note(DroppedMTU, b)
		if d.shape.TellTooBig {
			return tooBig(b, d.shape.mtu())
		}
	case !d.queue.fits(&d.shape.Queue, d.tx.nominal(rate), len(b)):
		d.note(DroppedFull, b)
	default:
		d.queue.push(waiting{b, d.w.Elapsed()})
		d.transmit()
	}
	return nil
}

// propagate sends a packet that has left the transmitter to the other end. d.mu is held.
func (d *Direction) propagate(b []byte) {
	s := &d.shape
	if d.lose() {
		d.note(DroppedLoss, b)
		return
	}
	if s.Corrupt > 0 && d.rng.Float64() < s.Corrupt && corrupt(b, d.rng) {
		d.note(Corrupted, b)
	}
	at := d.w.Elapsed() + s.Delay
	if s.Jitter > 0 {
		at += time.Duration(d.rng.Int64N(int64(s.Jitter) + 1))
	}
	if s.Reorder > 0 && d.rng.Float64() < s.Reorder {
		at += s.ReorderBy // and those behind do not wait for it
	} else {
		at = max(at, d.last)
		d.last = at
	}
	twice := s.Duplicate > 0 && d.rng.Float64() < s.Duplicate
	downs := d.downs
	d.w.later(at, func() { d.arrive(b, downs) })
	if twice {
		d.note(Duplicated, b)
		c := append([]byte(nil), b...)
		d.w.later(at, func() { d.arrive(c, downs) })
	}
}

// lose throws the dice. d.mu is held.
func (d *Direction) lose() bool {
	lost := d.shape.Loss > 0 && d.rng.Float64() < d.shape.Loss
	g := &d.shape.Burst
	if g.ToBad == 0 {
		d.bad = false
		return lost
	}
	if d.bad {
		d.bad = d.rng.Float64() >= g.ToGood
	} else {
		d.bad = d.rng.Float64() < g.ToBad
	}
	if d.bad && (g.Loss == 0 || d.rng.Float64() < g.Loss) {
		return true
	}
	return lost
}

// arrive hands a packet to the node at the other end, unless the link has been down since
// it was sent.
func (d *Direction) arrive(b []byte, downs uint64) {
	d.mu.Lock()
	alive := downs == d.downs
	if alive {
		d.note(Arrived, b)
	} else {
		d.note(DroppedDown, b)
	}
	d.mu.Unlock()
	if alive {
		d.to.node.arrive(d.to, b)
	}
}
