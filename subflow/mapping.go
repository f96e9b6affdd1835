package subflow

import (
	"github.com/gomptcp/gomptcp/internal/seq"
)

// maxMappings bounds the mappings kept for one subflow; a peer that maps every byte
// on its own cannot make us hold more. What does not fit is dropped and has to be sent
// again.
const maxMappings = 16384

// rxMapping says which DSN the bytes of a subflow range have. start is the absolute
// sequence number of its first byte.
type rxMapping struct {
	start    seq.SSN
	dsn      seq.DSN
	n        int
	checksum uint16 // as received; meaningful when checksums were negotiated
	ssn      uint32 // as received, for the checksum
	fin      bool   // counts a DATA_FIN in its DLL, for the checksum
	bad      bool   // the checksum was wrong
}

func (m *rxMapping) end() seq.SSN { return m.start.Add(m.n) }

// rxMappings holds the mappings of the bytes that were not read yet, in the order of
// the subflow's sequence space, without overlaps. Mappings belong to byte ranges,
// never to packets (8684-6-04).
type rxMappings struct {
	list []rxMapping // list[head:] is in use
	head int
}

func (s *rxMappings) len() int { return len(s.list) - s.head }

// at returns the mapping that covers pos, or nil.
func (s *rxMappings) at(pos seq.SSN) *rxMapping {
	i := s.search(pos)
	if i < len(s.list) && s.list[i].start.LessEq(pos) {
		return &s.list[i]
	}
	return nil
}

// search returns the index of the first mapping that ends after pos. What is asked
// for lies mostly at one of the two ends.
func (s *rxMappings) search(pos seq.SSN) int {
	if s.head == len(s.list) || pos.Less(s.list[s.head].end()) {
		return s.head
	}
	if s.list[len(s.list)-1].end().LessEq(pos) {
		return len(s.list)
	}
	lo, hi := s.head, len(s.list)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if pos.Less(s.list[mid].end()) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// add keeps m, or those parts of it that no mapping covers yet: what was declared
// first stands (8684-3.3.1-01). It reports false when the table is full.
func (s *rxMappings) add(m rxMapping) bool {
	i := s.search(m.start)
	for m.n > 0 {
		if i < len(s.list) && s.list[i].start.LessEq(m.start) {
			skip := s.list[i].end().Sub(m.start)
			if skip >= m.n {
				return true
			}
			m.start, m.dsn, m.n = m.start.Add(skip), m.dsn.Add(skip), m.n-skip
			i++
			continue
		}
		if s.len() >= maxMappings {
			return false
		}
		part := m
		if i < len(s.list) {
			part.n = min(part.n, s.list[i].start.Sub(m.start))
		}
		i = s.insert(i, part) + 1
		m.start, m.dsn, m.n = m.start.Add(part.n), m.dsn.Add(part.n), m.n-part.n
	}
	return true
}

// contradict reports whether m gives another DSN to a byte than what is there.
func (s *rxMappings) contradict(m rxMapping) bool {
	for i := s.search(m.start); i < len(s.list) && s.list[i].start.Less(m.end()); i++ {
		if p := &s.list[i]; p.dsn != m.dsn.Add(p.start.Sub(m.start)) {
			return true
		}
	}
	return false
}

// overlap reports whether a mapping covers a byte of m.
func (s *rxMappings) overlap(m rxMapping) bool {
	i := s.search(m.start)
	return i < len(s.list) && s.list[i].start.Less(m.end())
}

// keepDistance reports whether all mappings of bytes from pos on agree with pos having the DSN
// next.
func (s *rxMappings) keepDistance(pos seq.SSN, next seq.DSN) bool {
	for i := s.search(pos); i < len(s.list); i++ {
		if m := &s.list[i]; m.dsn != next.Add(m.start.Sub(pos)) {
			return false
		}
	}
	return true
}

// insert puts m at index i and returns its index, which moves with what was forgotten.
func (s *rxMappings) insert(i int, m rxMapping) int {
	if s.head > 0 && len(s.list) == cap(s.list) {
		n := copy(s.list, s.list[s.head:])
		s.list = s.list[:n]
		i -= s.head
		s.head = 0
	}
	s.list = append(s.list, rxMapping{})
	copy(s.list[i+1:], s.list[i:])
	s.list[i] = m
	return i
}

// dropBelow forgets the mappings that end at or before pos.
func (s *rxMappings) dropBelow(pos seq.SSN) {
	for s.head < len(s.list) && s.list[s.head].end().LessEq(pos) {
		s.head++
	}
	if s.head == len(s.list) {
		s.list, s.head = s.list[:0], 0
	}
}
