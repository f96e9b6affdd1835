package option

// MaxRemoveIDs is the number of Address IDs that fit into one REMOVE_ADDR when
// it has the 40 bytes of TCP options to itself.
const MaxRemoveIDs = MaxOptions - 3

// RemoveAddr is the REMOVE_ADDR option (RFC 8684 section 3.4.2): addresses that
// the sender no longer has. Make one with [NewRemoveAddr]; the zero value has no
// IDs and cannot be appended.
type RemoveAddr struct {
	n   uint8
	ids [MaxRemoveIDs]AddrID // zero from n on, so that equal options are ==
}

// NewRemoveAddr returns the option that withdraws ids, 1 to MaxRemoveIDs of
// them. It panics if there are more.
func NewRemoveAddr(ids ...AddrID) RemoveAddr {
	if len(ids) > MaxRemoveIDs {
		panic("option: too many IDs for one RemoveAddr")
	}
	r := RemoveAddr{n: uint8(len(ids))}
	copy(r.ids[:], ids)
	return r
}

// Count returns the number of IDs.
func (r RemoveAddr) Count() int { return int(r.n) }

// ID returns the i-th ID; 0 <= i < Count.
func (r RemoveAddr) ID(i int) AddrID { return r.ids[:r.n][i] }

// Subtype returns SubtypeRemoveAddr.
func (RemoveAddr) Subtype() Subtype { return SubtypeRemoveAddr }

// Size returns the encoded length: 3 bytes and one for each ID (8684-W-09).
func (r RemoveAddr) Size() int { return 3 + int(r.n) }

// AppendTo appends the encoded option to b. It panics if there are no IDs.
func (r RemoveAddr) AppendTo(b []byte) []byte {
	if r.n == 0 {
		panic("option: RemoveAddr without IDs")
	}
	b = appendHeader(b, r.Size(), SubtypeRemoveAddr, 0)
	for _, id := range r.ids[:r.n] {
		b = append(b, byte(id))
	}
	return b
}

func (RemoveAddr) sealed() {}

func validRemoveAddr(b []byte) bool { return len(b) > 3 }

func decodeRemoveAddr(b []byte) RemoveAddr {
	r := RemoveAddr{n: uint8(len(b) - 3)}
	for i, id := range b[3:] {
		r.ids[i] = AddrID(id)
	}
	return r
}
