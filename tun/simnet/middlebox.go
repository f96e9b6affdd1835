package simnet

import (
	"encoding/binary"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
)

// Middlebox sees every packet that enters a direction of a link, and owns it. It passes
// on what it likes, when it likes, with the methods of p. All middleboxes of a world run
// in one goroutine, so their state needs no lock; they must not wait.
type Middlebox func(p *Passage, b []byte)

// Passage is the place of a middlebox in a direction.
type Passage struct {
	d    *Direction
	box  Middlebox
	next *Passage
}

// Through puts middleboxes into the direction, in the order in which packets meet them,
// behind those that are there already.
func (d *Direction) Through(boxes ...Middlebox) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, box := range boxes {
		p := &Passage{d: d, box: box}
		if n := len(d.boxes); n > 0 {
			d.boxes[n-1].next = p
		}
		d.boxes = append(d.boxes, p)
	}
}

// Clear takes all middleboxes out of the direction. What they still hold goes on when
// they let it.
func (d *Direction) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boxes = nil
}

func (d *Direction) firstBox() *Passage {
	if len(d.boxes) == 0 {
		return nil
	}
	return d.boxes[0]
}

// Forward passes a packet on to the next middlebox, or to the link's queue.
func (p *Passage) Forward(b []byte) {
	p.d.mu.Lock()
	next := p.next
	p.d.mu.Unlock()
	if next != nil {
		next.box(next, b)
		return
	}
	p.d.enqueue(b)
}

// Back sends a packet the other way, behind the middleboxes of that direction.
func (p *Passage) Back(b []byte) { p.d.opposite.enqueue(b) }

// After runs f in the goroutine of the middleboxes when d has passed.
func (p *Passage) After(d time.Duration, f func()) { p.d.w.later(p.d.w.Elapsed()+d, f) }

// Elapsed is the time since the start of the world.
func (p *Passage) Elapsed() time.Duration { return p.d.w.Elapsed() }

// DropNth drops the nth packet, counted from 1, of those that match; a nil match matches
// all.
func DropNth(n int, match func(b []byte) bool) Middlebox {
	seen := 0
	return func(p *Passage, b []byte) {
		if match == nil || match(b) {
			if seen++; seen == n {
				return
			}
		}
		p.Forward(b)
	}
}

// DropIf drops all packets that match.
func DropIf(match func(b []byte) bool) Middlebox {
	return func(p *Passage, b []byte) {
		if !match(b) {
			p.Forward(b)
		}
	}
}

// IsSYN matches TCP segments with SYN, HasPayload those that carry bytes.
func IsSYN(b []byte) bool {
	t, ok := packet.ParseTCP(b)
	return ok && t.Flags()&packet.FlagSYN != 0
}

// HasPayload matches TCP segments that carry bytes.
func HasPayload(b []byte) bool {
	t, ok := packet.ParseTCP(b)
	return ok && t.PayloadLen() > 0
}

// StripMPTCP replaces option 30 by NOPs in the segments that match; a nil match matches
// all. With IsSYN it is a firewall that cleans handshakes, with HasPayload one that
// rebuilds data segments.
func StripMPTCP(match func(b []byte) bool) Middlebox {
	return func(p *Passage, b []byte) {
		if t, ok := packet.ParseTCP(b); ok && (match == nil || match(b)) {
			found := false
			eachOption(t.Options(), func(kind byte, o []byte) {
				if kind == optionMPTCP {
					found = true
					for i := range o {
						o[i] = optionNOP
					}
				}
			})
			if found {
				mend(b)
			}
		}
		p.Forward(b)
	}
}

// SplitSegments cuts TCP segments with more payload than size bytes into several, each
// with all options of the first, as a network card with TSO does.
func SplitSegments(size int) Middlebox {
	return func(p *Passage, b []byte) {
		t, ok := packet.ParseTCP(b)
		if !ok || t.PayloadLen() <= size {
			p.Forward(b)
			return
		}
		err := packet.Split(nil, b, nil, size, func(seg []byte) error {
			p.Forward(append([]byte(nil), seg...))
			return nil
		})
		if err != nil {
			p.Forward(b)
		}
	}
}

// ShiftSequence is a firewall that chooses new initial sequence numbers: by adds to the
// sequence numbers of one direction, and takes from the acknowledgments and SACK blocks
// of the other, and from what ICMP quotes. There and Back belong into the two directions of a link, or the other way
// round.
type ShiftSequence struct {
	// By is what is added to the sequence numbers of There, ByBack to those of Back.
	By, ByBack uint32
}

// There is the middlebox of one direction.
func (s ShiftSequence) There(p *Passage, b []byte) { shift(p, b, s.By, s.ByBack) }

// Back is the middlebox of the other.
func (s ShiftSequence) Back(p *Passage, b []byte) { shift(p, b, s.ByBack, s.By) }

func shift(p *Passage, b []byte, seq, ack uint32) {
	if m, ok := packet.ParseTooBig(b); ok {
		if t, whole := packet.ParseTCP(m.Quoted); whole {
			t.SetSeq(m.Seq - ack)
			b = packet.AppendTooBig(nil, m.From, m.MTU, m.Quoted)
		}
	}
	if t, ok := packet.ParseTCP(b); ok {
		t.SetSeq(t.Seq() + seq)
		if t.Flags()&packet.FlagACK != 0 {
			t.SetAck(t.Ack() - ack)
			eachOption(t.Options(), func(kind byte, o []byte) {
				if kind != optionSACK {
					return
				}
				for o = o[2:]; len(o) >= 4; o = o[4:] {
					binary.BigEndian.PutUint32(o, binary.BigEndian.Uint32(o)-ack)
				}
			})
		}
		mend(b)
	}
	p.Forward(b)
}
