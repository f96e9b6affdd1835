package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// run is a line of the stored file: what rigrun has stored, and where and of what it was.
type run struct {
	Label, Scen, Name string
	// Sum is the rate of all links, Mbit/s; Cut and Unavoid are when a path went, and for how long no
	// path could have worked, in ms.
	Sum, Cut, Unavoid float64
	Res               struct {
		TotalMs float64
		Report  *struct {
			Bytes       int64
			Ms, FirstMs float64
			Bins        []int64
			Gaps        []gap
		}
		Lat   []float64
		Err   string
		Start time.Time
	}
	Link map[string]struct{ MaxLateUs int64 }
	// Load is the machine's average then.
	Load string

	Stamp stamp
}

// gap is a pause in what the receiver got.
type gap struct{ AtMs, Ms float64 }

// stamp is what we add to rigrun's lines.
type stamp struct {
	Machine string // what it ran on
	Commit  string // of the library
}

// load reads a stored file; one that is not there has no runs.
func load(file string) (runs []run, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r run
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		runs = append(runs, r)
	}
	return runs, lines.Err()
}

// keep appends what rigrun has stored in one file to another, stamped. Several processes may do so at once.
func keep(from, to string, s stamp) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fields := map[string]any{}
		if err := json.Unmarshal(lines.Bytes(), &fields); err != nil {
			return err
		}
		fields["Stamp"] = s
		line, err := json.Marshal(fields)
		if err != nil {
			return err
		}
		out.Write(append(line, '\n'))
	}
	f, err := os.OpenFile(to, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(out.Bytes())
	return errors.Join(err, lines.Err(), f.Close())
}

func mbits(bytes int64, ms float64) float64 { return float64(bytes) * 8 / ms / 1000 }

// failed is the metric of runs with an error.
const failed = "failed"

// metrics are what the tables show of a run, by name.
func (r *run) metrics(k kind) map[string]float64 {
	m := map[string]float64{failed: 0}
	if r.Res.Err != "" {
		m[failed] = 1
		if k != handover {
			return m
		}
	}
	rep := r.Res.Report
	switch {
	case k == latency:
		l := slices.Sorted(slices.Values(r.Res.Lat))
		if len(l) > 0 {
			at := func(p int) float64 { return l[min(len(l)-1, len(l)*p/100)] }
			m["p50"], m["p90"], m["p99"], m["max"] = at(50), at(90), at(99), at(100)
		}
	case rep == nil:
		m[failed] = 1
	case k == aggregation:
		m["goodput"] = mbits(rep.Bytes, rep.Ms)
		m["steady"] = mbits(sum(rep.Bins, 20, 100), 8000)
		m["% of sum"] = 100 * m["steady"] / r.Sum
		m["first second"] = mbits(sum(rep.Bins, 0, 10), 1000)
		m["longest gap"] = r.longestGap()
	case k == handover:
		m["stall"], m["longest gap"], m["total"] = r.stall(), r.longestGap(), r.Res.TotalMs
	case k == small:
		m["done"] = r.Res.TotalMs
	}
	return m
}

// sum adds up the bytes of the bins from one to before another; each has 100 ms.
func sum(bins []int64, from, to int) (n int64) {
	for _, b := range bins[min(from, len(bins)):min(to, len(bins))] {
		n += b
	}
	return n
}

func (r *run) longestGap() (longest float64) {
	for _, g := range r.Res.Report.Gaps {
		longest = max(longest, g.Ms)
	}
	return longest
}

// aroundCut is how long after the cut, and after what is unavoidable, a pause may begin to be its.
const aroundCut = 1500

// notedGaps is how many pauses are reported, the longest ones.
const notedGaps = 5

// stall is the pause at the cut beyond what is unavoidable, or if that is not reported, what it is
// at most: the shortest of those that are. Pauses are timed from the first byte on.
func (r *run) stall() (longest float64) {
	gaps := r.Res.Report.Gaps
	if len(gaps) == notedGaps {
		longest = slices.MinFunc(gaps, func(a, b gap) int { return cmp.Compare(a.Ms, b.Ms) }).Ms
	}
	for _, g := range gaps {
		if at := g.AtMs + r.Res.Report.FirstMs; at+g.Ms > r.Cut && at < r.Cut+r.Unavoid+aroundCut {
			longest = max(longest, g.Ms-r.Unavoid)
		}
	}
	return longest
}

// latest is how late the emulator was at most, in ms.
func (r *run) latest() (late float64) {
	for _, l := range r.Link {
		late = max(late, float64(l.MaxLateUs)/1000)
	}
	return late
}
