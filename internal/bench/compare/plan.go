package main

import (
	"fmt"
	"time"
)

// contender is who does the client's part.
type contender struct {
	label string // in what rigrun stores
	name  string // in the tables
	cc    string // of the kernel at both ends
	// library: our mpbench is the client. args are further ones for it.
	library bool
	args    string
}

var (
	kernelCubic = contender{label: "kernel-cubic", name: "kernel, cubic", cc: "cubic"}
	kernelBBR   = contender{label: "kernel-bbr", name: "kernel, bbr", cc: "bbr"}
	library     = contender{label: "library", name: "library, bbr", cc: "cubic", library: true}
	// libraryCubic has the controller that a Host has by default.
	libraryCubic = contender{label: "library-cubic", name: "library, cubic", cc: "cubic", library: true, args: "-cc cubic"}
	interactive  = contender{label: "library-interactive", name: "library, interactive", cc: "cubic", library: true, args: "-intent interactive"}
	// tcp is the kernel without Multipath TCP, over one path.
	tcp = contender{label: "tcp", name: "TCP, one path", cc: "cubic"}
)

// kind says what is measured in a scenario, in rigrun's names.
type kind string

const (
	aggregation kind = "agg"
	handover    kind = "hand"
	latency     kind = "lat"
	small       kind = "small"
)

// variant is one of rigrun's.
type variant struct {
	scenario, name string
	kind           kind
	// runs is how many make a repetition; takes is how long each of them takes, about.
	runs  int
	takes time.Duration
	// reference: it is plain TCP, for comparison.
	reference bool
	// backup: one path is in use and the other one ready.
	backup bool
}

func (v variant) key() string { return v.scenario + "/" + v.name }

// contenders are those that do a variant.
func (v variant) contenders() []contender {
	switch {
	case v.reference:
		return []contender{tcp}
	case v.kind == latency:
		return []contender{kernelCubic, kernelBBR, library, libraryCubic, interactive}
	case v.kind == small:
		return []contender{kernelCubic, kernelBBR, library, libraryCubic}
	}
	own := library
	if v.backup {
		own.args = "-pm backup"
	}
	return []contender{kernelCubic, kernelBBR, own}
}

// The scenarios, in rigrun's words.
const (
	scenarioA = "A sym 50/10+50/10"
	scenarioB = "B asym 50/10+20/40"
	scenarioC = "C wifi80/5/0.5%+lte20/60"
	scenarioD = "D handover 50/10+20/40"
	scenarioE = "E A 2% loss"
	scenarioF = "F small over B"
)

// plan lists what rigrun measures, in the order of the tables.
func plan() (all []variant) {
	add := func(v variant) {
		v.runs = max(v.runs, 1)
		all = append(all, v)
	}
	both := []string{"up", "down"}
	for _, s := range [][2]string{{scenarioA, ""}, {scenarioB, ""}, {scenarioC, "short queue "}, {scenarioC, "bloat 500ms "}, {scenarioC, "bloat no loss "}} {
		for _, d := range both {
			add(variant{scenario: s[0], name: s[1] + d, kind: aggregation, takes: 11 * time.Second})
		}
		add(variant{scenario: s[0], name: s[1] + "up TCP best path", kind: aggregation, takes: 11 * time.Second, reference: true})
	}
	for _, d := range both {
		for _, h := range []struct {
			name   string
			takes  time.Duration
			backup bool
		}{
			{name: "blackhole A", takes: 13}, {name: "ifdown A", takes: 13}, {name: "endpoint deleted + ifdown A", takes: 11},
			{name: "blackhole A, B backup", takes: 15, backup: true},
			{name: "endpoint deleted + ifdown A, B backup", takes: 14, backup: true},
			{name: "blackhole B", takes: 7}, {name: "break 5 s, B comes back", takes: 18}, {name: "break 5 s, A comes back", takes: 15},
			{name: "A away 3 s, comes back", takes: 10},
		} {
			add(variant{scenario: scenarioD, name: h.name + " " + d, kind: handover, takes: h.takes * time.Second, backup: h.backup})
		}
	}
	for _, m := range []struct {
		name  string
		takes time.Duration
	}{{"1KB", 10}, {"64KB up", 16}} {
		for _, links := range []string{" 50/10/2%+50/10", " 50/10/2%+20/40", " TCP on A (2%)", " TCP on 50/10 clean"} {
			add(variant{scenario: scenarioE, name: m.name + links, kind: latency, takes: m.takes * time.Second, reference: links[1] == 'T'})
		}
	}
	for _, size := range []int{10, 100, 1000} {
		for _, d := range both {
			for _, ref := range []string{"", " TCP on A"} {
				add(variant{scenario: scenarioF, name: fmt.Sprintf("%dKB %s%s", size, d, ref), kind: small, runs: 5, takes: 500 * time.Millisecond, reference: ref != ""})
			}
		}
	}
	return all
}
