package main

import (
	"cmp"
	"io"
	"slices"
	"time"
)

const (
	// binTime is how long a bin of the report is.
	binTime = 100 * time.Millisecond
	// leastGap is the shortest pause that is noted, keptGaps how many are reported.
	leastGap = 5 * time.Millisecond
	keptGaps = 5
)

// meter is a reader that notes when bytes come.
type meter struct {
	r                  io.Reader
	begin, first, last time.Time
	n                  int64
	bins               []int64
	gaps               []gap
}

// Read implements io.Reader.
func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	if n > 0 {
		m.add(n, time.Now())
	}
	return n, err
}

func (m *meter) add(n int, now time.Time) {
	if m.first.IsZero() {
		m.first = now
	} else if d := now.Sub(m.last); d > leastGap {
		m.gaps = append(m.gaps, gap{ms(m.last.Sub(m.first)), ms(d)})
		if len(m.gaps) > 1000*keptGaps {
			m.keepLongest()
		}
	}
	m.last = now
	m.n += int64(n)
	bin := int(now.Sub(m.begin) / binTime)
	for len(m.bins) <= bin {
		m.bins = append(m.bins, 0)
	}
	m.bins[bin] += int64(n)
}

func (m *meter) keepLongest() {
	slices.SortStableFunc(m.gaps, func(a, b gap) int { return cmp.Compare(b.Ms, a.Ms) })
	m.gaps = m.gaps[:min(keptGaps, len(m.gaps))]
}

// report fills in what was measured.
func (m *meter) report(rep *report) {
	m.keepLongest()
	rep.Bytes, rep.Bins, rep.Gaps = m.n, m.bins, m.gaps
	if m.n > 0 {
		rep.Ms, rep.FirstMs = ms(m.last.Sub(m.begin)), ms(m.first.Sub(m.begin))
	}
}

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
