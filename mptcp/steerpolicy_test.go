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
	settled := func(p *steeredPath) { p.settled = true }
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
		{"so near that few ms mean nothing", small, false, []steeredPath{{rtt: 2 * ms}, {rtt: 8 * ms}}, []bool{false, false}},
		{"not measured", small, false, []steeredPath{near, {}}, []bool{false, false}},
		{"one path", small, false, []steeredPath{resting(far)}, []bool{false}},
		{"far, but there is much to send", small, true, []steeredPath{near, resting(far)}, []bool{false, false}},
		{"rests by its SYN, and is near", small, false, []steeredPath{near, with(near, bySYN)}, []bool{false, false}},
		{"rests by its SYN, and loses less", small, false, []steeredPath{lossy(near, 0.01), with(near, bySYN)}, []bool{true, false}},
		{"rests by its SYN, and is far", small, false, []steeredPath{near, with(far, bySYN)}, []bool{false, true}},
		{"lossy", small, false, []steeredPath{lossy(near, 0.02), near}, []bool{true, false}},
		{"lossy, in bulk", small, true, []steeredPath{lossy(near, 0.02), near}, []bool{false, false}},
		{"lossy, five times as much", small, false, []steeredPath{lossy(near, 0.02), lossy(near, 0.004)}, []bool{true, false}},
		{"both lossy", small, false, []steeredPath{lossy(near, 0.02), lossy(near, 0.01)}, []bool{false, false}},
		{"lossy, and the other one is too far to be better", small, false, []steeredPath{lossy(near, 0.02), far}, []bool{false, true}},
		{"so lossy that the far one is better", small, false, []steeredPath{lossy(near, 0.3), far}, []bool{true, false}},
		{"large answers lose more often", large, false, []steeredPath{lossy(near, 0.02), far}, []bool{false, false}},
		{"what rests goes on resting", small, false, []steeredPath{resting(near), near}, []bool{true, false}},
		{"until it is clearly better", small, false, []steeredPath{resting(near), lossy(near, 0.05)}, []bool{false, true}},
		{"not a little", small, false, []steeredPath{resting(near), lossy(with(near, settled), 0.01)}, []bool{true, false}},
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
		bySYN  bool // it has rested from its SYN on
		want   bool
	}{
		{"nothing has come", demand{}, false, true},
		{"the first answer is coming", demand{bytes: 1000, last: now}, false, false},
		{"it has come", demand{bytes: 1000, last: now.Add(-time.Second)}, false, true},
		{"a small one, as before", demand{bytes: 10_000, before: 1000, last: now}, false, true},
		{"a long one", demand{bytes: 100_000, before: 1000, last: now}, false, false},
		{"a long one that it has no part in", demand{bytes: 100_000, before: 1000, last: now}, true, true},
	} {
		c.demand.lossWeight, c.demand.rtt = 1, 20*ms
		paths := []steeredPath{{rtt: 20 * ms, losses: 0.02, rests: c.bySYN}, {rtt: 20 * ms}}
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

// After four answers it is known what is late: by 20 ms, or one and a half round trips.
func TestDemandLateness(t *testing.T) {
	for _, c := range []struct {
		rtt, took time.Duration
		answers   int
		late      bool
	}{
		{2 * ms, 24 * ms, 4, false},
		{2 * ms, 26 * ms, 4, true},
		{2 * ms, 26 * ms, 3, false},
		{40 * ms, 60 * ms, 4, false},
		{40 * ms, 70 * ms, 4, true},
	} {
		d := demand{typical: 5 * ms, answers: c.answers, rtt: c.rtt}
		require.Equal(t, c.late, d.answered(c.took), c)
	}
	var d demand // that of an eighth of the answers is the newest one's
	for range 100 {
		d.answered(20 * ms)
	}
	for range 16 {
		d.answered(30 * ms)
	}
	require.InDelta(t, 29*ms, d.typical, float64(ms))
}

// A question counts from its first byte on, and only when the peer has got it all.
func TestDemandQuestion(t *testing.T) {
	for _, c := range []struct{ confirmed, late bool }{{true, true}, {false, false}} {
		now := time.Unix(1000, 0)
		d := demand{typical: 5 * ms, answers: learnAnswers}
		d.ask(now)
		d.ask(now.Add(28 * ms))
		require.Equal(t, c.late, d.arrive(now.Add(30*ms), 1000, c.confirmed))
	}
}

// The round trips that count are the longest of the paths that the peer may use, as they are now; the size of an answer
// that of the longer one of the last two.
func TestDemandJudges(t *testing.T) {
	path := func(rtt time.Duration) steeredPath { return steeredPath{rtt: rtt, srtt: rtt + ms} }
	near, far, resting, silent := path(20*ms), path(80*ms), path(90*ms), path(100*ms)
	resting.rests, silent.silent = true, true
	var d demand
	for _, paths := range [][]steeredPath{{near, far}, {far, near}, {far, resting, silent}} {
		d.judge(time.Unix(1000, 0), paths)
		require.Equal(t, [2]time.Duration{80 * ms, 81 * ms}, [2]time.Duration{d.rtt, d.srtt})
	}
	d.judge(time.Unix(1000, 0), []steeredPath{near})
	require.Equal(t, [2]time.Duration{20 * ms, 21 * ms}, [2]time.Duration{d.rtt, d.srtt})
	require.Equal(t, 2000, (&demand{bytes: 2000, before: 1000}).size())
	require.Equal(t, 2000, (&demand{bytes: 1000, before: 2000}).size())
}
