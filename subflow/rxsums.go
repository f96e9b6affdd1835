package subflow

import (
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// maxRxSums bounds the pieces kept; past it data is dropped and has to be sent again.
const maxRxSums = 16384

// rxSum is the checksum of a run of received bytes. If no mapping covered the whole run
// when it came, the bytes are kept too, since the run may have to be divided.
type rxSum struct {
	start seq.SSN
	n     int
	sum   option.Sum
	data  []byte
}

func (s *rxSum) end() seq.SSN { return s.start.Add(s.n) }

// rxSums holds the checksums of the bytes that came in and whose mapping was not yet
// verified, in order and without overlaps. Bytes are summed when they come, each once, so
// that verifying a mapping takes no second pass over its data.
type rxSums struct {
	list []rxSum
}

// add sums the part of data, at start, that is not there yet. whole says that one
// mapping covers all of data. It reports false when the table is full.
func (s *rxSums) add(start seq.SSN, data []byte, whole bool) bool {
	i := len(s.list)
	for i > 0 && start.Less(s.list[i-1].end()) {
		i--
	}
	for len(data) > 0 {
		n := len(data)
		if i < len(s.list) {
			if s.list[i].start.LessEq(start) {
				skip := s.list[i].end().Sub(start)
				i++
				if skip >= len(data) {
					return true
				}
				if skip > 0 {
					start, data = start.Add(skip), data[skip:]
				}
				continue
			}
			n = min(n, s.list[i].start.Sub(start))
		}
		if len(s.list) >= maxRxSums {
			return false
		}
		piece := rxSum{start: start, n: n, sum: option.SumBytes(data[:n])}
		if !whole {
			piece.data = append([]byte(nil), data[:n]...)
		}
		s.list = append(s.list, rxSum{})
		copy(s.list[i+1:], s.list[i:])
		s.list[i] = piece
		i++
		start, data = start.Add(n), data[n:]
	}
	return true
}

// over returns the sum of the n bytes from start on, and whether all were there and
// could be divided at both ends.
func (s *rxSums) over(start seq.SSN, n int) (option.Sum, bool) {
	var sum option.Sum
	pos, end := start, start.Add(n)
	for i := range s.list {
		p := &s.list[i]
		if p.end().LessEq(pos) {
			continue
		}
		if !pos.Less(end) || pos.Less(p.start) {
			break
		}
		from, to := pos.Sub(p.start), min(p.n, end.Sub(p.start))
		part := p.sum
		if from != 0 || to != p.n {
			if p.data == nil {
				return 0, false
			}
			part = option.SumBytes(p.data[from:to])
		}
		sum = sum.Add(part, pos.Sub(start))
		pos = p.start.Add(to)
	}
	return sum, pos == end
}

// dropBelow forgets what lies before pos.
func (s *rxSums) dropBelow(pos seq.SSN) {
	n := 0
	for n < len(s.list) && s.list[n].end().LessEq(pos) {
		n++
	}
	if n > 0 {
		rest := copy(s.list, s.list[n:])
		clear(s.list[rest:])
		s.list = s.list[:rest]
	}
}
