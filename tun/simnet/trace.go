package simnet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"
)

// opportunityBytes is what a line of a Mahimahi trace lets pass.
const opportunityBytes = 1500

// Trace is a recorded link: points in time at each of which it could carry a packet of
// 1500 bytes, or several smaller ones. It repeats after its period, and may be used for
// several directions.
type Trace struct {
	at     []time.Duration // ascending, none beyond period
	period time.Duration   // positive
}

// ReadMahimahi reads a packet-delivery trace of Mahimahi (mm-link): each line has a time
// in milliseconds; the last one is the period. It returns an error that names the line if
// one is no such time or earlier than the one before, or if the trace lets nothing pass.
func ReadMahimahi(r io.Reader) (*Trace, error) {
	t := new(Trace)
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" {
			continue
		}
		ms, err := strconv.ParseUint(line, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("simnet: trace line %d: %w", n, err)
		}
		at := time.Duration(ms) * time.Millisecond
		if k := len(t.at); k > 0 && at < t.at[k-1] {
			return nil, fmt.Errorf("simnet: trace line %d: %d ms comes after a later time", n, ms)
		}
		t.at = append(t.at, at)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("simnet: reading a trace: %w", err)
	}
	if len(t.at) == 0 || t.at[len(t.at)-1] == 0 {
		return nil, errors.New("simnet: the trace lasts no time")
	}
	t.period = t.at[len(t.at)-1]
	return t, nil
}

// Period is the time after which the trace repeats.
func (t *Trace) Period() time.Duration { return t.period }

// Rate is the mean rate of the trace.
func (t *Trace) Rate() Rate {
	return Rate(float64(len(t.at)) * opportunityBytes * 8 / t.period.Seconds())
}

// first is the number of the first opportunity not before a time since the beginning.
func (t *Trace) first(since time.Duration) int {
	if since <= 0 {
		return 0
	}
	before := since - 1
	rounds, rest := int(before/t.period), before%t.period
	return rounds*len(t.at) + sort.Search(len(t.at), func(i int) bool { return t.at[i] > rest })
}

// when is the time of opportunity i since the beginning.
func (t *Trace) when(i int) time.Duration {
	return time.Duration(i/len(t.at))*t.period + t.at[i%len(t.at)]
}

// RateStep is a rate and how long it holds.
type RateStep struct {
	For  time.Duration
	Rate Rate
}

// Follow lets the direction carry what the trace says, from now on, in place of
// Shape.Rate; nil ends that.
func (d *Direction) Follow(t *Trace) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.w.Elapsed()
	d.tx.progress(now, d.shape.Rate)
	d.tx.trace, d.tx.from, d.tx.chance, d.tx.since = t, now, 0, now
	d.reschedule()
	d.transmit()
}

// FollowRates changes Shape.Rate step after step, beginning now, and over again after the
// last one, until stop is called. It panics if the steps take no time.
func (d *Direction) FollowRates(steps []RateStep) (stop func()) {
	total := time.Duration(0)
	for _, s := range steps {
		if s.For < 0 {
			panic("simnet: a RateStep lasts less than no time")
		}
		total += s.For
	}
	if total == 0 {
		panic("simnet: the steps of FollowRates take no time")
	}
	next := &event{own: true, index: -1}
	i := 0
	step := func() {
		s := steps[i%len(steps)]
		i++
		d.Change(func(shape *Shape) { shape.Rate = s.Rate })
		d.w.schedule(next, d.w.Elapsed()+s.For)
	}
	next.run = step
	step()
	return func() { d.w.cancel(next) }
}
