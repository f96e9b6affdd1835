package option

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-W-09
func TestRemoveAddrWire(t *testing.T) {
	r := NewRemoveAddr(3, 9)
	requireWire(t, "1e05400309", ackFlags, r)
	require.Equal(t, 2, r.Count())
	require.Equal(t, []AddrID{3, 9}, []AddrID{r.ID(0), r.ID(1)})
	require.Panics(t, func() { r.ID(2) })
	requireWire(t, "1e044000", ackFlags, NewRemoveAddr(0)) // 8684-Q-25: ID 0 is allowed
}

// 8684-W-09: as many IDs as the option area takes, and at least one.
func TestRemoveAddrLengths(t *testing.T) {
	var good []int
	for n := 4; n <= MaxOptions; n++ {
		good = append(good, n)
	}
	requireLengths(t, ackFlags, []byte{0x40}, good...)

	full := NewRemoveAddr(make([]AddrID, MaxRemoveIDs)...)
	require.Equal(t, MaxOptions, full.Size())
	require.Equal(t, full, one(full.AppendTo(nil), ackFlags))
	require.Panics(t, func() { NewRemoveAddr(make([]AddrID, MaxRemoveIDs+1)...) })
	require.Panics(t, func() { RemoveAddr{}.AppendTo(nil) })
}
