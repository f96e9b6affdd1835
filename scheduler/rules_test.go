package scheduler

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const mss = 1400

// fastPath has 10 Mbit/s and 20 ms, and a window of that; inFlight fills it when it is 25 kB.
func fastPath(inFlight int) Path {
	return Path{
		ID: 1, SRTT: ms(20), MinRTT: ms(20), RTTVar: ms(1), Cwnd: 25_000, InFlight: inFlight, MSS: mss,
		DeliveryRate: 1.25e6, Sent: 1e6, Room: max(0, 25_000-inFlight), LastProgress: start.Add(-ms(1)),
	}
}

// slowPath has 10 Mbit/s and a round trip of rtt, and is idle.
func slowPath(rtt time.Duration) Path {
	return Path{
		ID: 2, SRTT: rtt, MinRTT: rtt, RTTVar: ms(1), Cwnd: int(1.25e6 * rtt.Seconds()), MSS: mss,
		DeliveryRate: 1.25e6, Sent: 1e6, Room: 10 * mss,
	}
}

var start = time.Unix(1000, 0)

// bulk is a request of a connection that has waiting bytes and a window.
func bulk(waiting, window, unacked int) Request {
	return Request{Now: start, Size: min(waiting, window, 64<<10), Waiting: waiting, SendWindow: window, Unacked: unacked}
}

// What the schedulers do for the slow path when the fast one is full.
func TestWaitOrUseSlow(t *testing.T) {
	const plenty = 8 << 20
	again := bulk(1000, plenty, 25_000)
	again.Reinjection, again.ReinjectionOf, again.Waiting, again.Size = true, 1, 0, 1000
	late, unmeasured, idle := fastPath(25_000), fastPath(25_000), fastPath(0)
	late.LastProgress = start.Add(-ms(500))
	unmeasured.SRTT, unmeasured.MinRTT = 0, 0
	idle.Room = 0
	for _, c := range []struct {
		name  string
		req   Request
		paths []Path
		wait  []string // the others use the slow path
	}{
		{"bulk", bulk(4<<20, plenty, 25_000), []Path{fastPath(25_000), slowPath(ms(80))}, []string{"backup", "redundant"}},
		{"bulk, far", bulk(4<<20, plenty, 25_000), []Path{fastPath(25_000), slowPath(ms(320))}, []string{"backup", "redundant"}},
		{"little waits", bulk(20_000, plenty, 25_000), []Path{fastPath(25_000), slowPath(ms(160))}, []string{"backup", "earliest", "ecf", "redundant", "redundanttail"}},
		{"little waits, near", bulk(20_000, plenty, 25_000), []Path{fastPath(25_000), slowPath(ms(22))}, []string{"backup", "redundant"}},
		{"the very end", bulk(2000, plenty, 25_000), []Path{fastPath(25_000), slowPath(ms(160))}, []string{"backup", "earliest", "ecf", "redundant", "redundanttail"}},
		{"small window, far", bulk(4<<20, 75_000, 25_000), []Path{fastPath(25_000), slowPath(ms(320))}, []string{"backup", "blest", "earliest", "ecf", "redundant", "redundanttail"}},
		{"small window, near", bulk(4<<20, 75_000, 25_000), []Path{fastPath(25_000), slowPath(ms(24))}, []string{"backup", "redundant"}},
		// The fast path brings 89 kB, or 64 kB, before a chunk has come on the slow one: more, and less, than
		// the window and a quarter of what is unconfirmed.
		{"window in use", bulk(4<<20, 60_000, 40_000), []Path{fastPath(25_000), slowPath(ms(160))}, []string{"backup", "blest", "earliest", "ecf", "redundant", "redundanttail"}},
		{"window in use, nearer", bulk(4<<20, 60_000, 40_000), []Path{fastPath(25_000), slowPath(ms(120))}, []string{"backup", "blest", "ecf", "redundant"}},
		// Nothing will come that makes room, or it is not known when: nobody has a reason to wait but
		// backup, whose path is not stale yet.
		{"fast is late", bulk(20_000, plenty, 25_000), []Path{late, slowPath(ms(160))}, []string{"backup"}},
		{"fast has no room though it is idle", bulk(20_000, plenty, 0), []Path{idle, slowPath(ms(160))}, nil},
		{"fast is not measured", bulk(20_000, plenty, 25_000), []Path{unmeasured, slowPath(ms(160))}, []string{"backup"}},
		{"from the fast one", again, []Path{fastPath(25_000), slowPath(ms(320))}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range Names() {
				f, _ := ByName(name)
				want := []int{1}
				if slices.Contains(c.wait, name) {
					want = []int{}
				}
				require.Equal(t, want, f().Pick(c.req, c.paths, []int{}), name)
			}
		})
	}
}

