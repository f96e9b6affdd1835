package scheduler

// Backup returns a scheduler that adds no capacity but keeps the connection alive: all bytes
// go on one path, the others stand by.
//
// Rule: of the best tier, the path with the lowest ID, which is the one that was opened first,
// takes everything and is waited for while it is busy. Another one takes over when that is stale
// or gone, and gives way again when it works. Opportunistic reinjections are not made.
func Backup() Scheduler { return standby{} }

type standby struct{}

func (standby) Name() string { return "backup" }

func (standby) Pick(req Request, paths []Path, picked []int) []int {
	if req.Opportunistic {
		return picked // that would be capacity
	}
	tier := bestTier(req, paths)
	first := -1
	for i := range paths {
		p := &paths[i]
		busy := p.InFlight+p.Unsent > 0 && !p.Stale
		if among(req, p, tier) && (p.Room > 0 || busy) && (first < 0 || p.ID < paths[first].ID) {
			first = i
		}
	}
	if first < 0 || paths[first].Room <= 0 {
		return picked
	}
	return append(picked, first)
}
