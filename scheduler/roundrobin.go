package scheduler

// turnSegments is what the fastest path takes in one turn.
const turnSegments = 16

// RoundRobin returns a scheduler that serves the paths with room in turn, in the order of their
// IDs: for comparison, and for paths that are alike (Paasch, Ferlin, Alay, Bonaventure: Experimental Evaluation of
// Multipath TCP Schedulers, CSWS 2014). Backup and stale paths and reinjections are treated as by MinRTT.
//
// Rule: a turn is 16 segments for the path with the highest delivery rate, and in proportion less for
// the others, at least one chunk; it ends early when the path is full. Until a rate is
// measured a turn is one chunk.
func RoundRobin() Scheduler { return &roundRobin{} }

// roundRobin remembers whose turn it was by ID, so that paths may come and go between calls.
type roundRobin struct {
	last uint32
	// until ends its turn: the value of Path.Sent+Path.Unsent.
	until uint64
}

func (*roundRobin) Name() string { return "roundrobin" }

func (r *roundRobin) Pick(req Request, paths []Path, picked []int) []int {
	tier := bestTier(req, paths)
	next, top := -1, 0.0
	for i := range paths {
		p := &paths[i]
		if !among(req, p, tier) {
			continue
		}
		top = max(top, p.DeliveryRate)
		if p.Room <= 0 {
			continue
		}
		if p.ID == r.last && placed(p) < r.until {
			return append(picked, i)
		}
		if next < 0 || r.turn(p.ID) < r.turn(paths[next].ID) {
			next = i
		}
	}
	if next < 0 {
		return picked
	}
	p := &paths[next]
	r.last, r.until = p.ID, placed(p)
	if top > 0 {
		r.until += uint64(turnSegments * float64(p.MSS) * p.DeliveryRate / top)
	}
	return append(picked, next)
}

// placed is the number of bytes that p has ever been given.
func placed(p *Path) uint64 { return p.Sent + uint64(p.Unsent) }

// turn returns how far path id is from its turn: 0 for the first ID after the last one
// served, and the greatest value for that one itself. The subtraction wraps, which makes the
// lowest ID follow the highest.
func (r *roundRobin) turn(id uint32) uint32 { return id - r.last - 1 }
