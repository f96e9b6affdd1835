package option

const (
	resetSize    = 4
	transientBit = 0x01 // T of MP_TCPRST
)

// ResetReason says why a subflow was reset (RFC 8684 section 3.6). Other values
// than those below may come from the wire.
type ResetReason uint8

// The reasons of RFC 8684 section 3.6 (8684-W-13).
const (
	// ReasonUnspecified is the default.
	ReasonUnspecified ResetReason = 0x00
	// ReasonMPTCP is an MPTCP-specific error, such as a bad HMAC.
	ReasonMPTCP ResetReason = 0x01
	// ReasonResources is a lack of resources.
	ReasonResources ResetReason = 0x02
	// ReasonProhibited means that policy refuses the subflow.
	ReasonProhibited ResetReason = 0x03
	// ReasonOutstanding is too much data that waits here although it was
	// acknowledged elsewhere.
	ReasonOutstanding ResetReason = 0x04
	// ReasonPerformance means that the subflow is far worse than the others.
	ReasonPerformance ResetReason = 0x05
	// ReasonMiddlebox is interference on the path: options vanished, a checksum failed.
	ReasonMiddlebox ResetReason = 0x06
)

// Reset is the MP_TCPRST option (RFC 8684 section 3.6): it says on a RST why the
// subflow ends.
type Reset struct {
	// Transient (T): the cause may go away, so that it is worth trying again later.
	Transient bool
	Reason    ResetReason
}

// Subtype returns SubtypeReset.
func (Reset) Subtype() Subtype { return SubtypeReset }

// Size returns the encoded length, 4 bytes (8684-W-13).
func (Reset) Size() int { return resetSize }

// AppendTo appends the encoded option to b.
func (r Reset) AppendTo(b []byte) []byte {
	b = appendHeader(b, resetSize, SubtypeReset, bit(r.Transient, transientBit))
	return append(b, byte(r.Reason))
}

func (Reset) sealed() {}

func validReset(b []byte) bool { return len(b) == resetSize }

func decodeReset(b []byte) Reset {
	return Reset{Transient: b[2]&transientBit != 0, Reason: ResetReason(b[3])}
}