// A path with room that is the better one is used by all, alone but for redundancy.
func TestFastHasRoom(t *testing.T) {
	paths := []Path{fastPath(10_000), slowPath(ms(80))}
	for _, name := range Names() {
		f, _ := ByName(name)
		want := []int{0}
		if name == "redundant" {
			want = []int{0, 1}
		}
		require.Equal(t, want, f().Pick(bulk(1<<20, 8<<20, 10_000), paths, nil), name)
	}
}

// ECF goes on waiting a little longer than it would begin to (β).
func TestECFHysteresis(t *testing.T) {
	paths := []Path{fastPath(25_000), slowPath(ms(80))}
	between := bulk(80_000, 8<<20, 25_000) // 4.2 round trips of 20 ms
	s := ECF()
	require.NotEmpty(t, s.Pick(between, paths, nil))
	require.Empty(t, s.Pick(bulk(30_000, 8<<20, 25_000), paths, nil))
	require.Empty(t, s.Pick(between, paths, nil))
	require.NotEmpty(t, s.Pick(bulk(200_000, 8<<20, 25_000), paths, nil))
	require.NotEmpty(t, s.Pick(between, paths, nil))
}

// A path whose queue is long, that loses much or is silent, arrives later than its round trip says.
func TestArrival(t *testing.T) {
	req := bulk(1<<20, 8<<20, 0)
	seconds := func(change func(p *Path)) float64 {
		p := fastPath(0)
		change(&p)
		return arrival(req, &p)
	}
	empty := seconds(func(*Path) {})
	require.InDelta(t, 0.010+mss/1.25e6, empty, 1e-6)
	require.InDelta(t, empty, seconds(func(p *Path) { p.InFlight = 20_000 }), 1e-6, "on its way, not in a queue")
	require.InDelta(t, empty+0.04, seconds(func(p *Path) { p.InFlight, p.SRTT, p.Cwnd = 75_000, ms(60), 75_000 }), 1e-6, "50 kB in a queue")
	require.InDelta(t, empty, seconds(func(p *Path) { p.Cwnd, p.PacingRate = 50_000, 1.25e6 }), 1e-6, "a window that is not used up")
	require.InDelta(t, empty+0.04, seconds(func(p *Path) { p.InFlight, p.SRTT, p.Cwnd = 75_000, ms(60), 200_000 }), 1e-6, "nor is the window used up that it stands in")
	require.InDelta(t, empty+0.04, seconds(func(p *Path) {
		p.InFlight, p.Carried, p.SRTT, p.Cwnd, p.DeliveryRate = 75_000, 37_500, ms(60), 200_000, 1
	}), 1e-6, "more is under way than before")
	require.InDelta(t, empty, seconds(func(p *Path) {
		p.InFlight, p.Carried, p.SRTT, p.Cwnd, p.DeliveryRate = 25_000-mss, 75_000, ms(60), 200_000, 1
	}), 1e-6, "less is under way than stood in the queue")
	burst := func(left time.Duration) float64 {
		return seconds(func(p *Path) {
			p.InFlight, p.SRTT, p.Cwnd, p.DeliveryRate, p.OldestSent = 37_500, ms(30), 37_500, 1, start.Add(-left)
		})
	}
	require.InDelta(t, empty+0.010, burst(ms(30)), 1e-6, "12.5 kB in a queue")
	require.InDelta(t, 0.020+37_500/1.25e6-0.010, burst(0), 1e-6, "all of it is still to come")
	require.InDelta(t, empty+0.008, seconds(func(p *Path) { p.Unsent = 10_000 }), 1e-6)
	require.InDelta(t, empty+0.002, seconds(func(p *Path) { p.LossRatio = 0.1 }), 1e-6)
	require.InDelta(t, empty+0.3, seconds(func(p *Path) { p.InFlight, p.LastProgress = 1400, start.Add(-ms(300)) }), 1e-6)
	require.InDelta(t, empty, seconds(func(p *Path) { p.LastProgress = start.Add(-time.Hour) }), 1e-6, "nothing to answer")
}

