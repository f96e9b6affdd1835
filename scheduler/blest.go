package scheduler

// blestMargin is the factor λ of the paper with which a scheduler that has no feedback begins.
const blestMargin = 1.2

// BLEST returns a scheduler that avoids head-of-line blocking of the send window (Ferlin, Alay,
// Mehani, Boreli: BLEST, IFIP Networking 2016).
//
// Rule: the path with the smallest SRTT takes the chunk if it has room. If not, the fastest
// one with room does, unless what the fast path could send during the round trip of the slow
// one, times 1.2, is more than the window leaves beside the bytes on the slow one: then the slow
// one's bytes would close the window, and the fast path is waited for.
//
// The factor is fixed: the paper's adapts to how often the window did close.
func BLEST() Scheduler { return blest{} }

type blest struct{}

func (blest) Name() string { return "blest" }

func (blest) Pick(req Request, paths []Path, picked []int) []int {
	fast, slow := fastAndFree(req, paths)
	if slow < 0 {
		return picked
	}
	if fast != slow && waitable(req, &paths[fast]) && !req.Reinjection && blocks(req, &paths[fast], &paths[slow]) {
		return picked
	}
	return append(picked, slow)
}

// blocks reports whether a segment on slow would still hold the window when fast could have
// filled it.
func blocks(req Request, fast, slow *Path) bool {
	rounds := slow.SRTT.Seconds() / fast.SRTT.Seconds()
	sent := (float64(fast.Cwnd) + float64(fast.MSS)*(rounds-1)/2) * rounds
	window := req.SendWindow + req.Unacked - slow.InFlight - slow.Unsent - slow.MSS
	return sent*blestMargin > float64(window)
}

// fastAndFree returns the path of the best tier with the smallest SRTT, and the one with the
// smallest SRTT among those with room; -1 if there is none.
func fastAndFree(req Request, paths []Path) (fast, free int) {
	tier := bestTier(req, paths)
	fast, free = -1, -1
	for i := range paths {
		p := &paths[i]
		if !among(req, p, tier) {
			continue
		}
		if fast < 0 || faster(p.SRTT, paths[fast].SRTT) {
			fast = i
		}
		if p.Room > 0 && (free < 0 || faster(p.SRTT, paths[free].SRTT)) {
			free = i
		}
	}
	// Of two that are equally fast the one with room is the fast one.
	if free >= 0 && paths[free].SRTT == paths[fast].SRTT {
		fast = free
	}
	return fast, free
}
