package main

import "slices"

// quantiles of a number of values: half of them are up to P50, and so on.
type quantiles struct {
	Min, P10, P50, P90, P99, Max, Mean float64
}

// newQuantiles returns nil if there are no values.
func newQuantiles(values []float64) *quantiles {
	if len(values) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	at := func(p int) float64 { return sorted[min(len(sorted)-1, len(sorted)*p/100)] }
	q := &quantiles{Min: sorted[0], P10: at(10), P50: at(50), P90: at(90), P99: at(99), Max: at(100)}
	for _, v := range sorted {
		q.Mean += v / float64(len(sorted))
	}
	return q
}
