// Package seq holds the two sequence number spaces of Multipath TCP as types
// of their own, so that a data sequence number can never be compared with, or
// added to, a subflow sequence number by accident.
//
// All arithmetic is modulo the width of the space (RFC 8684 section 3.3.1 for
// the 64-bit data level, RFC 9293 section 3.4 for the 32-bit TCP level).
// Comparisons hold for values less than half the space apart.
package seq

// DSN is a data sequence number: one byte of the connection's stream, 64 bits.
type DSN uint64

// Add returns d moved forward by n bytes (backward when n is negative).
func (d DSN) Add(n int) DSN { return d + DSN(int64(n)) }

// Less reports whether d comes before o.
func (d DSN) Less(o DSN) bool { return int64(d-o) < 0 }

// LessEq reports whether d comes before o or is o.
func (d DSN) LessEq(o DSN) bool { return int64(d-o) <= 0 }

// Sub returns the signed distance from o to d in bytes.
func (d DSN) Sub(o DSN) int64 { return int64(d - o) }

// Low returns the low 32 bits, as they travel in the 4-byte forms.
func (d DSN) Low() uint32 { return uint32(d) }

// Max returns the later of d and o.
func (d DSN) Max(o DSN) DSN {
	if d.Less(o) {
		return o
	}
	return d
}

// Min returns the earlier of d and o.
func (d DSN) Min(o DSN) DSN {
	if o.Less(d) {
		return o
	}
	return d
}

// Widen returns the 64-bit DSN whose low half is low and which lies nearest to
// ref (RFC 8684 section 3.3.1: the upper half steps when the lower one wraps,
// and an old, reordered value does not step it).
func Widen(low uint32, ref DSN) DSN {
	return ref.Add(int(int32(low - uint32(ref))))
}

// SSN is a TCP sequence number of one subflow, 32 bits. Whether it is absolute
// (as in the TCP header) or relative to the initial one (as in a DSS mapping)
// is said where it is used.
type SSN uint32

// Add returns s moved forward by n bytes (backward when n is negative).
func (s SSN) Add(n int) SSN { return s + SSN(int32(n)) }

// Less reports whether s comes before o.
func (s SSN) Less(o SSN) bool { return int32(s-o) < 0 }

// LessEq reports whether s comes before o or is o.
func (s SSN) LessEq(o SSN) bool { return int32(s-o) <= 0 }

// Sub returns the signed distance from o to s in bytes.
func (s SSN) Sub(o SSN) int { return int(int32(s - o)) }

// Max returns the later of s and o.
func (s SSN) Max(o SSN) SSN {
	if s.Less(o) {
		return o
	}
	return s
}
