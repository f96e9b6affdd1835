package subflow

import "time"

// recordState is what is known about the fate of sent bytes.
type recordState uint8

const (
	// inFlight: sent, nothing heard of since.
	inFlight recordState = iota
	// lost: deemed lost, waits to be sent again.
	lost
	// sacked: the peer has it, but not all before it (RFC 2018).
	sacked
)

// record is a run of bytes that left together, up to a whole super-segment, and share
// one fate. What happens to a part of it only splits it, at the boundaries of the
// segments that went over the wire.
type record struct {
	off   uint64
	n     int
	state recordState
	// base and mss say where the wire segments begin: at base + k*mss.
	base uint64
	mss  int
	// sent is when the bytes left for the last time, before that when they left the time
	// before (zero: they left once). Stamps of different transmissions differ.
	sent, before time.Time
	// episode is the loss episode that marked the bytes lost last, 0 if none did.
	episode uint64
	rate    rateStamp
	// tsVal is the timestamp that the last transmission carried, 0 if not known.
	tsVal uint32
	// prev and next link the list that state says: flight or lost. next also links the
	// pool.
	prev, next *record
}

func (r *record) end() uint64 { return r.off + uint64(r.n) }

func (r *record) retransmitted() bool { return !r.before.IsZero() }

// firstBoundaryFrom returns the first start of a wire segment at or after off, or the
// record's end.
func (r *record) firstBoundaryFrom(off uint64) uint64 {
	if off <= r.off {
		return r.off
	}
	k := (off - r.base + uint64(r.mss) - 1) / uint64(r.mss)
	return min(r.base+k*uint64(r.mss), r.end())
}

// lastBoundaryTo returns the last end of a wire segment at or before off, or the
// record's start.
func (r *record) lastBoundaryTo(off uint64) uint64 {
	if off >= r.end() {
		return r.end()
	}
	return max(r.base+(off-r.base)/uint64(r.mss)*uint64(r.mss), r.off)
}

// recordList is a doubly linked list of records.
type recordList struct{ first, last *record }

// insertAfter puts r after at, or first if at is nil.
func (l *recordList) insertAfter(at, r *record) {
	r.prev = at
	if at == nil {
		r.next, l.first = l.first, r
	} else {
		r.next, at.next = at.next, r
	}
	if r.next == nil {
		l.last = r
	} else {
		r.next.prev = r
	}
}

func (l *recordList) remove(r *record) {
	if r.prev == nil {
		l.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		l.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// scoreboard knows the fate of all bytes that are sent and not cumulatively
// acknowledged. The Sender owns it.
type scoreboard struct {
	recs deque[*record] // by offset, without gaps; neighbours that are sacked are merged
	// flight has the records in flight by the time of their last transmission (RFC 8985
	// section 6.1), lost those deemed lost in the order in which they will be sent again.
	flight, lost recordList
	// Bytes in each state.
	inFlight, lostBytes, sackedBytes int
	pool                             *record
}

func (b *scoreboard) newRecord() *record {
	r := b.pool
	if r == nil {
		return new(record)
	}
	b.pool = r.next
	*r = record{}
	return r
}

func (b *scoreboard) recycle(r *record) {
	*r = record{next: b.pool}
	b.pool = r
}

// add appends r, which has just been sent for the first time.
func (b *scoreboard) add(r *record) {
	b.recs.pushBack(r)
	b.enter(r)
}

// list returns the list of the records in a state, nil if none is kept.
func (b *scoreboard) list(st recordState) *recordList {
	switch st {
	case inFlight:
		return &b.flight
	case lost:
		return &b.lost
	}
	return nil
}

// count returns the number of bytes in a state.
func (b *scoreboard) count(st recordState) *int {
	switch st {
	case inFlight:
		return &b.inFlight
	case lost:
		return &b.lostBytes
	}
	return &b.sackedBytes
}

// enter puts r at the end of the list of its state and counts it there.
func (b *scoreboard) enter(r *record) {
	*b.count(r.state) += r.n
	if l := b.list(r.state); l != nil {
		l.insertAfter(l.last, r)
	}
}

// leave takes r out of the list and count of its state.
func (b *scoreboard) leave(r *record) {
	*b.count(r.state) -= r.n
	if l := b.list(r.state); l != nil {
		l.remove(r)
	}
}

// set moves r to a state, to the end of that state's list.
func (b *scoreboard) set(r *record, to recordState) {
	b.leave(r)
	r.state = to
	b.enter(r)
}

// find returns the index of the record that holds off, or the number of records.
func (b *scoreboard) find(off uint64) int {
	lo, hi := 0, b.recs.len()
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if b.recs.at(mid).end() <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// split cuts record i at off, which must lie inside: i ends there and i+1 begins.
func (b *scoreboard) split(i int, off uint64) {
	r := b.recs.at(i)
	rest := b.newRecord()
	*rest = *r
	rest.prev, rest.next = nil, nil
	rest.off, rest.n = off, int(r.end()-off)

	r.n -= rest.n
	if l := b.list(r.state); l != nil {
		l.insertAfter(r, rest) // they left at the same time
	}
	b.recs.insert(i+1, rest)
}

// mergeSacked joins record i, which is sacked, with sacked neighbours and returns its
// new index. So a SACK block that comes again is one record to look at.
func (b *scoreboard) mergeSacked(i int) int {
	if i+1 < b.recs.len() && b.recs.at(i+1).state == sacked {
		b.absorb(i, i+1)
	}
	if i > 0 && b.recs.at(i-1).state == sacked {
		i--
		b.absorb(i, i+1)
	}
	return i
}

// absorb makes record j, the neighbour after i, a part of i.
func (b *scoreboard) absorb(i, j int) {
	r := b.recs.at(j)
	b.recs.at(i).n += r.n
	b.recs.remove(j)
	b.recycle(r)
}

// dropFirst forgets the first record, which has been acknowledged.
func (b *scoreboard) dropFirst() {
	r := b.recs.popFront()
	b.leave(r)
	b.recycle(r)
}
