package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shown are the metrics of a kind that have a row, with their units.
var shown = map[kind][][2]string{
	aggregation: {{"steady", "Mbit/s"}, {"% of sum", ""}, {"goodput", "Mbit/s"}, {"first second", "Mbit/s"}, {"longest gap", "ms"}},
	handover:    {{"stall", "ms"}, {"longest gap", "ms"}, {"total", "ms"}},
	latency:     {{"p50", "ms"}, {"p90", "ms"}, {"p99", "ms"}, {"max", "ms"}},
	small:       {{"done", "ms"}},
}

// writeDocument writes what there is as Markdown.
func writeDocument(w io.Writer, t *results, now time.Time) {
	fmt.Fprint(w, "# The library beside the kernel\n\n")
	fmt.Fprint(w, "Multipath TCP of Linux, with CUBIC and with BBR, and of this module, as a client of a server on the kernel's Multipath TCP, over\n"+
		"the same emulated links: link A and link B, each `rate in Mbit/s/one-way delay in ms`. `up` is from the client to the server. Downloads are\n"+
		"sent by the kernel in every column: with the congestion control of the column, in the library's with CUBIC. All in a column were\n"+
		"measured in turns with the others. Cells are `median (least–greatest)`.\n\n")
	fmt.Fprint(w, t.provenance(now))
	fmt.Fprint(w, "\nMade by `make compare` (root; `RIG=` the directory of the rig), which takes about "+estimate(allTasks(leastRuns)).String()+
		" for five repetitions, or by pieces of it: see internal/bench/compare.\n")
	fmt.Fprint(w, "\n## Goals\n\n| scenario | variant | by | what | goal | measured | |\n|---|---|---|---|---|---|---|\n")
	for _, g := range goals() {
		verdict, got, wanted := g.verdict(t)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", letter(g.scenario), g.name, g.by.name, g.what, wanted, got, verdict)
	}
	scenario := ""
	for _, v := range plan() {
		columns := []contender{kernelCubic, kernelBBR, library, tcp}
		switch v.kind {
		case latency:
			columns = []contender{kernelCubic, kernelBBR, library, libraryCubic, interactive, tcp}
		case small:
			columns = []contender{kernelCubic, kernelBBR, library, libraryCubic, tcp}
		}
		if v.scenario != scenario && t.measured(v) {
			scenario = v.scenario
			fmt.Fprintf(w, "\n## %s\n\n| variant | | %s |\n|---|---|%s\n", scenario, strings.Join(names(columns), " | "), strings.Repeat("---|", len(columns)))
		}
		t.writeRows(w, v, columns)
	}
	t.writeMissing(w)
}

// writeMissing lists what has been measured less often than the document should have it.
func (t *results) writeMissing(w io.Writer) {
	missing := t.missing(leastRuns, plan())
	if len(missing) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## Measured less than %d times\n\n", leastRuns)
	for _, m := range missing {
		fmt.Fprintf(w, "- %s\n", m)
	}
}

func names(list []contender) (all []string) {
	for _, c := range list {
		all = append(all, c.name)
	}
	return all
}

// letter is the first word of a scenario's name.
func letter(scenario string) string { return scenario[:1] }

// writeRows writes a row for each metric of a variant.
func (t *results) writeRows(w io.Writer, v variant, columns []contender) {
	if !t.measured(v) {
		return
	}
	fails := 0
	for _, c := range columns {
		fails += t.failures(v, c)
	}
	line := func(name, what string, cell func(contender) string) {
		var cells []string
		for _, c := range columns {
			cells = append(cells, cell(c))
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", name, what, strings.Join(cells, " | "))
	}
	name := v.name
	for _, m := range shown[v.kind] {
		line(name, strings.TrimSuffix(m[0]+", "+m[1], ", "), func(c contender) string { return spread(t.values(v, c, m[0])) })
		name = ""
	}
	if fails > 0 {
		line("", "**runs that failed**", func(c contender) string {
			if n := t.failures(v, c); n > 0 {
				return fmt.Sprintf("%d of %d", n, len(t.by[row(v.key(), c.label)]))
			}
			return ""
		})
	}
}

// spread is the median with the range.
func spread(sorted []float64) string {
	x, ok := median(sorted)
	if !ok {
		return ""
	}
	if len(sorted) == 1 {
		return number(x)
	}
	return fmt.Sprintf("%s (%s–%s)", number(x), number(sorted[0]), number(sorted[len(sorted)-1]))
}

func number(x float64) string {
	if x >= 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.1f", x)
}

// provenance says what was measured where and when.
func (t *results) provenance(now time.Time) string {
	if len(t.all) == 0 {
		return "Nothing has been measured.\n"
	}
	first, last := now, time.Time{}
	machines, commits := map[string]bool{}, map[string]bool{}
	var late, loads []float64
	for _, r := range t.all {
		if r.Res.Start.Before(first) && !r.Res.Start.IsZero() {
			first = r.Res.Start
		}
		if r.Res.Start.After(last) {
			last = r.Res.Start
		}
		machines[r.Stamp.Machine] = true
		if strings.HasPrefix(r.Label, library.label) {
			commits[r.Stamp.Commit] = true
		}
		late = append(late, r.latest())
		if load, err := strconv.ParseFloat(r.Load, 64); err == nil {
			loads = append(loads, load)
		}
	}
	slices.Sort(late)
	slices.Sort(loads)
	atMost := late[len(late)*99/100]
	return fmt.Sprintf("- measured: %s to %s, %d runs\n- machine: %s\n- load average: %s\n- the library's commit: %s\n- the emulator's lateness: below %s ms in 99 of 100 runs\n",
		first.UTC().Format("2006-01-02 15:04"), last.UTC().Format("2006-01-02 15:04 MST"), len(t.all),
		strings.Join(sorted(machines), "; "), spread(loads), strings.Join(sorted(commits), ", "), number(atMost))
}
