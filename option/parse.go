package option

// MaxOptions is the size of the TCP option area, in bytes: what the header's
// 4-bit data offset leaves.
const MaxOptions = 40

// The flags of the TCP header that decide which options are in place, as they
// stand in its 14th byte (RFC 9293 section 3.1).
const (
	FlagSYN = 0x02
	FlagRST = 0x04
	FlagACK = 0x10
)

// Parse reads the option area of a TCP header that has tcpFlags. It takes what
// it can and never fails (8684-Q-22, 8684-Q-23):
//
//   - reserved bits are ignored;
//   - an MPTCP option of a wrong length or an unknown subtype, or on a segment
//     where it has no place, is as if absent, and counted;
//   - of several of one subtype the first good one counts;
//   - what comes after an option that runs out of the area is not read, nor is
//     anything beyond the first 40 bytes.
//
// MP_CAPABLE and MP_JOIN have their places in a handshake by their form; no
// other MPTCP option belongs on a SYN, and MP_TCPRST only on a RST.
func Parse(area []byte, tcpFlags uint8) Set {
	var s Set
	n := copy(s.area[:], area)
	for i := 0; i < n; {
		kind := s.area[i]
		if kind == kindEnd {
			break
		}
		if kind == kindNOP {
			i++
			continue
		}
		if i+1 >= n {
			s.Malformed++
			break
		}
		size := int(s.area[i+1])
		if size < 2 || i+size > n {
			s.Malformed++
			break
		}
		if kind == Kind {
			s.addMPTCP(i, size, tcpFlags)
		} else {
			s.addStandard(kind, i, size, tcpFlags)
		}
		i += size
	}
	return s
}

// addMPTCP notes the MPTCP option of the given size at area[i:].
func (s *Set) addMPTCP(i, size int, tcpFlags uint8) {
	b := s.area[i : i+size]
	if size < 3 {
		s.Malformed++
		return
	}
	subtype := Subtype(b[2] >> 4)
	switch {
	case subtype >= knownSubtypes:
		s.Unknown++
	case !valid(subtype, b):
		s.Malformed++
	case !fits(subtype, b, tcpFlags):
		s.Misplaced++
	case s.mptcp[subtype].present():
		s.Duplicates++
	default:
		s.mptcp[subtype] = placeOf(i)
	}
}

// addStandard notes the option of another kind and the given size at area[i:],
// if it is one of those that Set offers and the first of its kind. Those of the
// handshake count only on a SYN (RFC 9293 section 3.7.1, RFC 7323 section 2.2).
func (s *Set) addStandard(kind byte, i, size int, tcpFlags uint8) {
	syn := tcpFlags&FlagSYN != 0
	var ok bool
	switch kind {
	case kindMSS:
		ok = syn && size == mssSize
	case kindWindowScale:
		ok = syn && size == windowScaleSize
	case kindSACKPermitted:
		ok = syn && size == sackPermittedSize
	case kindSACK:
		ok = size > 2 && (size-2)%sackBlockSize == 0
	case kindTimestamps:
		ok = size == timestampsSize
	}
	if ok && !s.standard[kind].present() {
		s.standard[kind] = placeOf(i)
	}
}

// valid reports whether b, which has at least 3 bytes, has a length that the
// subtype allows.
func valid(subtype Subtype, b []byte) bool {
	switch subtype {
	case SubtypeCapable:
		return validCapable(b)
	case SubtypeJoin:
		return validJoin(b)
	case SubtypeDSS:
		return validDSS(b)
	case SubtypeAddAddr:
		return validAddAddr(b)
	case SubtypeRemoveAddr:
		return validRemoveAddr(b)
	case SubtypePrio:
		return validPrio(b)
	case SubtypeFail:
		return validFail(b)
	case SubtypeFastClose:
		return validFastClose(b)
	case SubtypeReset:
		return validReset(b)
	}
	return false
}

// fits reports whether the valid option b is in place on a segment with tcpFlags.
func fits(subtype Subtype, b []byte, tcpFlags uint8) bool {
	switch subtype {
	case SubtypeCapable:
		return capableFits(b, tcpFlags)
	case SubtypeJoin:
		return joinFits(b, tcpFlags)
	case SubtypeReset:
		return tcpFlags&(FlagSYN|FlagRST) == FlagRST
	default:
		return tcpFlags&FlagSYN == 0
	}
}

const handshakeFlags = FlagSYN | FlagRST | FlagACK

func isSyn(tcpFlags uint8) bool    { return tcpFlags&handshakeFlags == FlagSYN }
func isSynAck(tcpFlags uint8) bool { return tcpFlags&handshakeFlags == FlagSYN|FlagACK }
func isAck(tcpFlags uint8) bool    { return tcpFlags&handshakeFlags == FlagACK }
