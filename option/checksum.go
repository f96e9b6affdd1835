package option

import (
	"encoding/binary"
	"math/bits"
)

// Sum is a ones' complement 16-bit sum, as TCP's checksum uses it, over a run
// of bytes that starts at an even offset. Sums of the pieces of a run can be
// made in any order and at any time and be joined by Add, so that a payload is
// summed once, wherever its pieces later go. The zero Sum is that of no bytes.
type Sum uint16

// SumBytes returns the sum of b. A last odd byte counts as if a zero followed.
func SumBytes(b []byte) Sum {
	// The sum is made of little-endian words, which spares the byte swaps: ones'
	// complement addition gives the swapped result for swapped words (RFC 1071
	// section 2). The carry out of 64 bits comes back in at the low end, so that
	// the 64-bit sum, folded, is the 16-bit one.
	var acc, carry uint64
	for len(b) >= 32 {
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[8:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[16:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b[24:]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b), carry)
		b = b[8:]
	}
	var last [8]byte
	copy(last[:], b)
	acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(last[:]), carry)
	acc += carry // cannot overflow: the last word's top byte is zero
	return Sum(bits.ReverseBytes16(fold(acc)))
}

// Add returns the sum of s and of a piece whose sum is part and which begins
// offset bytes after the start of the run that s belongs to.
func (s Sum) Add(part Sum, offset int) Sum {
	if offset%2 != 0 {
		part = Sum(bits.ReverseBytes16(uint16(part)))
	}
	return Sum(fold(uint64(s) + uint64(part)))
}

// AddBytes returns the sum of s and of b, which begins offset bytes after the
// start of the run that s belongs to.
func (s Sum) AddBytes(b []byte, offset int) Sum { return s.Add(SumBytes(b), offset) }

// fold adds the four 16-bit words of v in ones' complement. Only 0 gives 0.
func fold(v uint64) uint16 {
	v = v>>32 + v&0xffffffff
	v = v>>32 + v&0xffffffff
	v = v>>16 + v&0xffff
	v = v>>16 + v&0xffff
	return uint16(v)
}

// DSSChecksum returns the checksum of a mapping (8684-W-19). dsn is the 64-bit
// data sequence number, also when the option carries 32 bits; ssn and dll are
// as they stand in the option. payload is the sum of the subflow bytes that the
// mapping covers: dll bytes, one less with a DATA_FIN. For the mapping of an
// MP_CAPABLE with data, dsn is the client's IDSN+1 and ssn is 1.
//
// The infinite mapping has no checksum; its field is 0 and is not checked.
func DSSChecksum(dsn uint64, ssn uint32, dll uint16, payload Sum) uint16 {
	return ^uint16(mappingSum(dsn, ssn, dll).Add(payload, 0))
}

// VerifyDSSChecksum reports whether a mapping's checksum field is right; the
// other arguments are those of DSSChecksum. As with TCP's, 0x0000 and 0xffff
// are the same.
func VerifyDSSChecksum(dsn uint64, ssn uint32, dll uint16, payload Sum, field uint16) bool {
	return mappingSum(dsn, ssn, dll).Add(payload, 0).Add(Sum(field), 0) == 0xffff
}

// mappingSum returns the sum of the pseudo-header: DSN, SSN, DLL and a zero
// word, which adds nothing.
func mappingSum(dsn uint64, ssn uint32, dll uint16) Sum {
	// dsn may use all 64 bits; halves keep the additions from overflowing.
	return Sum(fold(dsn>>32 + dsn&0xffffffff + uint64(ssn) + uint64(dll)))
}
