package mptcp

import (
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is sent on suspicion is never more than a burst and a share of what is acknowledged, however
// the two alternate, and what is not used is not saved up beyond a burst.
func TestRedundancyIsBounded(t *testing.T) {
	for seed := range int64(50) {
		r, rnd := redundancy{}, rand.New(rand.NewSource(seed))
		spent, acked, window := 0, 0, 0
		for range 5000 {
			if rnd.Intn(2) == 0 {
				n := rnd.Intn(10_000)
				window = max(window, rnd.Intn(1<<(17+seed%4))) // 256 KiB is a burst
				acked += n
				r.earn(n, window)
				continue
			}
			if n := min(rnd.Intn(100_000), r.left()); n > 0 {
				spent += n
				r.spend(n)
			}
		}
		require.LessOrEqual(t, spent, max(redundantBurst, window)+acked/redundantShare)
		require.Greater(t, spent, acked/redundantShare/2, "it may be used")
		r.earn(1<<30, 0)
		require.Equal(t, max(redundantBurst, window), r.left())
	}
}
