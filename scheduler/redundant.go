package scheduler

// Redundant returns a scheduler for the least latency at the price of all capacity: every
// chunk goes on all paths that can take it, and what comes first counts (Frömmgen, Erbshäußer,
// Buchmann, Zimmermann, Wehrle: ReMP TCP, ICC 2016).
//
// Rule: every chunk goes on the path with the smallest SRTT, which is waited for when it is full,
// and at the same time on all others of the best tier with room. A slower one without room
// misses the chunk: it must not slow down the faster ones.
func Redundant() Scheduler { return redundant{} }

type redundant struct{}

func (redundant) Name() string { return "redundant" }

func (redundant) Pick(req Request, paths []Path, picked []int) []int {
	tier := bestTier(req, paths)
	fast, free := fastAndFree(req, paths)
	if free < 0 || fast != free && waitable(req, &paths[fast]) {
		return picked
	}
	for i := range paths {
		if open(req, &paths[i], tier) {
			picked = append(picked, i)
		}
	}
	return picked
}

// tailBytes is what RedundantTail takes for the end of a transfer: an initial window.
const tailBytes = 10 * 1400

// RedundantTail returns a scheduler that spends capacity on redundancy only where a late
// packet makes somebody wait: small messages, the end of a transfer, and what is sent again.
//
// Rule: everything goes as Earliest has it; a reinjection, and a chunk behind which less than 14 kB wait, at
// the same time on all other paths of the best tier with room. The idea is that of ReMP TCP (see
// Redundant), for those bytes only whose loss nothing behind them would show.
func RedundantTail() Scheduler { return redundantTail{} }

type redundantTail struct{}

func (redundantTail) Name() string { return "redundanttail" }

func (redundantTail) Pick(req Request, paths []Path, picked []int) []int {
	before := len(picked)
	picked = earliest{}.Pick(req, paths, picked)
	if len(picked) == before || !req.Reinjection && req.Waiting > tailBytes {
		return picked
	}
	tier, first := bestTier(req, paths), picked[before]
	for i := range paths {
		if i != first && open(req, &paths[i], tier) {
			picked = append(picked, i)
		}
	}
	return picked
}
