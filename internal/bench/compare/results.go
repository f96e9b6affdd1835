package main

import (
	"fmt"
	"slices"
)

// leastRuns is how many repetitions the document needs.
const leastRuns = 5

// results are all runs, by variant and contender.
type results struct {
	all []run
	by  map[string][]run // by row
}

func newResults(all []run) *results {
	t := &results{all: all, by: map[string][]run{}}
	for _, r := range all {
		k := row(r.Scen+"/"+r.Name, r.Label)
		t.by[k] = append(t.by[k], r)
	}
	return t
}

func row(variant, label string) string { return variant + "/" + label }

// reps is how often a variant has been measured.
func (t *results) reps(v variant, c contender) int {
	return len(t.by[row(v.key(), c.label)]) / v.runs
}

// measured reports whether anybody has done a variant.
func (t *results) measured(v variant) bool {
	return slices.ContainsFunc(v.contenders(), func(c contender) bool { return t.reps(v, c) > 0 })
}

// missing lists which of the variants have been measured less often than reps times by somebody.
func (t *results) missing(reps int, variants []variant) (all []string) {
	for _, v := range variants {
		for _, c := range v.contenders() {
			if n := t.reps(v, c); n < reps {
				all = append(all, fmt.Sprintf("%s by %s (%d times)", v.key(), c.name, n))
			}
		}
	}
	return all
}

// values are those of a metric in all runs that have it, sorted.
func (t *results) values(v variant, c contender, metric string) (all []float64) {
	for _, r := range t.by[row(v.key(), c.label)] {
		if x, ok := r.metrics(v.kind)[metric]; ok {
			all = append(all, x)
		}
	}
	slices.Sort(all)
	return all
}

// failures counts the runs that failed.
func (t *results) failures(v variant, c contender) (n int) {
	for _, x := range t.values(v, c, failed) {
		n += int(x)
	}
	return n
}

// median of sorted values; false if there are none.
func median(sorted []float64) (float64, bool) {
	n := len(sorted)
	if n == 0 {
		return 0, false
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2, true
}

// find returns the variant of a name. It panics if there is none: goals name what is in the plan.
func find(scenario, name string) variant {
	i := slices.IndexFunc(plan(), func(v variant) bool { return v.scenario == scenario && v.name == name })
	return plan()[i]
}
