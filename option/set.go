package option

import (
	"encoding/binary"
	"iter"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// Set is what [Parse] found in the option area of one segment. It is a value
// that refers to nothing outside itself, so the segment may be reused at once.
// The zero Set is empty.
type Set struct {
	area     [MaxOptions]byte
	mptcp    [knownSubtypes]place
	standard [kindTimestamps + 1]place // by kind

	// Malformed counts options of an impossible length; Misplaced MPTCP options on
	// a segment where they have no place; Duplicates those after the first of their
	// subtype; Unknown those of an unassigned subtype. All of them are as if absent.
	Malformed, Misplaced, Duplicates, Unknown uint8
}

// place is where an option stands in the area: one more than the index of its
// first byte, so that zero means absent.
type place uint8

func placeOf(i int) place { return place(i + 1) }

func (p place) present() bool { return p != 0 }

// bytes returns the option at p, from its kind on; nil if absent.
func (s *Set) bytes(p place) []byte {
	if !p.present() {
		return nil
	}
	b := s.area[p-1:]
	return b[:b[1]]
}

// Has reports whether there is a good option of the given subtype.
func (s *Set) Has(t Subtype) bool { return t < knownSubtypes && s.mptcp[t].present() }

// HasMPTCP reports whether there is any good MPTCP option.
func (s *Set) HasMPTCP() bool { return s.mptcp != [knownSubtypes]place{} }

// Capable returns the MP_CAPABLE. Its form fits the segment's flags; version,
// flags and keys are not judged.
func (s *Set) Capable() (MPCapable, bool) {
	if b := s.bytes(s.mptcp[SubtypeCapable]); b != nil {
		return decodeCapable(b), true
	}
	return MPCapable{}, false
}

// JoinSyn returns the MP_JOIN of a SYN.
func (s *Set) JoinSyn() (JoinSyn, bool) {
	if b := s.bytes(s.mptcp[SubtypeJoin]); len(b) == joinSynSize {
		return decodeJoinSyn(b), true
	}
	return JoinSyn{}, false
}

// JoinSynAck returns the MP_JOIN of a SYN/ACK.
func (s *Set) JoinSynAck() (JoinSynAck, bool) {
	if b := s.bytes(s.mptcp[SubtypeJoin]); len(b) == joinSynAckSize {
		return decodeJoinSynAck(b), true
	}
	return JoinSynAck{}, false
}

// JoinAck returns the MP_JOIN of a third packet.
func (s *Set) JoinAck() (JoinAck, bool) {
	if b := s.bytes(s.mptcp[SubtypeJoin]); len(b) == joinAckSize {
		return decodeJoinAck(b), true
	}
	return JoinAck{}, false
}

// DSS returns the DSS. It may say nothing: neither HasAck nor HasMap.
func (s *Set) DSS() (DSS, bool) {
	if b := s.bytes(s.mptcp[SubtypeDSS]); b != nil {
		return decodeDSS(b), true
	}
	return DSS{}, false
}

// AddAddr returns the ADD_ADDR or its echo. The HMAC is not checked.
func (s *Set) AddAddr() (AddAddr, bool) {
	if b := s.bytes(s.mptcp[SubtypeAddAddr]); b != nil {
		return decodeAddAddr(b), true
	}
	return AddAddr{}, false
}

// RemoveAddr returns the REMOVE_ADDR; it has at least one ID.
func (s *Set) RemoveAddr() (RemoveAddr, bool) {
	if b := s.bytes(s.mptcp[SubtypeRemoveAddr]); b != nil {
		return decodeRemoveAddr(b), true
	}
	return RemoveAddr{}, false
}

// Prio returns the MP_PRIO.
func (s *Set) Prio() (Prio, bool) {
	if b := s.bytes(s.mptcp[SubtypePrio]); b != nil {
		return decodePrio(b), true
	}
	return Prio{}, false
}

// Fail returns the MP_FAIL.
func (s *Set) Fail() (Fail, bool) {
	if b := s.bytes(s.mptcp[SubtypeFail]); b != nil {
		return decodeFail(b), true
	}
	return Fail{}, false
}

// FastClose returns the MP_FASTCLOSE. The key is not checked.
func (s *Set) FastClose() (FastClose, bool) {
	if b := s.bytes(s.mptcp[SubtypeFastClose]); b != nil {
		return decodeFastClose(b), true
	}
	return FastClose{}, false
}

// Reset returns the MP_TCPRST.
func (s *Set) Reset() (Reset, bool) {
	if b := s.bytes(s.mptcp[SubtypeReset]); b != nil {
		return decodeReset(b), true
	}
	return Reset{}, false
}

// All yields the MPTCP options in the order of their subtypes. It allocates; it
// is for traces and tests.
func (s *Set) All() iter.Seq[Option] {
	return func(yield func(Option) bool) {
		for t, p := range s.mptcp {
			b := s.bytes(p)
			if b != nil && !yield(decode(Subtype(t), b)) {
				return
			}
		}
	}
}

// decode decodes an option that valid accepts.
func decode(subtype Subtype, b []byte) Option {
	switch subtype {
	case SubtypeCapable:
		return decodeCapable(b)
	case SubtypeJoin:
		return decodeJoin(b)
	case SubtypeDSS:
		return decodeDSS(b)
	case SubtypeAddAddr:
		return decodeAddAddr(b)
	case SubtypeRemoveAddr:
		return decodeRemoveAddr(b)
	case SubtypePrio:
		return decodePrio(b)
	case SubtypeFail:
		return decodeFail(b)
	case SubtypeFastClose:
		return decodeFastClose(b)
	default:
		return decodeReset(b)
	}
}

// Timestamps returns the Timestamps option (RFC 7323).
func (s *Set) Timestamps() (Timestamps, bool) {
	b := s.bytes(s.standard[kindTimestamps])
	if b == nil {
		return Timestamps{}, false
	}
	return Timestamps{Val: binary.BigEndian.Uint32(b[2:]), Ecr: binary.BigEndian.Uint32(b[6:])}, true
}

// SACK returns the blocks of the SACK option and their number, 0 to
// MaxSACKBlocks. Whether they make sense is not judged.
func (s *Set) SACK() (blocks [MaxSACKBlocks]SACKBlock, n int) {
	b := s.bytes(s.standard[kindSACK])
	if b == nil {
		return blocks, 0
	}
	for b = b[2:]; len(b) > 0 && n < MaxSACKBlocks; b = b[sackBlockSize:] {
		blocks[n] = SACKBlock{
			Left:  seq.SSN(binary.BigEndian.Uint32(b)),
			Right: seq.SSN(binary.BigEndian.Uint32(b[4:])),
		}
		n++
	}
	return blocks, n
}

// MSS returns the Maximum Segment Size of a SYN, in bytes (0 to 65535 as sent).
func (s *Set) MSS() (uint16, bool) {
	if b := s.bytes(s.standard[kindMSS]); b != nil {
		return binary.BigEndian.Uint16(b[2:]), true
	}
	return 0, false
}

// WindowScale returns the window shift of a SYN, at most MaxWindowScale: a
// larger one counts as that (RFC 7323 section 2.3).
func (s *Set) WindowScale() (uint8, bool) {
	if b := s.bytes(s.standard[kindWindowScale]); b != nil {
		return min(b[2], MaxWindowScale), true
	}
	return 0, false
}

// SACKPermitted reports whether a SYN allows SACK.
func (s *Set) SACKPermitted() bool { return s.standard[kindSACKPermitted].present() }
