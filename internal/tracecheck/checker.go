// Package tracecheck judges a trace of packets: whether the Multipath TCP (RFC 8684) in
// it keeps the rules. It shares no code with the stack that it judges.
//
// A Checker sees what passes at one point of the network, such as a host's links, in the
// order in which it passes there. It then knows all that the host at this point could
// know, so that a DATA_ACK of that host for bytes that have not come is found out.
package tracecheck

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// Rules that findings name.
const (
	RuleOption   = "option"   // a malformed option list, an option of a wrong length or in the wrong place
	RuleSum      = "tcp-sum"  // a wrong TCP checksum
	RuleKeys     = "keys"     // keys that change, or that are not those of the handshake (3.1, 3.5)
	RuleToken    = "token"    // a join to nobody (3.2)
	RuleHMAC     = "hmac"     // a wrong HMAC of a join or an announcement (3.2, 3.4.1)
	RuleEarly    = "early"    // data on a join before it is established (3.2)
	RuleIDSN     = "idsn"     // a stream that does not start at IDSN+1 (3.1)
	RuleMap      = "map"      // a mapping that changes, or bytes without one (3.3.1)
	RuleBytes    = "bytes"    // one DSN with two different bytes (3.3.6)
	RuleChecksum = "checksum" // a DSS checksum that is wrong, missing or not negotiated (3.3.1)
	RuleDataAck  = "data-ack" // a DATA_ACK for what has not been seen (3.3.2)
	RuleDataFin  = "data-fin" // a DATA_FIN that moves, or data beyond it (3.3.3)
)

// Finding is a rule that was broken.
type Finding struct {
	// At and Where are those of the packet, Frame is its number, counted from 1; 0 when
	// it is the trace as a whole that is wrong.
	At    time.Duration
	Where string
	Frame int
	// Rule is one of the rules of this package, Text says more.
	Rule, Text string
}

// String is a line for a person.
func (f Finding) String() string {
	return fmt.Sprintf("%v %s frame %d: %s: %s", f.At, f.Where, f.Frame, f.Rule, f.Text)
}

// Bounds on what a Checker keeps. What goes beyond them is not checked.
const (
	maxFindings = 100
	maxSubflows = 4096     // 4-tuples of a trace
	maxConns    = 1024     // connections of a trace
	maxMappings = 1 << 14  // of one direction of a subflow
	maxPending  = 1 << 20  // bytes whose mapping has not come, of one direction of a subflow
	maxSpans    = 1 << 14  // runs of bytes of a stream
	keepBytes   = 16 << 20 // of a stream, behind the newest
)

// Checker judges a trace. The zero value is not ready; see New. Not safe for concurrent use.
type Checker struct {
	subflows map[flow]*subflow
	tokens   map[uint32]tokenOwner
	conns    []*conn
	findings []Finding
	now      Finding // At, Where and Frame of the present packet
}

// tokenOwner says whose token it is: of which connection, and which side's.
type tokenOwner struct {
	conn *conn
	side int
}

// conn is a connection. Side 0 is the one that opened it; a stream has the number of
// the side that sends it.
type conn struct {
	key      [2][8]byte
	idsn     [2]uint64
	stream   [2]stream
	fin      [2]int64 // offset of the DATA_FIN in the stream, -1 while it is not known
	checksum bool
	subflows int
	plain    bool // fallen back to TCP, or about to: mappings mean nothing any more
}

// subflow is a TCP connection. Direction 0 is that of its SYN; side tells which side of
// the connection sends there.
type subflow struct {
	conn   *conn
	side   int // of the connection: who sent the SYN
	join   bool
	joined tokenOwner // named by the token of a join
	nonce  []byte     // of the SYN
	nonces [][]byte   // of its SYN/ACKs: whoever has given up a join answers its SYN anew
	isn    [2]uint32
	before *subflow // had the same ports; what comes is of it until the new SYN is answered
	dir    [2]direction

	askChecksum [2]bool // MP_CAPABLE, flag A of SYN and SYN/ACK
	serverKey   []byte  // of the SYN/ACK
	fourth      bool    // a join's fourth packet has come
}

// New returns a Checker that has seen nothing.
func New() *Checker {
	return &Checker{subflows: map[flow]*subflow{}, tokens: map[uint32]tokenOwner{}}
}

// Findings are the rules that were broken, the first hundred of them, in order.
func (c *Checker) Findings() []Finding { return c.findings }

// Connections is the number of Multipath TCP connections seen.
func (c *Checker) Connections() int { return len(c.conns) }

// Subflows is the number of subflows that became part of a connection.
func (c *Checker) Subflows() (n int) {
	for _, m := range c.conns {
		n += m.subflows
	}
	return n
}

