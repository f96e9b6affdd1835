package scheduler

// RoundRobin returns a scheduler that gives chunks to the paths with room in turn, in the
// order of their IDs. Backup and stale paths and reinjections are treated as by MinRTT.
func RoundRobin() Scheduler { return &roundRobin{} }

// roundRobin remembers whose turn it was by ID, so that paths may come and go between calls.
type roundRobin struct {
	last uint32
}

func (*roundRobin) Name() string { return "roundrobin" }

func (r *roundRobin) Pick(req Request, paths []Path, picked []int) []int {
	tier := bestTier(req, paths)
	next := -1
	for i := range paths {
		if !eligible(req, &paths[i]) || tierOf(&paths[i]) != tier || paths[i].Room <= 0 {
			continue
		}
		if next < 0 || r.turn(paths[i].ID) < r.turn(paths[next].ID) {
			next = i
		}
	}
	if next < 0 {
		return picked
	}
	r.last = paths[next].ID
	return append(picked, next)
}

// turn returns how far path id is from its turn: 0 for the first ID after the last one
// served, and the greatest value for that one itself. The subtraction wraps, which makes the
// lowest ID follow the highest.
func (r *roundRobin) turn(id uint32) uint32 { return id - r.last - 1 }
