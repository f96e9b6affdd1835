package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeter(t *testing.T) {
	begin := time.Unix(1000, 0)
	m := &meter{begin: begin}
	for _, at := range []time.Duration{
		30 * time.Millisecond, 31 * time.Millisecond, 99 * time.Millisecond, // a pause of 68 ms from 1 ms on
		100 * time.Millisecond, 104 * time.Millisecond, // 4 ms are no pause
		450 * time.Millisecond, // 346 ms, 74 ms on
	} {
		m.add(1000, begin.Add(at))
	}
	var rep report
	m.report(&rep)
	require.Equal(t, report{
		Bytes: 6000, Ms: 450, FirstMs: 30,
		Bins: []int64{3000, 2000, 0, 0, 1000},
		Gaps: []gap{{AtMs: 74, Ms: 346}, {AtMs: 1, Ms: 68}},
	}, rep)
}

// However many pauses there are, the longest five are known, and no more kept than that takes.
func TestMeterKeepsTheLongestPauses(t *testing.T) {
	now := time.Unix(1000, 0)
	m := &meter{begin: now}
	for i := range 20_000 {
		pause := 10 * time.Millisecond
		if i%5_000 == 2_500 {
			pause = time.Duration(i) * time.Millisecond
		}
		now = now.Add(pause)
		m.add(1, now)
		require.LessOrEqual(t, len(m.gaps), 1000*keptGaps)
	}
	var rep report
	m.report(&rep)
	var lengths []float64
	for _, g := range rep.Gaps {
		lengths = append(lengths, g.Ms)
	}
	require.Equal(t, []float64{17_500, 12_500, 7_500, 2_500, 10}, lengths)
}

func TestMeterOfNothing(t *testing.T) {
	var rep report
	new(meter).report(&rep)
	require.Equal(t, report{}, rep)
}

func TestQuantiles(t *testing.T) {
	var values []float64
	for i := range 1000 {
		values = append(values, float64((i*7)%1000)) // 0 to 999, mixed
	}
	first := values[1]
	require.Equal(t, &quantiles{Min: 0, P10: 100, P50: 500, P90: 900, P99: 990, Max: 999, Mean: 499.5}, rounded(newQuantiles(values)))
	require.Equal(t, first, values[1], "the values keep their order")
	require.Equal(t, &quantiles{3, 3, 3, 3, 3, 3, 3}, newQuantiles([]float64{3}))
	require.Nil(t, newQuantiles(nil))
}

// rounded rounds the mean, which is a sum of fractions.
func rounded(q *quantiles) *quantiles {
	q.Mean = float64(int(q.Mean*1e6+0.5)) / 1e6
	return q
}