// A message keeps away from a path that loses, the more of it there is the more, but for a path that is nearer by
// more than that costs. Bulk data does not care.
func TestEarliestAvoidsLosses(t *testing.T) {
	lossy, clean := fastPath(0), fastPath(0)
	lossy.LossRatio = 0.02
	clean.ID, clean.MinRTT, clean.SRTT = 2, ms(21), ms(21)
	pick := func(req Request) []int { return Earliest().Pick(req, []Path{lossy, clean}, nil) }
	require.Equal(t, []int{1}, pick(bulk(1000, 8<<20, 0)))
	require.Equal(t, []int{0}, pick(bulk(4<<20, 8<<20, 0)))
	clean.MinRTT, clean.SRTT = ms(24), ms(24) // 2 ms later; a loss costs 1.6 ms
	require.Equal(t, []int{0}, pick(bulk(1000, 8<<20, 0)))
	lossy.InFlight = 2 * mss // of the message: one of three is lost more often
	require.Equal(t, []int{1}, pick(bulk(1000, 8<<20, 2*mss)))
	lossy.InFlight = 0
	lossy.LossRatio = 0
	require.Equal(t, []int{0}, pick(bulk(1000, 8<<20, 0)))
}

// A message stays on the path that was opened first where another one is better by less than can be measured. Bulk data
// has no such preference.
func TestEarliestPrefersTheFirst(t *testing.T) {
	first, second := fastPath(0), fastPath(0)
	second.ID = 2
	pick := func(req Request, rtt time.Duration) []int {
		first.MinRTT, first.SRTT, first.Cwnd = rtt, rtt, int(1.25e6*rtt.Seconds())
		return Earliest().Pick(req, []Path{first, second}, nil)
	}
	for _, size := range []int{1000, 64 << 10} {
		require.Equal(t, []int{0}, pick(bulk(size, 8<<20, 0), 20*time.Millisecond+time.Millisecond/2), "%d", size)
		require.Equal(t, []int{1}, pick(bulk(size, 8<<20, 0), 23*time.Millisecond), "%d", size)
	}
	require.Equal(t, []int{1}, pick(bulk(64<<10+1, 8<<20, 0), 20*time.Millisecond+time.Millisecond/2))
}

// A path is late when nothing has come for a round trip and four times its variation, or for as long as a peer may think
// about an ACK.
func TestOverdue(t *testing.T) {
	for _, c := range []struct{ rttvar, silence, want time.Duration }{
		{ms(1), ms(59), 0},
		{ms(1), ms(61), ms(61)},
		{ms(20), ms(99), 0},
		{ms(20), ms(101), ms(101)},
	} {
		p := fastPath(1000)
		p.RTTVar, p.LastProgress = c.rttvar, start.Add(-c.silence)
		require.Equal(t, c.want, overdue(Request{Now: start}, &p))
	}
}

// Turns are as long as paths are fast.
func TestRoundRobinByRate(t *testing.T) {
	paths := []Path{{ID: 1, Room: 1e9, MSS: mss, DeliveryRate: 4e6}, {ID: 2, Room: 1e9, MSS: mss, DeliveryRate: 1e6}, {ID: 3, Room: 1e9, MSS: mss}}
	s := RoundRobin()
	for range 2100 {
		picked := s.Pick(Request{Size: 1 << 20}, paths, nil)
		require.Len(t, picked, 1)
		paths[picked[0]].Sent += mss
	}
	require.InDelta(t, 1600*mss, paths[0].Sent, 16*mss)
	require.InDelta(t, 400*mss, paths[1].Sent, 16*mss)
	require.InDelta(t, 100*mss, paths[2].Sent, 16*mss, "not measured: a chunk a turn")
}

