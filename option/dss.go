package option

import (
	"encoding/binary"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// The flags of DSS, byte 3 (8684-W-06), under the RFC's letters.
const (
	dssAck     = 0x01 // A
	dssAck64   = 0x02 // a
	dssMap     = 0x04 // M
	dssDSN64   = 0x08 // m
	dssDataFin = 0x10 // F
)

const dssChecksumSize = 2

// MaxDSS is the encoded length of the longest DSS, in bytes.
const MaxDSS = 28

// DSS is the Data Sequence Signal option (RFC 8684 section 3.3): a DATA_ACK, a
// data sequence mapping, or both. The fields of a part that is absent are zero
// when parsed and ignored when appended. The zero value says nothing and is
// valid.
type DSS struct {
	// HasAck (A): Ack counts.
	HasAck bool
	// Ack64 (a): Ack has 8 bytes on the wire, else 4.
	Ack64 bool
	// Ack is the DATA_ACK, the next data sequence number expected. For the 4-byte
	// form only the low 32 bits travel; a parsed Ack has the others zero. See WideAck.
	Ack uint64

	// HasMap (M): the fields below count.
	HasMap bool
	// DSN64 (m): DSN has 8 bytes on the wire, else 4.
	DSN64 bool
	// DataFin (F): the mapping ends with a DATA_FIN, which Len counts as one byte.
	DataFin bool
	// HasChecksum: Checksum is there.
	HasChecksum bool
	// DSN is the first data sequence number of the mapping; for the 4-byte form as
	// Ack. See WideDSN.
	DSN uint64
	// SSN is the subflow sequence number of the first byte, relative to the initial
	// one: the first payload byte has 1; 0 for a DATA_FIN without data (8684-W-24).
	SSN uint32
	// Len is the Data-Level Length in bytes; 0 is the infinite mapping (8684-W-25).
	Len uint16
	// Checksum is the DSS checksum; see DSSChecksum.
	Checksum uint16
}

// WideAck returns the DATA_ACK as a 64-bit number: as it stands if it travelled
// with 8 bytes, else widened to the nearest one to ref (8684-3.3.1-15).
func (d DSS) WideAck(ref seq.DSN) seq.DSN { return widen(d.Ack, d.Ack64, ref) }

// WideDSN returns the mapping's DSN as a 64-bit number, as WideAck does.
func (d DSS) WideDSN(ref seq.DSN) seq.DSN { return widen(d.DSN, d.DSN64, ref) }

func widen(v uint64, is64 bool, ref seq.DSN) seq.DSN {
	if is64 {
		return seq.DSN(v)
	}
	return seq.Widen(uint32(v), ref)
}

// Infinite reports whether d has the infinite mapping, with which a connection
// falls back to plain TCP (8684-W-25).
func (d DSS) Infinite() bool { return d.HasMap && d.Len == 0 }

// Subtype returns SubtypeDSS.
func (DSS) Subtype() Subtype { return SubtypeDSS }

// Size returns the encoded length: 4 to 28 bytes (8684-W-07).
func (d DSS) Size() int {
	n := dssSize(d.flags())
	if d.HasMap && d.HasChecksum {
		n += dssChecksumSize
	}
	return n
}

// AppendTo appends the encoded option to b.
func (d DSS) AppendTo(b []byte) []byte {
	flags := d.flags()
	b = appendHeader(b, d.Size(), SubtypeDSS, 0)
	b = append(b, flags)
	if d.HasAck {
		b = appendNumber(b, d.Ack, d.Ack64)
	}
	if !d.HasMap {
		return b
	}
	b = appendNumber(b, d.DSN, d.DSN64)
	b = binary.BigEndian.AppendUint32(b, d.SSN)
	b = binary.BigEndian.AppendUint16(b, d.Len)
	if d.HasChecksum {
		b = binary.BigEndian.AppendUint16(b, d.Checksum)
	}
	return b
}

func (DSS) sealed() {}

// flags returns the option's fourth byte. What qualifies an absent part stays
// unset, as a receiver would ignore it (8684-W-07, 8684-Q-20).
func (d DSS) flags() byte {
	var flags byte
	if d.HasAck {
		flags |= dssAck | bit(d.Ack64, dssAck64)
	}
	if d.HasMap {
		flags |= dssMap | bit(d.DSN64, dssDSN64) | bit(d.DataFin, dssDataFin)
	}
	return flags
}

// dssSize returns the encoded length that the flags explain, without the checksum.
func dssSize(flags byte) int {
	n := 4
	if flags&dssAck != 0 {
		n += numberSize(flags&dssAck64 != 0)
	}
	if flags&dssMap != 0 {
		n += numberSize(flags&dssDSN64 != 0) + 4 + 2
	}
	return n
}

func numberSize(is64 bool) int {
	if is64 {
		return 8
	}
	return 4
}

func appendNumber(b []byte, v uint64, is64 bool) []byte {
	if is64 {
		return binary.BigEndian.AppendUint64(b, v)
	}
	return binary.BigEndian.AppendUint32(b, uint32(v))
}

// cutNumber returns the number that b begins with, and the rest of b.
func cutNumber(b []byte, is64 bool) (uint64, []byte) {
	if is64 {
		return binary.BigEndian.Uint64(b), b[8:]
	}
	return uint64(binary.BigEndian.Uint32(b)), b[4:]
}

// validDSS: the length is what the flags explain, or 2 more for the checksum
// of a mapping (8684-W-07).
func validDSS(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	size := dssSize(b[3])
	return len(b) == size || b[3]&dssMap != 0 && len(b) == size+dssChecksumSize
}

// decodeDSS decodes an option that validDSS accepts.
func decodeDSS(b []byte) DSS {
	var d DSS
	flags, rest := b[3], b[4:]
	if flags&dssAck != 0 {
		d.HasAck, d.Ack64 = true, flags&dssAck64 != 0
		d.Ack, rest = cutNumber(rest, d.Ack64)
	}
	if flags&dssMap == 0 {
		return d
	}
	d.HasMap, d.DSN64, d.DataFin = true, flags&dssDSN64 != 0, flags&dssDataFin != 0
	d.DSN, rest = cutNumber(rest, d.DSN64)
	d.SSN = binary.BigEndian.Uint32(rest)
	d.Len = binary.BigEndian.Uint16(rest[4:])
	if rest = rest[6:]; len(rest) > 0 {
		d.HasChecksum, d.Checksum = true, binary.BigEndian.Uint16(rest)
	}
	return d
}
