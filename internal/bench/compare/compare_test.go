package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parseRun reads a line as rigrun writes it.
func parseRun(t *testing.T, line string) (r run) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(line), &r))
	return r
}

// 10 s in which the first second has 10 Mbit/s and the others 80.
func aggregationLine() string {
	bins := slices.Concat(slices.Repeat([]string{"125000"}, 10), slices.Repeat([]string{"1000000"}, 90))
	return `{"Label":"library","Scen":"A sym 50/10+50/10","Name":"up","Kind":"agg","Rep":0,"Sum":100,"Cut":0,"Unavoid":0,
		"Res":{"Mode":"up","TotalMs":10050,"Report":{"Bytes":91250000,"Ms":10000,"FirstMs":20,"Sum":"ok","Bins":[` + strings.Join(bins, ",") +
		`],"Gaps":[{"AtMs":5,"Ms":30},{"AtMs":900,"Ms":12}]},"Start":"2026-01-02T03:04:05Z"},"Link":{"A.ab":{"MaxLateUs":1500},"B.ab":{"MaxLateUs":700}}}`
}

func TestMetricsOfAggregation(t *testing.T) {
	r := parseRun(t, strings.ReplaceAll(aggregationLine(), "\n", ""))
	require.Equal(t, map[string]float64{
		"goodput": 73, "steady": 80, "% of sum": 80, "first second": 10, "longest gap": 30, failed: 0,
	}, r.metrics(aggregation))
	require.Equal(t, 1.5, r.latest())
}

// The stall is the pause at the cut, not a longer one elsewhere, and without what nobody can avoid.
func TestMetricsOfHandover(t *testing.T) {
	const line = `{"Cut":3000,"Unavoid":5000,"Res":{"TotalMs":12000,"Report":{"Bytes":1,"Ms":11900,"FirstMs":100,
		"Gaps":[{"AtMs":9900,"Ms":6000},{"AtMs":2850,"Ms":5300},{"AtMs":100,"Ms":5400},{"AtMs":100,"Ms":2}]}}}`
	r := parseRun(t, line)
	require.Equal(t, map[string]float64{"stall": 400, "longest gap": 6000, "total": 12000, failed: 0}, r.metrics(handover),
		"the pause from 200 on goes on to 5600")
	r.Res.Report.Gaps = r.Res.Report.Gaps[:2]
	require.Equal(t, 300.0, r.metrics(handover)["stall"])
	r.Res.Report.Gaps = []gap{{100, 50}, {7000, 40}, {8000, 30}, {9000, 20}, {9500, 35}}
	require.Equal(t, 20.0, r.metrics(handover)["stall"], "at most what is not among the five longest")
	r.Res.Err = "cut off"
	require.Equal(t, 1.0, r.metrics(handover)[failed])
	r.Res.Report = nil
	require.Equal(t, map[string]float64{failed: 1}, r.metrics(handover))
}

func TestMetricsOfMessagesAndSmallTransfers(t *testing.T) {
	var r run
	for i := range 200 {
		r.Res.Lat = append(r.Res.Lat, float64(200-i))
	}
	require.Equal(t, map[string]float64{"p50": 101, "p90": 181, "p99": 199, "max": 200, failed: 0}, r.metrics(latency))
	r = parseRun(t, `{"Res":{"TotalMs":250.5,"Report":{"Bytes":1000000}}}`)
	require.Equal(t, map[string]float64{"done": 250.5, failed: 0}, r.metrics(small))
	r.Res.Err = "no"
	require.Equal(t, map[string]float64{failed: 1}, r.metrics(small), "what failed has no time")
}

// runsOf are runs of a variant by a contender with these total times, and gaps of a hundredth of that.
func runsOf(v variant, c contender, totals ...float64) (all []run) {
	for _, ms := range totals {
		r := run{Label: c.label, Scen: v.scenario, Name: v.name, Sum: 100}
		r.Res.TotalMs, r.Res.Start = ms, time.Unix(1e9, 0)
		r.Res.Lat = []float64{ms}
		r.Res.Report = &struct {
			Bytes       int64
			Ms, FirstMs float64
			Bins        []int64
			Gaps        []gap
		}{Bytes: int64(ms * 1000), Ms: 1000}
		r.Load = "1.50"
		r.Stamp = stamp{Machine: "a machine", Commit: "abc"}
		all = append(all, r)
	}
	return all
}

func TestVerdicts(t *testing.T) {
	total := goal{variant: find(scenarioD, "blackhole A up"), by: library, metric: "total", limit: 10200}
	verdict := func(g goal, runs ...run) string {
		v, got, wanted := g.verdict(newResults(runs))
		return v + ": " + got + " " + wanted
	}
	require.Equal(t, "not measured:  ≤ 10200", verdict(total))
	require.Equal(t, "reached: 10100 (10000–10900) ≤ 10200", verdict(total, runsOf(total.variant, library, 10900, 10000, 10100)...))
	require.Equal(t, "**missed**: 10300 (10200–10400) ≤ 10200", verdict(total, runsOf(total.variant, library, 10400, 10200)...))
	broken := runsOf(total.variant, library, 10000, 10000)
	broken[1].Res.Err = "cut off"
	require.Equal(t, "**missed**: 1 of 2 runs failed ≤ 10200", verdict(total, broken...))

	rate := goal{variant: find(scenarioA, "up"), by: library, metric: "goodput", limit: 60, atLeast: true, orKernel: true}
	own, kernel := runsOf(rate.variant, library, 8000), runsOf(rate.variant, kernelCubic, 8100)
	require.Equal(t, "reached: 64.0 ≥ 60", verdict(rate, own...))
	require.Equal(t, "**missed**: 64.0 ≥ 60 and kernel's 64.8", verdict(rate, slices.Concat(own, kernel)...))
	require.Equal(t, "reached: 65.6 ≥ 60 and kernel's 64.8", verdict(rate, append(kernel, runsOf(rate.variant, library, 8200)...)...))
}

