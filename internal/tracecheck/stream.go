package tracecheck

import (
	"bytes"
	"sort"
)

const blockSize = 1 << 16

// stream remembers which bytes of a stream were seen, and the newest of them. Offsets
// count from IDSN+1.
type stream struct {
	seen   []span // sorted, apart from each other
	end    int64  // behind the newest byte that was mapped, seen or not
	blocks map[int64]*[blockSize]byte
	oldest int64 // number of the first block that is kept
	lost   bool  // too many spans: nothing is known any more
}

// span is the bytes from start up to end, which is not one of them.
type span struct{ start, end int64 }

// contiguous is the first offset that was not seen.
func (s *stream) contiguous() int64 {
	if len(s.seen) == 0 || s.seen[0].start > 0 {
		return 0
	}
	return s.seen[0].end
}

// covers reports whether all bytes of a span were seen.
func (s *stream) covers(start, end int64) bool {
	i := sort.Search(len(s.seen), func(i int) bool { return s.seen[i].end >= end })
	return start == end || i < len(s.seen) && s.seen[i].start <= start
}

// write notes bytes at an offset. Where bytes were seen before they are compared: ok is
// false if they differ in what is still kept.
func (s *stream) write(off int64, data []byte) (ok bool) {
	if s.lost || len(data) == 0 {
		return true
	}
	ok = true
	end := off + int64(len(data))
	first := sort.Search(len(s.seen), func(i int) bool { return s.seen[i].end >= off })
	last, at := first, off
	merged := span{off, end}
	for ; last < len(s.seen) && s.seen[last].start <= end; last++ {
		old := s.seen[last]
		if from := max(old.start, off); from > at {
			s.store(at, data[at-off:from-off])
		}
		if from, to := max(old.start, off), min(old.end, end); from < to {
			ok = s.same(from, data[from-off:to-off]) && ok
			at = to
		}
		merged.start, merged.end = min(merged.start, old.start), max(merged.end, old.end)
	}
	if at < end {
		s.store(at, data[at-off:])
	}
	if first < last {
		s.seen[first] = merged
		s.seen = append(s.seen[:first+1], s.seen[last:]...)
	} else {
		s.seen = append(s.seen, span{})
		copy(s.seen[first+1:], s.seen[first:])
		s.seen[first] = merged
	}
	if len(s.seen) > maxSpans {
		s.lost, s.seen, s.blocks = true, nil, nil
	}
	return ok
}

func (s *stream) store(off int64, data []byte) {
	if s.blocks == nil {
		s.blocks = map[int64]*[blockSize]byte{}
	}
	for len(data) > 0 {
		n := min(blockSize-off%blockSize, int64(len(data)))
		if number := off / blockSize; number >= s.oldest {
			if s.blocks[number] == nil {
				s.blocks[number] = new([blockSize]byte)
			}
			copy(s.blocks[number][off%blockSize:], data[:n])
			for ; s.oldest < number-keepBytes/blockSize; s.oldest++ {
				delete(s.blocks, s.oldest)
			}
		}
		off, data = off+n, data[n:]
	}
}

// each calls f for the pieces of a span that are kept, and reports whether all are.
func (s *stream) each(off, n int64, f func(piece []byte, at int64)) (all bool) {
	all = true
	for at := int64(0); at < n; {
		in := (off + at) % blockSize
		k := min(blockSize-in, n-at)
		if b := s.blocks[(off+at)/blockSize]; b != nil {
			f(b[in:in+k], at)
		} else {
			all = false
		}
		at += k
	}
	return all
}

func (s *stream) same(off int64, data []byte) (ok bool) {
	ok = true
	s.each(off, int64(len(data)), func(piece []byte, at int64) {
		ok = ok && bytes.Equal(piece, data[at:at+int64(len(piece))])
	})
	return ok
}
