package tracecheck

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Subtypes of option 30.
const (
	subCapable = iota
	subJoin
	subDSS
	subAddAddr
	subRemoveAddr
	subPrio
	subFail
	subFastclose
	subReset
)

func subtype(o []byte) int { return int(o[2] >> 4) }

// length checks the length of an option.
func (c *Checker) length(o []byte, allowed ...int) bool {
	if slices.Contains(allowed, len(o)) {
		return true
	}
	c.report(RuleOption, "subtype %d with a length of %d", subtype(o), len(o))
	return false
}

// option judges an option of a segment that is not a SYN.
func (c *Checker) option(f *subflow, d int, s *segment, o []byte) {
	switch subtype(o) {
	case subCapable:
		c.capable(f, d, s, o)
	case subJoin:
		c.joinAnswer(f, d, s, o)
	case subDSS:
		if f.conn != nil && !f.conn.plain {
			c.dss(f, d, s, o)
		}
	case subAddAddr:
		c.addAddr(f, d, o)
	case subRemoveAddr:
		if len(o) < 4 {
			c.report(RuleOption, "REMOVE_ADDR without an address ID")
		}
	case subPrio:
		c.length(o, 3, 4)
	case subFail:
		if c.length(o, 12) && f.conn != nil && f.conn.subflows == 1 {
			f.conn.plain = true
		}
	case subFastclose:
		if c.length(o, 12) && f.conn != nil && !bytes.Equal(o[4:12], f.conn.key[1-f.side^d][:]) {
			c.report(RuleKeys, "%v: MP_FASTCLOSE with a key that is not the receiver's", s)
		}
	case subReset:
		if c.length(o, 4) && s.flags&flagRST == 0 {
			c.report(RuleOption, "%v: MP_TCPRST without a reset", s)
		}
	default:
		c.report(RuleOption, "%v: unknown subtype %d", s, subtype(o))
	}
}

// capable judges MP_CAPABLE on a SYN/ACK, on the third packet, and on first data.
func (c *Checker) capable(f *subflow, d int, s *segment, o []byte) {
	if s.flags&flagSYN != 0 {
		if c.length(o, 12) {
			f.serverKey = append([]byte(nil), o[4:12]...)
			f.askChecksum[1] = o[3]&0x80 != 0
			if o[2]&15 != 1 || o[3]&1 == 0 {
				c.report(RuleOption, "%v: MP_CAPABLE with version %d and flags %02x", s, o[2]&15, o[3])
			}
		}
		return
	}
	if !c.length(o, 20, 22, 24) {
		return
	}
	if d == 1 || f.join {
		c.report(RuleOption, "%v: MP_CAPABLE where it does not belong", s)
		return
	}
	switch {
	case f.serverKey == nil || !bytes.Equal(o[12:20], f.serverKey):
		c.report(RuleKeys, "%v: MP_CAPABLE repeats another key than the SYN/ACK's", s)
		return
	case f.conn == nil:
		c.newConn(f, o[4:12], o[12:20])
	case !bytes.Equal(o[4:12], f.conn.key[0][:]):
		c.report(RuleKeys, "%v: the key has changed", s)
	}
	if f.conn == nil || len(o) == 20 {
		return
	}
	c.sumPresence(f.conn, len(o) == 24)
	m := mapping{ssn: 1, n: int64(binary.BigEndian.Uint16(o[20:]))}
	m.length = m.n
	if m.hasSum = len(o) == 24; m.hasSum {
		m.sum = binary.BigEndian.Uint16(o[22:])
	}
	if m.n > 0 {
		c.addMapping(f, d, m)
	}
}

func (c *Checker) sumPresence(m *conn, present bool) {
	if present != m.checksum {
		c.report(RuleChecksum, "a checksum is there: %v, negotiated: %v", present, m.checksum)
	}
}

// joinAnswer judges the SYN/ACK and the third packet of a join.
func (c *Checker) joinAnswer(f *subflow, d int, s *segment, o []byte) {
	if !f.join || f.joined.conn == nil {
		c.report(RuleOption, "%v: MP_JOIN without a SYN that asked for it", s)
		return
	}
	m := f.joined.conn
	from, to := m.key[f.side], m.key[1-f.side]
	if s.flags&flagSYN != 0 {
		if c.length(o, 16) {
			f.nonces = append(f.nonces, append([]byte(nil), o[12:16]...))
			if want := mac(to, from, o[12:16], f.nonce); !bytes.Equal(want[:8], o[4:12]) {
				c.report(RuleHMAC, "%v: the HMAC of a join's SYN/ACK is wrong", s)
			}
		}
		return
	}
	if d == 1 || !c.length(o, 24) {
		return
	}
	if !slices.ContainsFunc(f.nonces, func(nonce []byte) bool {
		return bytes.Equal(mac(from, to, f.nonce, nonce)[:20], o[4:24])
	}) {
		c.report(RuleHMAC, "%v: the HMAC of a join's third packet is wrong", s)
		return
	}
	if f.conn == nil {
		f.conn = m
		m.subflows++
	}
}

