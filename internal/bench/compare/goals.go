package main

import (
	"fmt"
	"slices"
)

// goal is something that the library is to reach in the median.
type goal struct {
	what string
	variant
	by     contender
	metric string
	// atLeast: limit is a lower one, else an upper one. orKernel: the
	// kernel's median, with CUBIC, is one, too.
	atLeast, orKernel bool
	limit             float64
}

// goals are those that were set for the library over these links.
func goals() (all []goal) {
	add := func(scenario, name string, g goal) {
		g.variant = find(scenario, name)
		if g.by.label == "" {
			g.by = library
		}
		all = append(all, g)
	}
	both := []string{"up", "down"}
	for _, s := range []string{scenarioA, scenarioB} {
		for _, d := range both {
			add(s, d, goal{what: "steady aggregation, % of the sum", metric: "% of sum", atLeast: true, orKernel: true, limit: 94.4})
		}
	}
	for _, d := range both {
		add(scenarioB, d, goal{what: "first second, Mbit/s", metric: "first second", atLeast: true, limit: 60})
	}
	for _, s := range []string{scenarioA, scenarioB} {
		for _, d := range both {
			add(s, d, goal{what: "longest gap, ms", metric: "longest gap", limit: 60})
		}
	}
	for _, d := range both {
		add(scenarioD, "blackhole A "+d, goal{what: "stall, ms", metric: "stall", limit: 200})
		add(scenarioD, "blackhole A "+d, goal{what: "total, ms", metric: "total", limit: 10200})
		add(scenarioD, "blackhole A, B backup "+d, goal{what: "stall, ms", metric: "stall", limit: 250})
	}
	for _, d := range both {
		for _, h := range []string{"ifdown A ", "endpoint deleted + ifdown A "} {
			add(scenarioD, h+d, goal{what: "stall, ms", metric: "stall", limit: 100})
		}
	}
	for _, d := range both {
		for _, h := range []string{"break 5 s, B comes back ", "break 5 s, A comes back "} {
			add(scenarioD, h+d, goal{what: "stall after the 5 s, ms", metric: "stall", limit: 500})
		}
	}
	for _, links := range []string{" 50/10/2%+50/10", " 50/10/2%+20/40"} {
		add(scenarioE, "1KB"+links, goal{what: "p99, ms", metric: "p99", limit: 25, by: interactive})
		for _, by := range []contender{library, libraryCubic} {
			add(scenarioE, "1KB"+links, goal{what: "p99, ms", metric: "p99", limit: 60, by: by})
			add(scenarioE, "64KB up"+links, goal{what: "p50, ms", metric: "p50", limit: 45, by: by})
		}
	}
	for _, by := range []contender{library, libraryCubic} {
		add(scenarioF, "1000KB down", goal{what: "done, ms", metric: "done", limit: 253, by: by})
	}
	return all
}

// goalVariants are the variants with goals, each once.
func goalVariants() (all []variant) {
	for _, g := range goals() {
		if !slices.Contains(all, g.variant) {
			all = append(all, g.variant)
		}
	}
	return all
}

// verdict compares the medians with the goal.
func (g goal) verdict(t *results) (verdict, got, wanted string) {
	limit := g.limit
	wanted = fmt.Sprintf("≤ %g", g.limit)
	if g.atLeast {
		wanted = fmt.Sprintf("≥ %g", g.limit)
	}
	if kernel, ok := median(t.values(g.variant, kernelCubic, g.metric)); g.orKernel && ok {
		wanted += fmt.Sprintf(" and kernel's %s", number(kernel))
		limit = max(limit, kernel)
	}
	values := t.values(g.variant, g.by, g.metric)
	x, ok := median(values)
	switch n := t.failures(g.variant, g.by); {
	case !ok:
		return "not measured", "", wanted
	case n > 0:
		return "**missed**", fmt.Sprintf("%d of %d runs failed", n, len(values)), wanted
	case g.atLeast && x >= limit, !g.atLeast && x <= limit:
		return "reached", spread(values), wanted
	}
	return "**missed**", spread(values), wanted
}
