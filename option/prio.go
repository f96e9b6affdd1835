package option

const prioSize = 3

// Prio is the MP_PRIO option (RFC 8684 section 3.3.8): it changes the priority
// of the subflow on which it travels.
type Prio struct {
	// Backup (B): please send here only when no other subflow works.
	Backup bool
}

// Subtype returns SubtypePrio.
func (Prio) Subtype() Subtype { return SubtypePrio }

// Size returns the encoded length, 3 bytes (8684-W-10).
func (Prio) Size() int { return prioSize }

// AppendTo appends the encoded option to b.
func (p Prio) AppendTo(b []byte) []byte {
	return appendHeader(b, prioSize, SubtypePrio, bit(p.Backup, backupBit))
}

func (Prio) sealed() {}

func validPrio(b []byte) bool { return len(b) == prioSize }

func decodePrio(b []byte) Prio { return Prio{Backup: b[2]&backupBit != 0} }
