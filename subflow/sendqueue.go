package subflow

import (
	"github.com/gomptcp/gomptcp/internal/sendbuf"
	"github.com/gomptcp/gomptcp/internal/seq"
)

// Mapping says where a run of subflow bytes lies in the connection's stream (RFC 8684
// section 3.3.1).
type Mapping struct {
	// DSN of the first byte.
	DSN seq.DSN
	// SSN of the first byte, relative to the initial sequence number: the first payload
	// byte of the subflow has 1.
	SSN uint32
	// Len is the number of bytes.
	Len int
}

// Chunk is a run of the connection's stream to be placed on a subflow. It keeps its
// mapping for ever (8684-3.3.1-01).
type Chunk struct {
	// DSN of the first byte.
	DSN seq.DSN
	// Data is the bytes. Sender.Place takes over the reference.
	Data sendbuf.Span
	// Reinjection: the bytes were placed on another subflow before.
	Reinjection bool
}

// Entry is a chunk in the queue of a Sender. It lives until all its bytes are
// acknowledged and is used again after, so nobody may keep it.
type Entry struct {
	// Checksum is a place for the owner of Emit to keep the DSS checksum of the chunk,
	// computed when the first segment needs it; HasChecksum says that it is there. The
	// Sender only clears them.
	Checksum    uint16
	HasChecksum bool

	off         uint64 // stream offset of the first byte on the subflow
	dsn         seq.DSN
	data        sendbuf.Span
	reinjection bool
}

// Data is the bytes of the whole chunk, valid as long as the Entry.
func (e *Entry) Data() sendbuf.Span { return e.data }

// Reinjection reports whether the bytes were placed on another subflow before.
func (e *Entry) Reinjection() bool { return e.reinjection }

// Mapping is the mapping of the whole chunk.
func (e *Entry) Mapping() Mapping {
	return Mapping{DSN: e.dsn, SSN: uint32(e.off) + 1, Len: e.data.Len()}
}

func (e *Entry) end() uint64 { return e.off + uint64(e.data.Len()) }

// sendQueue is the chunks placed on a subflow and not yet acknowledged, in order and
// without gaps. Offsets count payload bytes from the first one of the subflow, in 64 bits, so
// nothing here wraps. The Sender owns it.
type sendQueue struct {
	entries deque[*Entry]
	end     uint64 // offset after the last byte placed
	tail    tail
	free    []*Entry // for reuse
}

func (q *sendQueue) push(c Chunk) {
	var e *Entry
	if n := len(q.free); n > 0 {
		e = q.free[n-1]
		q.free = q.free[:n-1]
	} else {
		e = new(Entry)
	}
	*e = Entry{off: q.end, dsn: c.DSN, data: c.Data, reinjection: c.Reinjection}
	q.entries.pushBack(e)
	if q.tail.n == 0 || q.tail.dsn.Add(q.tail.n) != c.DSN {
		q.tail = tail{dsn: c.DSN}
	}
	q.tail.n += c.Data.Len()
	q.end = e.end()
}

// tail is the longest run of bytes that were placed last and have consecutive DSNs.
type tail struct {
	dsn seq.DSN
	n   int
}

// find returns the entry that holds off, which must be held.
func (q *sendQueue) find(off uint64) *Entry {
	lo, hi := 0, q.entries.len()-1
	for lo < hi {
		mid := int(uint(lo+hi+1) >> 1)
		if q.entries.at(mid).off <= off {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return q.entries.at(lo)
}

// ackTo lets go of the entries that end at or before off.
func (q *sendQueue) ackTo(off uint64) {
	for q.entries.len() > 0 && q.entries.at(0).end() <= off {
		e := q.entries.popFront()
		e.data.Release()
		*e = Entry{}
		q.free = append(q.free, e)
	}
}
