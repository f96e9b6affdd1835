package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// placedChunk is a chunk that a subflow was given.
type placedChunk struct {
	dsn   seq.DSN
	n     int
	sub   uint32 // its ID; 0: another one brings it by now
	again bool   // it had been placed before
	at    time.Time
}

func (p placedChunk) end() seq.DSN { return p.dsn.Add(p.n) }

// placedQueue remembers what was placed where until it is acknowledged at the data
// level: what a subflow's TCP has acknowledged may still be lost with it (8684-3.3.6-02).
type placedQueue struct {
	list []placedChunk // list[head:] is in use, in the order of placing
	head int
}

func (q *placedQueue) add(p placedChunk) {
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, p)
}

// ack forgets from the front what lies before dsn and returns the last of it; ok is false if
// there was nothing to forget.
func (q *placedQueue) ack(dsn seq.DSN) (last placedChunk, ok bool) {
	for q.head < len(q.list) && q.list[q.head].end().LessEq(dsn) {
		last, ok = q.list[q.head], true
		q.head++
	}
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return last, ok
}

// newest is the chunk with the byte at dsn that was placed last, zero if that is not known.
func (q *placedQueue) newest(dsn seq.DSN) placedChunk {
	for i := len(q.list) - 1; i >= q.head; i-- {
		if p := q.list[i]; p.dsn.LessEq(dsn) && dsn.Less(p.end()) {
			return p
		}
	}
	return placedChunk{}
}

// has reports whether subflow sub was given the byte at dsn.
func (q *placedQueue) has(dsn seq.DSN, sub uint32) bool {
	for i := len(q.list) - 1; i >= q.head; i-- {
		if p := &q.list[i]; p.sub == sub && p.dsn.LessEq(dsn) && dsn.Less(p.end()) {
			return true
		}
	}
	return false
}

// moved notes that what subflow sub was given up to end, a whole chunk if end is the end of one, was
// given to another.
func (q *placedQueue) moved(end seq.DSN, sub uint32) {
	for i := q.head; i < len(q.list); i++ {
		if p := &q.list[i]; p.sub == sub && p.end() == end {
			p.sub = 0
			return
		}
	}
}

// reinjection is a run of bytes that has to be placed again, not on the subflow from.
type reinjection struct {
	dsn  seq.DSN
	n    int
	from uint32
}

// reinjectFrom queues all that subflow id was given and that is not acknowledged at the
// data level. c.mu is held.
func (c *Conn) reinjectFrom(id uint32) {
	for i := c.tx.placed.head; i < len(c.tx.placed.list); i++ {
		p := &c.tx.placed.list[i]
		if p.sub != id || p.end().LessEq(c.shared.SndUna) {
			continue
		}
		p.sub = 0 // once is enough
		if k := len(c.tx.reinject); k > 0 {
			last := &c.tx.reinject[k-1]
			if last.from == id && last.dsn.Add(last.n) == p.dsn {
				last.n += p.n
				continue
			}
		}
		c.tx.reinject = append(c.tx.reinject, reinjection{p.dsn, p.n, id})
	}
}
