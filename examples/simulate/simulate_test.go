package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table is whole, the same every time, and the policies do what they are for.
func TestCompare(t *testing.T) {
	var once, again bytes.Buffer
	require.NoError(t, compare(&once, 500_000, 7))
	require.NoError(t, compare(&again, 500_000, 7))
	require.Equal(t, once.String(), again.String())
	require.Len(t, strings.Split(strings.TrimSpace(once.String()), "\n"), 1+len(networks)*len(contenders))
	require.Contains(t, once.String(), "soonest      frugal")
}

func TestMine(t *testing.T) {
	alike := networks[0]
	r, err := simulate(alike, contender{newSoonest, newFrugal}, 500_000, 1)
	require.NoError(t, err)
	require.Zero(t, r.second, "over before a second has passed")
	both, err := simulate(alike, contender{newSoonest, newFrugal}, 5_000_000, 1)
	require.NoError(t, err)
	require.Greater(t, both.second, 0.2)
}
