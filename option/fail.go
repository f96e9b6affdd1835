package option

import (
	"encoding/binary"

	"github.com/gomptcp/gomptcp/internal/seq"
)

const failSize = 12

// Fail is the MP_FAIL option (RFC 8684 section 3.7): the checksum of a mapping
// failed, and the sender of this option goes back to DSN.
type Fail struct {
	// DSN is the first data sequence number of the mapping that failed. It always
	// travels with 64 bits.
	DSN seq.DSN
}

// Subtype returns SubtypeFail.
func (Fail) Subtype() Subtype { return SubtypeFail }

// Size returns the encoded length, 12 bytes (8684-W-11).
func (Fail) Size() int { return failSize }

// AppendTo appends the encoded option to b.
func (f Fail) AppendTo(b []byte) []byte {
	b = appendHeader(b, failSize, SubtypeFail, 0)
	b = append(b, 0)
	return binary.BigEndian.AppendUint64(b, uint64(f.DSN))
}

func (Fail) sealed() {}

func validFail(b []byte) bool { return len(b) == failSize }

func decodeFail(b []byte) Fail { return Fail{DSN: seq.DSN(binary.BigEndian.Uint64(b[4:]))} }
