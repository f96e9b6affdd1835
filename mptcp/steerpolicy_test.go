package mptcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// Which paths rest, from what is known of them.
func TestDecideWhatRests(t *testing.T) {
	const small, large = 1000, 64 << 10
	near, far := steeredPath{rtt: 20 * ms}, steeredPath{rtt: 80 * ms}
	with := func(p steeredPath, change func(p *steeredPath)) steeredPath { change(&p); return p }
	lossy := func(p steeredPath, share float64) steeredPath { p.losses = share; return p }
	resting := func(p steeredPath) steeredPath { p.rests, p.settled = true, true; return p }
	silent := func(p *steeredPath) { p.silent = true }
	bySYN := func(p *steeredPath) { p.rests = true }
	for _, c := range []struct {
		name   string
		answer int // bytes
		bulk   bool
		paths  []steeredPath
		want   []bool
	}{
		{"two alike", small, false, []steeredPath{near, near}, []bool{false, false}},
		{"twice as far is near enough", small, false, []steeredPath{near, {rtt: 40 * ms}}, []bool{false, false}},
		{"far", small, false, []steeredPath{near, far}, []bool{false, true}},
		{"the first one is far", small, false, []steeredPath{far, near}, []bool{true, false}},
		{"not measured", small, false, []steeredPath{near, {}}, []bool{false, false}},
		{"one path", small, false, []steeredPath{resting(far)}, []bool{false}},
		{"far, but there is much to send", small, true, []steeredPath{near, resting(far)}, []bool{false, false}},
		{"rests by its SYN, and is near", small, false, []steeredPath{near, with(near, bySYN)}, []bool{false, false}},
		{"rests by its SYN, and is far", small, false, []steeredPath{near, with(far, bySYN)}, []bool{false, true}},
		{"lossy", small, false, []steeredPath{lossy(near, 0.02), near}, []bool{true, false}},
		{"lossy, in bulk", small, true, []steeredPath{lossy(near, 0.02), near}, []bool{false, false}},
		{"both lossy", small, false, []steeredPath{lossy(near, 0.02), lossy(near, 0.01)}, []bool{false, false}},
		{"lossy, and the other one is too far to be better", small, false, []steeredPath{lossy(near, 0.02), far}, []bool{false, true}},
		{"so lossy that the far one is better", small, false, []steeredPath{lossy(near, 0.3), far}, []bool{true, false}},
		{"large answers lose more often", large, false, []steeredPath{lossy(near, 0.02), far}, []bool{false, false}},
		{"what rests goes on resting", small, false, []steeredPath{resting(near), near}, []bool{true, false}},
		{"until it is clearly better", small, false, []steeredPath{resting(near), lossy(near, 0.05)}, []bool{false, true}},
		{"not a little", small, false, []steeredPath{resting(near), lossy(near, 0.01)}, []bool{true, false}},
		{"the best one is silent", small, false, []steeredPath{with(near, silent), resting(far)}, []bool{false, false}},
		{"all are silent", small, false, []steeredPath{with(near, silent), with(resting(far), silent)}, []bool{false, false}},
		{"a silent one would not hear of it", small, false, []steeredPath{near, with(far, silent)}, []bool{false, false}},
		{"three", small, false, []steeredPath{far, near, {rtt: 25 * ms}}, []bool{true, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			d := demand{lossWeight: 1, before: c.answer}
			if c.bulk {
				d.bulkUntil = now.Add(1)
			}
			decide(now, c.paths, &d)
			for i, p := range c.paths {
				require.Equal(t, c.want[i], p.rests, "path %d", i)
			}
		})
	}
}

// Somebody who waits cannot wait for the more certain answer, unless the other one is much less certain.
func TestDecideWhenSomebodyWaits(t *testing.T) {
	paths := []steeredPath{{rtt: 20 * ms, losses: 0.15}, {rtt: 80 * ms}}
	decide(time.Time{}, paths, &demand{lossWeight: 1})
	require.False(t, paths[0].rests)
	decide(time.Time{}, paths, &demand{lossWeight: interactiveLossWeight})
	require.True(t, paths[0].rests)
}