// mac is the HMAC with two keys in a row over two messages in a row.
func mac(k1, k2 [8]byte, m1, m2 []byte) []byte {
	h := hmac.New(sha256.New, append(append([]byte(nil), k1[:]...), k2[:]...))
	h.Write(m1)
	h.Write(m2)
	return h.Sum(nil)
}

// addAddr judges an announcement, which has an HMAC, or its echo, which has none.
func (c *Checker) addAddr(f *subflow, d int, o []byte) {
	if o[2]&1 != 0 {
		c.length(o, 8, 10, 20, 22)
		return
	}
	if !c.length(o, 16, 18, 28, 30) || f.conn == nil {
		return
	}
	size := 4
	if len(o) >= 28 {
		size = 16
	}
	covered := append([]byte(nil), o[3:len(o)-8]...)
	if len(covered) == 1+size {
		covered = append(covered, 0, 0) // no port
	}
	side := f.side ^ d
	if want := mac(f.conn.key[side], f.conn.key[1-side], covered, nil); !bytes.Equal(want[24:], o[len(o)-8:]) {
		c.report(RuleHMAC, "the HMAC of an ADD_ADDR is wrong")
	}
}

// Flags of a DSS.
const (
	dssAck   = 1
	dssAck8  = 2
	dssMap   = 4
	dssDSN8  = 8
	dssFin   = 16
	finBytes = 1 // of the stream's numbers that a DATA_FIN takes
)

// dss judges a DATA_ACK and a mapping.
func (c *Checker) dss(f *subflow, d int, s *segment, o []byte) {
	if len(o) < 4 {
		c.report(RuleOption, "%v: a DSS of %d bytes", s, len(o))
		return
	}
	flags, rest := o[3], o[4:]
	number := func(eight bool, side int) int64 {
		first := f.conn.idsn[side] + 1
		if eight {
			v := binary.BigEndian.Uint64(rest)
			rest = rest[8:]
			return int64(v - first)
		}
		v := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		near := f.conn.stream[side].end
		return near + int64(int32(v-uint32(first+uint64(near))))
	}
	want := 0
	if flags&dssAck != 0 {
		want += 4 + int(flags&dssAck8)*2
	}
	if flags&dssMap != 0 {
		want += 10 + int(flags&dssDSN8)/2
	}
	if len(rest) != want && (len(rest) != want+2 || flags&dssMap == 0) {
		c.report(RuleOption, "%v: a DSS with flags %02x of %d bytes", s, flags, len(o))
		return
	}
	side := f.side ^ d
	if flags&dssAck != 0 {
		ack := number(flags&dssAck8 != 0, 1-side)
		defer c.dataAck(f.conn, 1-side, ack, s) // a mapping to infinity comes first
	}
	if flags&dssMap == 0 {
		return
	}
	m := mapping{off: number(flags&dssDSN8 != 0, side)}
	m.ssn = int64(binary.BigEndian.Uint32(rest))
	m.length = int64(binary.BigEndian.Uint16(rest[4:]))
	if m.hasSum = len(rest) == 8; m.hasSum {
		m.sum = binary.BigEndian.Uint16(rest[6:])
	}
	if m.length == 0 {
		f.conn.plain = true
		return
	}
	c.sumPresence(f.conn, m.hasSum)
	m.n = m.length
	if flags&dssFin != 0 {
		m.n -= finBytes
		c.dataFin(f.conn, side, &m)
	}
	if m.n > 0 {
		m.ssn = f.dir[d].unwrap(uint32(m.ssn))
		c.addMapping(f, d, m)
	}
}

func (c *Checker) dataFin(m *conn, side int, fin *mapping) {
	at := fin.off + fin.n
	switch {
	case m.fin[side] >= 0 && m.fin[side] != at:
		c.report(RuleDataFin, "the DATA_FIN moves from offset %d to %d", m.fin[side], at)
	case m.stream[side].end > at:
		c.report(RuleDataFin, "a DATA_FIN at offset %d, but data was mapped up to %d", at, m.stream[side].end)
	}
	m.fin[side] = at
	if fin.n > 0 {
		return
	}
	if fin.ssn != 0 {
		c.report(RuleDataFin, "a DATA_FIN without data has the ssn %d", fin.ssn)
	}
	if head := pseudoHeader(m.idsn[side]+1+uint64(at), uint32(fin.ssn), uint16(fin.length)); fin.hasSum && fold(sum(uint64(fin.sum), head[:])) != 0xffff {
		c.report(RuleChecksum, "the checksum of a DATA_FIN is wrong")
	}
}

// dataAck checks that all that is acknowledged has passed here. What the stream's other
// end had was on its way before that end's DATA_ACK was.
func (c *Checker) dataAck(m *conn, side int, ack int64, s *segment) {
	st := &m.stream[side]
	if m.plain || st.lost {
		return
	}
	limit := st.contiguous()
	if m.fin[side] == limit {
		limit += finBytes
	}
	if ack < 0 {
		c.report(RuleDataAck, "%v: DATA_ACK at IDSN%+d", s, ack+1)
	}
	if ack > limit {
		c.report(RuleDataAck, "%v: DATA_ACK at offset %d, but only %d bytes have been seen", s, ack, limit)
	}
}
