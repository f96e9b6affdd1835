package option

import "encoding/binary"

// Version is the protocol version that this package's wire formats belong to.
const Version = 1

// CapableForm says which packet of the handshake an MP_CAPABLE belongs to, and
// with that, which fields it has (8684-W-03).
type CapableForm uint8

// The forms of MP_CAPABLE. The zero CapableForm is invalid.
const (
	// CapableSyn rides on the SYN: 4 bytes, no key.
	CapableSyn CapableForm = 1 + iota
	// CapableSynAck rides on the SYN/ACK: 12 bytes, the server's key as SenderKey.
	CapableSynAck
	// CapableAck rides on the third packet without data: 20 bytes, both keys.
	CapableAck
	// CapableData rides on the client's first data: 22 bytes, both keys and Len.
	CapableData
	// CapableDataChecksum is CapableData with a checksum: 24 bytes.
	CapableDataChecksum
)

// capableSizes has the encoded length of each form.
var capableSizes = [...]int{CapableSyn: 4, CapableSynAck: 12, CapableAck: 20, CapableData: 22, CapableDataChecksum: 24}

// CapableFlags is the flags byte of MP_CAPABLE (8684-W-04).
type CapableFlags uint8

// The bits of CapableFlags, with the RFC's letters.
const (
	// ChecksumRequired (A): the sender asks for DSS checksums.
	ChecksumRequired CapableFlags = 0x80
	// Extensible (B): for later extensions; sent as 0. A receiver that sees it set
	// ignores the option (RFC 8684 section 3.1).
	Extensible CapableFlags = 0x40
	// DenyJoinInitial (C): no further subflow may be opened to the source address
	// and port of this packet.
	DenyJoinInitial CapableFlags = 0x20
	// HMACSHA256 (H): the only algorithm that is defined.
	HMACSHA256 CapableFlags = 0x01
	// AlgorithmMask covers the bits D to H, each of which proposes an algorithm.
	AlgorithmMask CapableFlags = 0x1f
)

// Has reports whether all bits of mask are set in f.
func (f CapableFlags) Has(mask CapableFlags) bool { return f&mask == mask }

// MPCapable is the MP_CAPABLE option (RFC 8684 section 3.1): the handshake of
// the initial subflow, and the mapping of the client's first data. Which fields
// count follows from Form; the others are zero when parsed and ignored when
// appended. The zero value is invalid.
type MPCapable struct {
	Form CapableForm
	// Version is the protocol version, 0 to 15.
	Version uint8
	Flags   CapableFlags
	// SenderKey is the key of the host that sends the option: all forms but CapableSyn.
	SenderKey Key
	// ReceiverKey is the echoed key of the other host: CapableAck and the data forms.
	ReceiverKey Key
	// DataLen is the Data-Level Length in bytes: the data forms. The mapping is
	// DSN = IDSN+1 of the client and SSN = 1 (8684-W-22).
	DataLen uint16
	// Checksum is the DSS checksum of that mapping: CapableDataChecksum.
	Checksum uint16
}

// Subtype returns SubtypeCapable.
func (MPCapable) Subtype() Subtype { return SubtypeCapable }

// Size returns the encoded length: 4, 12, 20, 22 or 24 bytes.
func (c MPCapable) Size() int { return capableSizes[c.Form] }

// HasData reports whether c has a mapping: DataLen counts.
func (c MPCapable) HasData() bool { return c.Form >= CapableData }

// AppendTo appends the encoded option to b. It panics if Form is invalid.
func (c MPCapable) AppendTo(b []byte) []byte {
	if c.Form < CapableSyn || c.Form > CapableDataChecksum {
		panic("option: MPCapable without a form")
	}
	b = appendHeader(b, c.Size(), SubtypeCapable, c.Version&0x0f)
	b = append(b, byte(c.Flags))
	if c.Form >= CapableSynAck {
		b = append(b, c.SenderKey[:]...)
	}
	if c.Form >= CapableAck {
		b = append(b, c.ReceiverKey[:]...)
	}
	if c.Form >= CapableData {
		b = binary.BigEndian.AppendUint16(b, c.DataLen)
	}
	if c.Form >= CapableDataChecksum {
		b = binary.BigEndian.AppendUint16(b, c.Checksum)
	}
	return b
}

func (MPCapable) sealed() {}

// capableFormOf returns the form that has the given encoded length; 0 if none has.
func capableFormOf(size int) CapableForm {
	for form := CapableSyn; form <= CapableDataChecksum; form++ {
		if capableSizes[form] == size {
			return form
		}
	}
	return 0
}

func validCapable(b []byte) bool { return capableFormOf(len(b)) != 0 }

// capableFits reports whether a valid MP_CAPABLE is in its place on a segment
// with the given flags (8684-W-03, 8684-Q-23).
func capableFits(b []byte, tcpFlags uint8) bool {
	switch capableFormOf(len(b)) {
	case CapableSyn:
		return isSyn(tcpFlags)
	case CapableSynAck:
		return isSynAck(tcpFlags)
	default:
		return isAck(tcpFlags)
	}
}

// decodeCapable decodes an option that validCapable accepts.
func decodeCapable(b []byte) MPCapable {
	c := MPCapable{Form: capableFormOf(len(b)), Version: b[2] & 0x0f, Flags: CapableFlags(b[3])}
	if c.Form >= CapableSynAck {
		c.SenderKey = Key(b[4:])
	}
	if c.Form >= CapableAck {
		c.ReceiverKey = Key(b[12:])
	}
	if c.Form >= CapableData {
		c.DataLen = binary.BigEndian.Uint16(b[20:])
	}
	if c.Form >= CapableDataChecksum {
		c.Checksum = binary.BigEndian.Uint16(b[22:])
	}
	return c
}
