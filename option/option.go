package option

import "strconv"

// Kind is the TCP option kind of Multipath TCP (RFC 8684 section 3).
const Kind = 30

// Subtype tells the MPTCP options apart; it is the high nibble of the option's
// third byte (RFC 8684 section 8.1).
type Subtype uint8

// The subtypes of RFC 8684. 0x9 to 0xe are unassigned and 0xf is for private
// use; [Parse] ignores both.
const (
	SubtypeCapable    Subtype = 0x0
	SubtypeJoin       Subtype = 0x1
	SubtypeDSS        Subtype = 0x2
	SubtypeAddAddr    Subtype = 0x3
	SubtypeRemoveAddr Subtype = 0x4
	SubtypePrio       Subtype = 0x5
	SubtypeFail       Subtype = 0x6
	SubtypeFastClose  Subtype = 0x7
	SubtypeReset      Subtype = 0x8

	knownSubtypes = 9
)

var subtypeNames = [knownSubtypes]string{
	"MP_CAPABLE", "MP_JOIN", "DSS", "ADD_ADDR", "REMOVE_ADDR", "MP_PRIO", "MP_FAIL", "MP_FASTCLOSE", "MP_TCPRST",
}

// String returns the RFC's name of the subtype, such as "MP_CAPABLE".
func (s Subtype) String() string {
	if s < knownSubtypes {
		return subtypeNames[s]
	}
	return "subtype " + strconv.Itoa(int(s))
}

// Option is one MPTCP option. The set of types that implement it is closed;
// it is meant for type switches in traces and tests. On the hot path use the
// concrete types, since turning one into an Option allocates.
type Option interface {
	// Subtype returns the option's subtype.
	Subtype() Subtype
	// Size returns the number of bytes that AppendTo appends: 3 to 40.
	Size() int
	// AppendTo appends the encoded option, without padding, to b.
	AppendTo(b []byte) []byte
	// String returns the option in readable form, on one line.
	String() string

	sealed()
}

// appendHeader appends the three bytes that every MPTCP option begins with:
// kind, length, and subtype with the low nibble (8684-W-01).
func appendHeader(b []byte, length int, s Subtype, nibble byte) []byte {
	return append(b, Kind, byte(length), byte(s)<<4|nibble)
}

// bit returns mask if set is true and 0 otherwise.
func bit(set bool, mask byte) byte {
	if set {
		return mask
	}
	return 0
}
