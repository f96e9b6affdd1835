package subflow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLossMeter(t *testing.T) {
	now := time.Unix(1000, 0)
	var m lossMeter
	require.Zero(t, m.ratio(now))
	m.count(now, 3, 0)
	m.count(now, 0, 1)
	require.InDelta(t, 1.0/16, m.ratio(now), 1e-9, "the third: that says little")
	m.count(now, 97, 1)
	require.InDelta(t, 0.02, m.ratio(now), 1e-9)
	m.count(now, 0, -1)
	require.InDelta(t, 0.01, m.ratio(now), 1e-9, "one had arrived")

	// A minute later there were a hundred losses among a thousand; of the older ones little is left.
	now = now.Add(time.Minute)
	m.count(now, 1000, 100)
	require.InDelta(t, 0.1, m.ratio(now), 1e-3)
	// Idle, the ratio stays for a while, then fades, and is forgotten.
	require.InDelta(t, 0.1, m.ratio(now.Add(30*time.Second)), 1e-3)
	require.InDelta(t, 100.0/64/16, m.ratio(now.Add(time.Minute)), 1e-3)
	require.Zero(t, m.ratio(now.Add(2*time.Minute)))

	none := lossMeter{}
	none.count(now, 16, -3)
	none.count(now, 0, 1)
	require.InDelta(t, 1.0/16, none.ratio(now), 1e-9, "what has arrived is no credit")

	all := lossMeter{}
	all.count(now, 16, 30)
	require.Equal(t, 1.0, all.ratio(now))
}