func (c *Checker) report(rule, format string, args ...any) {
	if len(c.findings) < maxFindings {
		f := c.now
		f.Rule, f.Text = rule, fmt.Sprintf(format, args...)
		c.findings = append(c.findings, f)
	}
}

// Add judges the next IP packet. where says, for findings, at which link it was seen;
// who sent it is known from its addresses. b is not kept. What is not TCP is passed over.
func (c *Checker) Add(at time.Duration, where string, b []byte) {
	c.now = Finding{At: at, Where: where, Frame: c.now.Frame + 1}
	s, ok := parse(b)
	if !ok {
		return
	}
	if !s.sumOK {
		c.report(RuleSum, "%v: the TCP checksum is wrong", s)
		return
	}
	if s.malformed {
		c.report(RuleOption, "%v: malformed list of options", s)
		return
	}
	if s.flags&(flagSYN|flagACK) == flagSYN {
		c.syn(&s)
		return
	}
	f, d := c.subflows[s.flow], 0
	if f == nil {
		f, d = c.subflows[s.flow.reverse()], 1
	}
	if f == nil {
		return
	}
	switch {
	case s.flags&flagSYN != 0:
		f.isn[1], f.before = s.seq, nil
	case f.before != nil:
		f = f.before
	}
	for _, o := range s.mptcp {
		c.option(f, d, &s, o)
	}
	if f.join {
		c.joinOrder(f, d, &s)
	}
	if f.conn != nil && len(s.payload) > 0 && s.flags&(flagSYN|flagRST) == 0 && !f.conn.plain {
		c.payload(f, d, f.dir[d].unwrap(s.seq-f.isn[d]), s.payload)
	}
}

// Finish judges what can be said only when the trace has ended.
func (c *Checker) Finish() {
	c.now = Finding{At: c.now.At}
	for _, m := range c.conns {
		// A connection with one subflow may have fallen back to plain TCP without a word.
		if m.plain || m.subflows < 2 {
			continue
		}
		for fl, f := range c.subflows {
			for d := range f.dir {
				if f.conn == m && f.dir[d].pendingBytes > 0 {
					c.report(RuleMap, "%v, direction %d: %d bytes have no mapping", fl, d, f.dir[d].pendingBytes)
				}
			}
		}
	}
}

// syn begins a subflow, or notes that the SYN came again.
func (c *Checker) syn(s *segment) {
	old := c.subflows[s.flow]
	if old != nil && old.isn[0] == s.seq {
		return
	}
	delete(c.subflows, s.flow)
	if old != nil && old.before != nil {
		old = old.before // what came between was never answered
	}
	if len(s.mptcp) == 0 || len(c.subflows) >= maxSubflows {
		return
	}
	f := &subflow{isn: [2]uint32{s.seq, 0}, before: old}
	for _, o := range s.mptcp {
		switch subtype(o) {
		case subCapable:
			c.length(o, 4)
			if len(o) >= 4 {
				f.askChecksum[0] = o[3]&0x80 != 0
			}
		case subJoin:
			if !c.length(o, 12) {
				return
			}
			f.join, f.nonce = true, append([]byte(nil), o[8:12]...)
			owner, known := c.tokens[binary.BigEndian.Uint32(o[4:])]
			if !known {
				c.report(RuleToken, "%v: MP_JOIN with the unknown token %x", s, o[4:8])
				return
			}
			// It is the token of the side that the SYN goes to.
			f.joined, f.side = owner, 1-owner.side
		default:
			c.report(RuleOption, "%v: subtype %d in a SYN", s, subtype(o))
		}
	}
	c.subflows[s.flow] = f
}

// newConn begins a connection when both keys are known.
func (c *Checker) newConn(f *subflow, client, server []byte) {
	if len(c.conns) >= maxConns {
		return
	}
	m := &conn{key: [2][8]byte{[8]byte(client), [8]byte(server)}, fin: [2]int64{-1, -1}, subflows: 1}
	m.checksum = f.askChecksum[0] || f.askChecksum[1]
	for side := range m.key {
		h := sha256.Sum256(m.key[side][:])
		m.idsn[side] = binary.BigEndian.Uint64(h[24:])
		c.tokens[binary.BigEndian.Uint32(h[:])] = tokenOwner{m, side}
	}
	f.conn = m
	c.conns = append(c.conns, m)
}

// joinOrder checks that data waits for the third and the fourth packet of a join.
func (c *Checker) joinOrder(f *subflow, d int, s *segment) {
	if s.flags&(flagSYN|flagRST) != 0 {
		return
	}
	switch {
	case len(s.payload) > 0 && f.conn == nil:
		c.report(RuleEarly, "%v: data on a join before its third packet", s)
	case len(s.payload) > 0 && d == 0 && !f.fourth:
		c.report(RuleEarly, "%v: data on a join before its fourth packet", s)
	}
	if d == 1 {
		f.fourth = true
	}
}
