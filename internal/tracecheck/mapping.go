package tracecheck

import (
	"encoding/binary"
	"slices"
	"sort"
)

// direction is one direction of a subflow. Its offsets, called ssn, count from its ISN.
type direction struct {
	end          int64     // behind the newest payload
	maps         []mapping // by ssn
	pending      []pending
	pendingBytes int
}

// mapping says that n bytes from ssn on are those of the stream from off on.
type mapping struct {
	ssn, off, n int64
	// hasSum: sum is the DSS checksum, to be compared when all bytes were seen; length is
	// the data-level length, which counts a DATA_FIN.
	hasSum bool
	sum    uint16
	length int64
}

// pending is payload whose mapping has not come.
type pending struct {
	ssn  int64
	data []byte
}

// unwrap turns a sequence number, relative to the ISN, into an offset near the newest.
func (d *direction) unwrap(rel uint32) int64 { return d.end + int64(int32(rel-uint32(d.end))) }

// addMapping checks a mapping against those that are there.
func (c *Checker) addMapping(f *subflow, d int, m mapping) {
	dir, conn := &f.dir[d], f.conn
	side := f.side ^ d
	if m.off < 0 {
		c.report(RuleIDSN, "a mapping starts at IDSN%+d", m.off+1)
		return
	}
	if fin := conn.fin[side]; fin >= 0 && m.off+m.n > fin {
		c.report(RuleDataFin, "data is mapped up to offset %d, but the DATA_FIN is at %d", m.off+m.n, fin)
	}
	conn.stream[side].end = max(conn.stream[side].end, m.off+m.n)

	i := sort.Search(len(dir.maps), func(i int) bool { return dir.maps[i].ssn+dir.maps[i].n > m.ssn })
	if i < len(dir.maps) && dir.maps[i].ssn < m.ssn+m.n {
		old := &dir.maps[i]
		// A mapping may be repeated, with a DATA_FIN that was not known before.
		if old.ssn != m.ssn || old.off != m.off || old.n != m.n {
			c.report(RuleMap, "ssn %d..%d is mapped to offset %d, ssn %d..%d before to %d", m.ssn, m.ssn+m.n, m.off, old.ssn, old.ssn+old.n, old.off)
		}
		return
	}
	if m.ssn == 1 && m.off != 0 && !f.join && conn.subflows == 1 {
		c.report(RuleIDSN, "the first mapping starts at IDSN+%d", m.off+1)
	}
	dir.maps = slices.Insert(dir.maps, i, m)
	if len(dir.maps) > maxMappings {
		dir.maps = slices.Delete(dir.maps, 0, maxMappings/2)
	}
	c.settlePending(f, d)
}

// settlePending looks whether payload that waits has a mapping now.
func (c *Checker) settlePending(f *subflow, d int) {
	dir := &f.dir[d]
	if len(dir.pending) == 0 {
		return
	}
	list := dir.pending
	dir.pending, dir.pendingBytes = nil, 0
	for _, p := range list {
		c.payload(f, d, p.ssn, p.data)
	}
}

// payload puts bytes of a subflow where their mapping says.
func (c *Checker) payload(f *subflow, d int, ssn int64, data []byte) {
	dir, stream := &f.dir[d], &f.conn.stream[f.side^d]
	dir.end = max(dir.end, ssn+int64(len(data)))
	for len(data) > 0 {
		i := sort.Search(len(dir.maps), func(i int) bool { return dir.maps[i].ssn+dir.maps[i].n > ssn })
		if i == len(dir.maps) || dir.maps[i].ssn > ssn {
			n := int64(len(data))
			if i < len(dir.maps) {
				n = min(n, dir.maps[i].ssn-ssn)
			}
			dir.wait(ssn, data[:n])
			ssn, data = ssn+n, data[n:]
			continue
		}
		m := &dir.maps[i]
		n := min(m.ssn+m.n-ssn, int64(len(data)))
		off := m.off + ssn - m.ssn
		if !stream.write(off, data[:n]) {
			c.report(RuleBytes, "offsets %d..%d carry other bytes than before (ssn %d)", off, off+n, ssn)
		}
		c.verify(f, d, m)
		ssn, data = ssn+n, data[n:]
	}
}

// wait keeps payload until its mapping comes.
func (d *direction) wait(ssn int64, data []byte) {
	if d.pendingBytes+len(data) <= maxPending {
		d.pending = append(d.pending, pending{ssn, append([]byte(nil), data...)})
		d.pendingBytes += len(data)
	}
}

// verify compares a mapping's checksum once, when all of its bytes were seen.
func (c *Checker) verify(f *subflow, d int, m *mapping) {
	side := f.side ^ d
	stream := &f.conn.stream[side]
	if !m.hasSum || !stream.covers(m.off, m.off+m.n) {
		return
	}
	m.hasSum = false
	head := pseudoHeader(f.conn.idsn[side]+1+uint64(m.off), uint32(m.ssn), uint16(m.length))
	total, odd := sum(uint64(m.sum), head[:]), false
	if !stream.each(m.off, m.n, func(piece []byte, _ int64) {
		// A piece that begins in the middle of a word has its bytes the other way round.
		if odd {
			total += uint64(piece[0])
			piece, odd = piece[1:], false
		}
		total, odd = sum(total, piece), len(piece)%2 == 1
	}) {
		return
	}
	if fold(total) != 0xffff {
		c.report(RuleChecksum, "the checksum of ssn %d, offset %d, length %d is wrong", m.ssn, m.off, m.length)
	}
}

// pseudoHeader is what a DSS checksum covers besides the data (RFC 8684 section 3.3.1).
func pseudoHeader(dsn uint64, ssn uint32, length uint16) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], dsn)
	binary.BigEndian.PutUint32(b[8:], ssn)
	binary.BigEndian.PutUint16(b[12:], length)
	return b
}