// What is to be compared comes one after the other, and what is there is not measured again.
func TestTasks(t *testing.T) {
	only := regexp.MustCompile("^A .*/(up|down)$|^F .*/10KB up")
	describe := func(tasks []task) (all []string) {
		for _, t := range tasks {
			var names []string
			for _, v := range t.variants {
				names = append(names, v.name)
			}
			all = append(all, string(rune('1'+t.rep))+letter(t.variants[0].scenario)+" "+t.label+": "+strings.Join(names, ", "))
		}
		return all
	}
	require.Equal(t, []string{
		"1A kernel-cubic: up, down", "1A kernel-bbr: up, down", "1A library: up, down",
		"1F kernel-cubic: 10KB up", "1F kernel-bbr: 10KB up", "1F library: 10KB up", "1F library-cubic: 10KB up", "1F tcp: 10KB up TCP on A",
	}, describe(newResults(nil).todo(1, only)))

	up := find(scenarioA, "up")
	there := slices.Concat(
		runsOf(up, kernelCubic, 1, 1), runsOf(up, kernelBBR, 1), runsOf(up, library, 1),
		runsOf(find(scenarioF, "10KB up"), library, 1, 1, 1, 1, 1), // one repetition
	)
	require.Equal(t, []string{
		"1A kernel-cubic: down", "1A kernel-bbr: down", "1A library: down",
		"1F kernel-cubic: 10KB up", "1F kernel-bbr: 10KB up", "1F library-cubic: 10KB up", "1F tcp: 10KB up TCP on A",
		"2A kernel-bbr: up, down", "2A library: up, down", "2A kernel-cubic: down",
		"2F kernel-cubic: 10KB up", "2F kernel-bbr: 10KB up", "2F library: 10KB up", "2F library-cubic: 10KB up", "2F tcp: 10KB up TCP on A",
	}, describe(newResults(there).todo(2, only)))
}

// A second path that is a backup is one for the library, too, in a call of its own.
func TestBackupsAndIntents(t *testing.T) {
	args := map[string]string{}
	for _, task := range allTasks(1) {
		for _, v := range task.variants {
			if task.library {
				args[v.name+" by "+task.label] = task.args
			}
			require.Contains(t, v.contenders(), task.contender)
		}
	}
	require.Equal(t, "-pm backup", args["blackhole A, B backup up by library"])
	require.Equal(t, "", args["blackhole A up by library"])
	require.Equal(t, "-intent interactive", args["1KB 50/10/2%+50/10 by library-interactive"])
	require.Equal(t, "", args["1KB 50/10/2%+50/10 by library"])
}

func TestDocument(t *testing.T) {
	var runs []run
	for _, v := range plan() {
		for _, c := range v.contenders() {
			for range leastRuns * v.runs {
				runs = append(runs, runsOf(v, c, 100)...)
			}
		}
	}
	results := newResults(runs)
	require.Empty(t, results.missing(leastRuns, plan()))
	var text strings.Builder
	writeDocument(&text, results, time.Unix(2e9, 0))
	for _, want := range []string{
		"- machine: a machine\n", "commit: abc\n", "2001-09-09 01:46", "- load average: 1.5 (1.5–1.5)", "## F small over B",
		"\n| 1000KB down | done, ms | 100.0 (100.0–100.0) | 100.0 (100.0–100.0) | 100.0 (100.0–100.0) | 100.0 (100.0–100.0) |  |\n",
		"\n| 1000KB down TCP on A | done, ms |  |  |  |  | 100.0 (100.0–100.0) |\n",
		"| F | 1000KB down | library, bbr | done, ms | ≤ 253 | 100.0 (100.0–100.0) | reached |",
	} {
		require.Contains(t, text.String(), want)
	}
	require.NotContains(t, text.String(), "not measured")

	require.NotContains(t, text.String(), "Measured less")

	text.Reset()
	writeDocument(&text, newResults(runs[1:]), time.Unix(2e9, 0))
	require.Contains(t, text.String(), "\n## Measured less than 5 times\n\n- "+scenarioA+"/up by kernel, cubic (4 times)\n")
}

// What rigrun stored is kept as it is, with what it was.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	line := strings.ReplaceAll(aggregationLine(), "\n", "")
	require.NoError(t, os.WriteFile(from, []byte(line+"\n"+line+"\n"), 0o644))
	none, err := load(to)
	require.NoError(t, err)
	require.Empty(t, none)
	for range 2 {
		require.NoError(t, keep(from, to, stamp{"a machine", "abc"}))
	}
	runs, err := load(to)
	require.NoError(t, err)
	require.Len(t, runs, 4)
	want := parseRun(t, line)
	want.Stamp = stamp{"a machine", "abc"}
	require.Equal(t, want, runs[3])
	b, err := os.ReadFile(to)
	require.NoError(t, err)
	require.Contains(t, string(b), `"Kind":"agg"`, "what only rigrun needs, too")

	require.NoError(t, os.WriteFile(from, []byte("{"), 0o644))
	_, err = load(from)
	require.Error(t, err)
}

func TestWithoutRig(t *testing.T) {
	err := options{rig: t.TempDir()}.ready()
	require.ErrorContains(t, err, "RIG=directory")
}
