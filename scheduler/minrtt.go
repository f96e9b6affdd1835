package scheduler

import "time"

// MinRTT returns the plainest scheduler, which was the first one of MPTCP on Linux (Raiciu, Paasch, Barré, Ford, Honda,
// Duchene, Bonaventure, Handley: How Hard Can It Be?, NSDI 2012).
//
// Rule: of the paths with room, the one with the smallest smoothed round-trip time. Backup paths are used only when
// there is no regular path at all (a regular path without room is waited for), stale ones only when there is
// nothing else. A reinjection never goes to the path that held the bytes.
func MinRTT() Scheduler { return minRTT{} }

type minRTT struct{}

func (minRTT) Name() string { return "minrtt" }

func (minRTT) Pick(req Request, paths []Path, picked []int) []int {
	tier := bestTier(req, paths)
	best := -1
	for i := range paths {
		if !open(req, &paths[i], tier) {
			continue
		}
		if best < 0 || faster(paths[i].SRTT, paths[best].SRTT) {
			best = i
		}
	}
	if best < 0 {
		return picked
	}
	return append(picked, best)
}

// faster reports whether round-trip time a is smaller than b; a time not yet measured (0)
// is larger than all others.
func faster(a, b time.Duration) bool {
	return a > 0 && (b <= 0 || a < b)
}
