package scheduler

// tier orders paths by how much they are wanted; only those of the best tier that exists
// are considered.
type tier uint8

const (
	regular tier = iota
	backup
	staleRegular
	staleBackup
	noPath
)

func tierOf(p *Path) tier {
	reserve := p.Backup || p.LocalBackup
	switch {
	case !p.Stale && !reserve:
		return regular
	case !p.Stale:
		return backup
	case !reserve:
		return staleRegular
	default:
		return staleBackup
	}
}

// eligible reports whether p may carry the chunk at all: to send bytes again on the path
// that holds them already does not help, its own retransmission takes care of them there.
func eligible(req Request, p *Path) bool {
	return !req.Reinjection || p.ID != req.ReinjectionOf
}

// bestTier returns the best tier among the eligible paths, with room or without: a regular
// path that is full is worth waiting for, it does not open the backup ones.
func bestTier(req Request, paths []Path) tier {
	best := noPath
	for i := range paths {
		if eligible(req, &paths[i]) {
			best = min(best, tierOf(&paths[i]))
		}
	}
	return best
}

// among reports whether p is one of those that a scheduler chooses from, with room or without.
func among(req Request, p *Path, best tier) bool {
	return eligible(req, p) && tierOf(p) == best
}

// open reports whether p may take the chunk now.
func open(req Request, p *Path, best tier) bool {
	return among(req, p, best) && p.Room > 0
}
