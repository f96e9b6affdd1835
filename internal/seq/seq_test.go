package seq

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-3.3.1-15: a 32-bit value is widened to the nearest number; an old one does not step the
// upper half.
func TestWiden(t *testing.T) {
	for _, tc := range []struct {
		low       uint32
		ref, want DSN
	}{
		{5, 0x1_0000_0000, 0x1_0000_0005},
		{0xffff_fff0, 0x1_0000_0000, 0x0_ffff_fff0},
		{0, 0x9e10c70c_ffff_ffff, 0x9e10c70d_0000_0000}, // T-K7
		{0xffff_ffff, 0x9e10c70d_0000_0001, 0x9e10c70c_ffff_ffff},
		{3, 0xffff_ffff_ffff_fffe, 3},
		{0xffff_fffe, 1, 0xffff_ffff_ffff_fffe},
	} {
		require.Equal(t, tc.want, Widen(tc.low, tc.ref), "%x near %x", tc.low, tc.ref)
		require.Equal(t, tc.low, tc.want.Low())
	}
}

func TestOrderAcrossTheWrap(t *testing.T) {
	d := DSN(0).Add(-1)
	require.True(t, d.Less(3))
	require.False(t, DSN(3).LessEq(d))
	require.Equal(t, int64(4), DSN(3).Sub(d))
	require.Equal(t, DSN(3), d.Max(3))
	require.Equal(t, d, d.Min(3))
	s := SSN(0).Add(-1)
	require.True(t, s.Less(3))
	require.False(t, SSN(3).LessEq(s))
	require.Equal(t, 4, SSN(3).Sub(s))
	require.Equal(t, SSN(3), s.Max(3))
	require.Equal(t, SSN(3), SSN(3).Max(s))
}
