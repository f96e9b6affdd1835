// Package sendbuf holds the bytes that a connection has accepted for sending, in
// blocks that are shared, not copied, with every subflow that carries them.
//
// Nothing here is safe for concurrent use: the connection's lock protects a Buffer
// and all Spans taken from it.
package sendbuf

import (
	"sync"
	"sync/atomic"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// BlockSize is the capacity of one block in bytes.
const BlockSize = 128 << 10

// block is a piece of the stream. It is spare again when the buffer and all spans have let
// go of it.
type block struct {
	data []byte // length grows up to BlockSize
	refs int
	pool *Pool // whose it is meanwhile
}

// spare has the blocks that nobody uses.
var spare = sync.Pool{New: func() any { return &block{data: make([]byte, 0, BlockSize)} }}

// Pool is where the blocks of several buffers come from. It counts those in use, and is safe
// for concurrent use. The zero value works.
type Pool struct{ inUse atomic.Int64 }

// InUse is the number of blocks that buffers of this pool, or spans taken from them, hold.
func (p *Pool) InUse() int { return int(p.inUse.Load()) }

func (p *Pool) get() *block {
	p.inUse.Add(1)
	b := spare.Get().(*block)
	b.data, b.refs, b.pool = b.data[:0], 1, p
	return b
}

func (b *block) release() {
	b.refs--
	if b.refs == 0 {
		b.pool.inUse.Add(-1)
		b.pool = nil
		spare.Put(b)
	}
}

// Buffer is the stream from the first byte not yet acknowledged to the last byte
// written. The zero value is not usable; see New.
type Buffer struct {
	pool   *Pool
	blocks []*block // in order; the first holds una, the last takes writes
	start  seq.DSN  // DSN of blocks[0].data[0]
	una    seq.DSN
	end    seq.DSN
}

// New returns an empty buffer whose first byte will be first, with a pool of its own.
func New(first seq.DSN) *Buffer { return new(Pool).New(first) }

// New returns an empty buffer whose first byte will be first.
func (p *Pool) New(first seq.DSN) *Buffer {
	return &Buffer{pool: p, start: first, una: first, end: first}
}

// Una is the DSN of the first byte held, End the one after the last.
func (b *Buffer) Una() seq.DSN { return b.una }

// End is the DSN that the next written byte will get.
func (b *Buffer) End() seq.DSN { return b.end }

// Len is the number of bytes held.
func (b *Buffer) Len() int { return int(b.end.Sub(b.una)) }

// Write copies p to the end of the stream. It takes all of p: the limit is the
// caller's.
func (b *Buffer) Write(p []byte) {
	for len(p) > 0 {
		if len(b.blocks) == 0 {
			b.start = b.end
		}
		if len(b.blocks) == 0 || len(b.blocks[len(b.blocks)-1].data) == BlockSize {
			b.blocks = append(b.blocks, b.pool.get())
		}
		last := b.blocks[len(b.blocks)-1]
		n := copy(last.data[len(last.data):BlockSize], p)
		last.data = last.data[:len(last.data)+n]
		b.end = b.end.Add(n)
		p = p[n:]
	}
}

// Ack lets go of all bytes before dsn. A dsn outside what is held is cut to it.
func (b *Buffer) Ack(dsn seq.DSN) {
	if b.end.Less(dsn) {
		dsn = b.end
	}
	if !b.una.Less(dsn) {
		return
	}
	b.una = dsn
	n := 0
	for n < len(b.blocks) && len(b.blocks[n].data) == BlockSize && b.start.Add(BlockSize).LessEq(dsn) {
		b.start = b.start.Add(BlockSize)
		n++
	}
	if dsn == b.end {
		n = len(b.blocks) // the last one too, though it has room: an idle connection holds none
	}
	for _, done := range b.blocks[:n] {
		done.release()
	}
	if n > 0 {
		rest := copy(b.blocks, b.blocks[n:])
		clear(b.blocks[rest:])
		b.blocks = b.blocks[:rest]
	}
}

// Close lets go of all bytes, acknowledged or not; spans stay valid. Una and End keep
// what they were. Nothing can be written or taken out after.
func (b *Buffer) Close() {
	for _, block := range b.blocks {
		block.release()
	}
	b.blocks = nil
}

// Span returns the n bytes at dsn, which must be held and lie in at most two blocks
// (n <= BlockSize always does). The caller owns a reference and calls Release once.
func (b *Buffer) Span(dsn seq.DSN, n int) Span {
	if dsn.Less(b.una) || b.end.Less(dsn.Add(n)) || n > BlockSize {
		panic("sendbuf: span outside the buffer")
	}
	off := int(dsn.Sub(b.start))
	i := off / BlockSize
	off %= BlockSize
	s := Span{a: b.blocks[i], off: off, n: n}
	s.a.refs++
	if off+n > BlockSize {
		s.b = b.blocks[i+1]
		s.b.refs++
	}
	return s
}

// Span is a run of stream bytes that stays valid until it is released, also after
// the buffer has let go of them. The zero value is an empty span.
type Span struct {
	a, b   *block
	off, n int
}

// Len is the number of bytes.
func (s Span) Len() int { return s.n }

// AppendTo appends the bytes from offset from up to to, in at most two pieces, to
// dst. The pieces must not be changed.
func (s Span) AppendTo(dst [][]byte, from, to int) [][]byte {
	lo, hi := s.off+from, s.off+to
	if lo < BlockSize && lo < hi {
		dst = append(dst, s.a.data[lo:min(hi, BlockSize)])
	}
	if hi > BlockSize {
		dst = append(dst, s.b.data[max(lo, BlockSize)-BlockSize:hi-BlockSize])
	}
	return dst
}

// Retain takes one more reference.
func (s Span) Retain() {
	if s.a != nil {
		s.a.refs++
	}
	if s.b != nil {
		s.b.refs++
	}
}

// Release lets go of the bytes. The span must not be used after.
func (s Span) Release() {
	if s.a != nil {
		s.a.release()
	}
	if s.b != nil {
		s.b.release()
	}
}
