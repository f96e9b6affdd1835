package mptcp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// 8684-3.9.3-01: the time doubles, ends at a week, and a success wipes the slate clean.
func TestBlackholeTimeDoubles(t *testing.T) {
	b := blackholes{timeout: time.Hour}
	p := path{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
	now := time.Unix(0, 0)
	require.False(t, b.active(p, now))
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 168, 168} {
		b.found(p, now)
		now = now.Add(want*time.Hour - 1)
		require.True(t, b.active(p, now), want)
		now = now.Add(1)
		require.False(t, b.active(p, now), want)
	}
	b.works(p)
	b.found(p, now)
	require.False(t, b.active(p, now.Add(time.Hour)))
	require.False(t, b.active(path{p.remote, p.local}, now), "another path")
}

// A host that dials many addresses remembers those it used last.
func TestBlackholesAreBounded(t *testing.T) {
	b := blackholes{timeout: time.Hour}
	at := func(i int) path {
		return path{remote: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
	}
	now := time.Unix(0, 0)
	for i := range 3 * maxBlackholes {
		b.found(at(i), now)
		require.True(t, b.active(at(0), now), "used again and again")
	}
	require.Len(t, b.paths, maxBlackholes)
	require.Equal(t, maxBlackholes, b.recent.Len())
	require.False(t, b.active(at(1), now))
	require.True(t, b.active(at(3*maxBlackholes-1), now))
}

// Turned off, nothing is remembered.
func TestBlackholeTurnedOff(t *testing.T) {
	var b blackholes
	b.found(path{}, time.Unix(0, 0))
	require.False(t, b.active(path{}, time.Unix(0, 0)))
}