// No path is taken away in the middle of an answer that is long, or may be.
func TestDecideBetweenAnswers(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		name   string
		demand demand
		want   bool
	}{
		{"nothing has come", demand{}, true},
		{"the first answer is coming", demand{bytes: 1000, last: now}, false},
		{"it has come", demand{bytes: 1000, last: now.Add(-time.Second)}, true},
		{"a small one, as before", demand{bytes: 1000, before: 1000, last: now}, true},
		{"a long one", demand{bytes: 100_000, before: 1000, last: now}, false},
	} {
		c.demand.lossWeight, c.demand.rtt = 1, 20*ms
		paths := []steeredPath{{rtt: 20 * ms, losses: 0.02}, {rtt: 20 * ms}}
		decide(now, paths, &c.demand)
		require.Equal(t, c.want, paths[0].rests, c.name)
	}
}

// feed gives a demand with n bytes each pause, as answers to questions or without any, for some time.
func feed(d *demand, now *time.Time, n int, pause, length time.Duration, asked bool) (late int) {
	paths := []steeredPath{{rtt: 20 * ms, srtt: 20 * ms}, {rtt: 80 * ms, rests: true}}
	for end := now.Add(length); now.Before(end); {
		d.judge(*now, paths)
		if asked {
			d.ask(*now)
		}
		*now = now.Add(pause)
		if d.arrive(*now, n, true) {
			late++
		}
		d.judge(*now, paths)
	}
	return late
}

// What is bulk data: four round trips of the farthest path without a pause.
func TestDemand(t *testing.T) {
	for _, c := range []struct {
		name   string
		n      int
		pause  time.Duration
		length time.Duration
		asked  bool
		bulk   bool
	}{
		{"50 Mbit/s, a quarter of a second", 6250, ms, 250 * ms, false, false},
		{"50 Mbit/s, half a second", 6250, ms, 500 * ms, false, true},
		{"as much while we send too", 6250, ms, 500 * ms, true, true},
		{"in windows", 14_000, 20 * ms, 500 * ms, false, true},
		{"answers", 64 << 10, 20 * ms, 5 * time.Second, true, false},
		{"with losses", 64 << 10, 80 * ms, 500 * ms, false, true},
		{"little", 1000, 20 * ms, 500 * ms, false, false},
		{"now and then", 64 << 10, 100 * ms, 5 * time.Second, false, false},
	} {
		now := time.Unix(1000, 0)
		var d demand
		feed(&d, &now, c.n, c.pause, c.length, c.asked)
		require.Equal(t, c.bulk, d.isBulk(now), c.name)
		require.False(t, d.isBulk(now.Add(steerPause)), "it is over a second later")
	}
}

// An answer is late when others took much less time; with a server that takes its time none is.
func TestDemandLateAnswers(t *testing.T) {
	now := time.Unix(1000, 0)
	var d demand
	require.Zero(t, feed(&d, &now, 1000, 21*ms, time.Second, true))
	require.Equal(t, 1, feed(&d, &now, 1000, 240*ms, 100*ms, true))
	require.Zero(t, feed(&d, &now, 1000, 45*ms, 100*ms, true))
	require.Equal(t, 1, feed(&d, &now, 1000, 63*ms, 50*ms, true))
	require.Zero(t, feed(&d, &now, 1000, 240*ms, 100*ms, false), "nothing was asked")

	var slow demand
	require.Zero(t, feed(&slow, &now, 1000, 300*ms, 5*time.Second, true))
	require.Zero(t, feed(&slow, &now, 1000, 315*ms, time.Second, true))
	var first demand
	require.Zero(t, feed(&first, &now, 1000, 21*ms, 60*ms, true))
	require.Zero(t, feed(&first, &now, 1000, 240*ms, 100*ms, true), "not enough is known yet")
}
