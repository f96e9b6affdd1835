package scheduler

// ecfHysteresis is β of the paper: having once waited, ECF goes on waiting until the slow path
// is better by so much.
const ecfHysteresis = 0.25

// ECF returns a scheduler that ends transfers soonest (Lim, Nahum, Towsley, Gibbens: ECF: An
// MPTCP Path Scheduler to Manage Heterogeneous Paths, CoNEXT 2017).
//
// Rule: the path with the smallest SRTT takes the chunk if it has room. If not, the fastest one
// with room does, unless the fast path would have sent all that waits before one round trip of the
// slow one is over, and the slow one would need longer than two round trips of the fast one.
//
// What waits is counted only up to the window, which the paper leaves aside: more cannot be
// sent anyway, and a slow path would hold it.
func ECF() Scheduler { return &ecf{} }

type ecf struct {
	waiting bool
}

func (*ecf) Name() string { return "ecf" }

func (e *ecf) Pick(req Request, paths []Path, picked []int) []int {
	fast, slow := fastAndFree(req, paths)
	if slow < 0 {
		return picked
	}
	if fast != slow && waitable(req, &paths[fast]) && e.isBetterWaited(req, &paths[fast], &paths[slow]) {
		return picked
	}
	return append(picked, slow)
}

// isBetterWaited reports whether waiting for fast, which is full, ends sooner than slow.
func (e *ecf) isBetterWaited(req Request, fast, slow *Path) bool {
	backlog := float64(backlog(req))
	fastRTT, slowRTT := fast.SRTT.Seconds(), slow.SRTT.Seconds()
	margin := max(fast.RTTVar, slow.RTTVar).Seconds()
	limit := slowRTT + margin
	if e.waiting {
		limit *= 1 + ecfHysteresis
	}
	if (1+backlog/float64(max(fast.Cwnd, 1)))*fastRTT >= limit {
		e.waiting = false
		return false
	}
	if max(1, backlog/float64(max(slow.Cwnd, 1)))*slowRTT < 2*fastRTT+margin {
		return false
	}
	e.waiting = true
	return true
}
