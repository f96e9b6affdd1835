package scheduler

import "time"

// waitable reports whether it makes sense to leave another path idle until p, which is full, has
// room again: what is in flight there will be acknowledged, and its acknowledgment is not
// overdue. It ends every wait: either room comes, or nothing is in flight, or it is late.
func waitable(req Request, p *Path) bool {
	return p.SRTT > 0 && p.InFlight+p.Unsent > 0 && overdue(req, p) == 0
}

// overdue is for how long p has been silent, if that is longer than its round trips take.
func overdue(req Request, p *Path) time.Duration {
	silence := req.Now.Sub(p.LastProgress)
	if p.InFlight+p.Unsent == 0 || p.LastProgress.IsZero() || silence <= p.SRTT+max(4*p.RTTVar, ackDelay) {
		return 0
	}
	return silence
}

// ackDelay is how long a peer may think about an ACK.
const ackDelay = 40 * time.Millisecond

// backlog is how many of the bytes that wait can be sent before the window opens further. The
// window holds a place for those that are sent again.
func backlog(req Request) int {
	if req.Reinjection {
		return req.Size
	}
	return min(max(req.Waiting, req.Size), max(req.SendWindow, req.Size))
}