func TestRedundantTail(t *testing.T) {
	paths := []Path{fastPath(0), slowPath(ms(80))}
	s := RedundantTail()
	require.Equal(t, []int{0}, s.Pick(bulk(100_000, 8<<20, 0), paths, nil))
	require.Equal(t, []int{0, 1}, s.Pick(bulk(14_000, 8<<20, 0), paths, nil))
	again := Request{Now: start, Size: 100_000, Waiting: 1 << 20, SendWindow: 8 << 20, Reinjection: true, ReinjectionOf: 7}
	require.Equal(t, []int{0, 1}, s.Pick(again, paths, nil))
}

func TestBackupKeepsToTheFirst(t *testing.T) {
	near := slowPath(ms(1))
	pick := func(p ...Path) []int { return Backup().Pick(bulk(1<<20, 8<<20, 0), p, nil) }
	require.Equal(t, []int{1}, pick(near, fastPath(0)))
	stale := fastPath(0)
	stale.Stale = true
	require.Equal(t, []int{0}, pick(near, stale))
	require.Equal(t, []int{0}, pick(near))
	again := Request{Now: start, Size: 1000, Waiting: 1 << 20, Reinjection: true, ReinjectionOf: fastPath(0).ID}
	require.Equal(t, []int{0}, Backup().Pick(again, []Path{near, fastPath(0)}, nil))
	again.Opportunistic = true
	require.Empty(t, Backup().Pick(again, []Path{near, fastPath(0)}, nil), "that would be capacity")
}

// randomPaths is a connection's subflows in any state, some of it nonsense.
func randomPaths(r *rand.Rand) []Path {
	paths := make([]Path, r.IntN(5))
	some := func(n int) int { return r.IntN(n) * r.IntN(2) }
	for i := range paths {
		paths[i] = Path{
			ID: uint32(3*i + 1), Backup: r.IntN(4) == 0, LocalBackup: r.IntN(4) == 0, Stale: r.IntN(4) == 0,
			SRTT: ms(some(500)), RTTVar: ms(some(50)), MinRTT: ms(some(500)),
			Cwnd: some(1 << 20), InFlight: some(1 << 20), Unsent: some(1 << 16), Room: some(1 << 16),
			DeliveryRate: float64(some(1 << 30)), PacingRate: float64(some(1 << 30)), MSS: some(9000),
			Sent: uint64(some(1 << 30)), Lost: uint64(some(1 << 30)), LossRatio: r.Float64(), LastProgress: start.Add(ms(some(1000) - 1000)),
		}
	}
	r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	return paths
}

// Whatever the paths are: only those with room that may carry the chunk are picked, each once,
// none worse than another that works. And waiting ends: where a path has room, and nothing is
// under way on the others, or nothing has come back from them for long, it is used.
func TestPicksAreSound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range Names() {
		f, _ := ByName(name)
		s := f()
		for range 20_000 {
			paths := randomPaths(r)
			req := Request{Now: start, Size: 1 + r.IntN(1<<16), Waiting: r.IntN(1 << 20), SendWindow: r.IntN(1 << 20), Unacked: r.IntN(1 << 20),
				Reinjection: r.IntN(3) == 0, ReinjectionOf: uint32(3*r.IntN(5) + 1)}
			picked := s.Pick(req, paths, nil)
			free, tier := requireSound(t, name, req, paths, picked)
			if len(free) == 0 || len(picked) > 0 {
				continue
			}
			for i := range paths {
				if paths[i].Room == 0 {
					paths[i].LastProgress = start.Add(-time.Hour)
				}
			}
			if name == "backup" { // waits until the path is stale
				for i := range paths {
					paths[i].Stale = paths[i].Stale || paths[i].Room == 0
				}
				require.NotEmpty(t, free)
			}
			require.NotEmpty(t, s.Pick(req, paths, nil), "%s starves: %+v %+v %v", name, req, paths, tier)
		}
	}
}

// requireSound checks one pick and returns the paths that could have been picked.
func requireSound(t *testing.T, name string, req Request, paths []Path, picked []int) (free []int, best tier) {
	t.Helper()
	best = bestTier(req, paths)
	for i := range paths {
		if tierOf(&paths[i]) == best && paths[i].Room > 0 && !(req.Reinjection && paths[i].ID == req.ReinjectionOf) {
			free = append(free, i)
		}
	}
	seen := map[int]bool{}
	for _, i := range picked {
		require.Contains(t, free, i, name)
		require.False(t, seen[i], name)
		seen[i] = true
	}
	return free, best
}
