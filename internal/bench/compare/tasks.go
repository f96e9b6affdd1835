package main

import (
	"regexp"
	"time"
)

// task is one call of rigrun: a contender does variants of a scenario once.
type task struct {
	contender
	rep      int
	variants []variant
}

// setUp is what a call takes beside its runs, setUpRun what each run does.
const (
	setUp    = 4 * time.Second
	setUpRun = 300 * time.Millisecond
)

// allTasks are those of a number of repetitions, in the order in which they are done: what is to be
// compared runs one after the other.
func allTasks(reps int) []task { return newResults(nil).todo(reps, regexp.MustCompile("")) }

// todo are the tasks that are left, of the variants that only matches.
func (t *results) todo(reps int, only *regexp.Regexp) (all []task) {
	for rep := range reps {
		for _, scenario := range []string{scenarioA, scenarioB, scenarioC, scenarioD, scenarioE, scenarioF} {
			first := len(all)
			for _, v := range plan() {
				if v.scenario != scenario || !only.MatchString(v.key()) {
					continue
				}
				for _, c := range v.contenders() {
					if t.reps(v, c) <= rep {
						all = addTo(all, first, rep, c, v)
					}
				}
			}
		}
	}
	return all
}

// addTo adds a variant to the task of its contender, one of those from first on.
func addTo(all []task, first, rep int, c contender, v variant) []task {
	for i := range all[first:] {
		if t := &all[first+i]; t.contender == c {
			t.variants = append(t.variants, v)
			return all
		}
	}
	return append(all, task{contender: c, rep: rep, variants: []variant{v}})
}

// estimate is how long tasks take, about.
func estimate(tasks []task) (d time.Duration) {
	for _, t := range tasks {
		d += setUp
		for _, v := range t.variants {
			d += time.Duration(v.runs) * (v.takes + setUpRun)
		}
	}
	return d.Round(time.Minute)
}
