package option

const fastCloseSize = 12

// FastClose is the MP_FASTCLOSE option (RFC 8684 section 3.5): it aborts the
// whole connection, as a RST does with a TCP connection.
type FastClose struct {
	// ReceiverKey is the key of the host that gets this option; with a wrong one the
	// option is ignored (8684-Q-21).
	ReceiverKey Key
}

// Subtype returns SubtypeFastClose.
func (FastClose) Subtype() Subtype { return SubtypeFastClose }

// Size returns the encoded length, 12 bytes (8684-W-12).
func (FastClose) Size() int { return fastCloseSize }

// AppendTo appends the encoded option to b.
func (f FastClose) AppendTo(b []byte) []byte {
	b = appendHeader(b, fastCloseSize, SubtypeFastClose, 0)
	b = append(b, 0)
	return append(b, f.ReceiverKey[:]...)
}

func (FastClose) sealed() {}

func validFastClose(b []byte) bool { return len(b) == fastCloseSize }

func decodeFastClose(b []byte) FastClose { return FastClose{ReceiverKey: Key(b[4:])} }
