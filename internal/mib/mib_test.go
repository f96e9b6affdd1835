package mib

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each counter has a name of its own, and counts for itself.
func TestNames(t *testing.T) {
	var s Set
	for c := range count {
		require.NotEmpty(t, c.String(), "counter %d", c)
		s.AddN(c, int(c)+1)
	}
	m := s.Snapshot()
	require.Len(t, m, int(count), "two counters have one name")
	for c := range count {
		require.EqualValues(t, c+1, m[c.String()])
	}
	(*Set)(nil).Add(MPRstTx)
}
