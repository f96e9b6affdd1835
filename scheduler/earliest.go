package scheduler

import "time"

// Earliest returns the default scheduler, which estimates when bytes would arrive on each path.
//
// Rule: the chunk goes where it is expected to arrive first: half the smallest round trip, what
// queues ahead of it, and what a loss would cost: for a message as long as a tail loss probe takes,
// by all that is under way on the path. If that path is full, it
// is waited for as long as all that waits, or all that the window takes, would arrive over the
// faster paths before the chunk would over the fastest with room; else that one takes it.
//
// So a transfer that is over soon does not spread to a path that would finish it later, nor
// does a chunk on a slow path hold the window while a fast one has nothing more to send, and
// bulk data uses all paths. The questions are those of ECF and BLEST, asked of one estimate.
func Earliest() Scheduler { return earliest{} }

type earliest struct{}

func (earliest) Name() string { return "earliest" }

func (earliest) Pick(req Request, paths []Path, picked []int) []int {
	tier := bestTier(req, paths)
	best := -1
	var at float64
	for i := range paths {
		if !open(req, &paths[i], tier) {
			continue
		}
		if t := arrival(req, &paths[i]); best < 0 || t < at-preference(req, at) {
			best, at = i, t
		}
	}
	if best < 0 || aheadOf(req, paths, tier, at) >= float64(yetToSend(req)) {
		return picked
	}
	return append(picked, best)
}

// yetToSend is the number of bytes, the chunk included, that can be sent before a chunk on a slow
// path has arrived. Of those not yet confirmed a quarter is taken to be by then, and to open
// the window as far: with none of them slow paths lie idle in a window that is small for
// them, with all of them the window closes.
func yetToSend(req Request) int {
	if req.Reinjection {
		return req.Size // the window holds a place for it
	}
	return max(req.Size, min(req.Waiting, req.SendWindow+req.Unacked/4))
}

// aheadOf is how many bytes would arrive, within t seconds, over the paths that are full and would
// deliver the chunk sooner than that.
func aheadOf(req Request, paths []Path, tier tier, t float64) (bytes float64) {
	for i := range paths {
		p := &paths[i]
		if !among(req, p, tier) || p.Room > 0 || !waitable(req, p) {
			continue
		}
		if sooner := t - arrival(req, p); sooner > 0 {
			bytes += float64(chunkSize(req, p)) + sooner*rate(p)
		}
	}
	return bytes
}

// arrival is the time in seconds after which a chunk that p is given now is expected at the peer.
func arrival(req Request, p *Path) float64 {
	r := rate(p)
	trip := p.MinRTT.Seconds()
	size := float64(chunkSize(req, p))
	ahead := float64(p.InFlight + p.Unsent)
	// What is in flight beyond rate times round trip stands in a queue, or waits for the window. Of a burst that has just
	// left, all is still to come.
	t := max(trip/2+(float64(p.Unsent)+size)/r, max(untilAck(req, p), size/r)+ahead/r-trip/2)
	t += lossCost(req, p)
	if silence := overdue(req, p); silence > 0 {
		t += silence.Seconds() // who is late is expected to be so for as long again
	}
	return t
}

// untilAck is the least time in seconds until the oldest segment in flight on p, behind which the others stand in a queue,
// can be acknowledged; 0 if none does. Messages come one by one, and what one left behind says little of the next.
func untilAck(req Request, p *Path) float64 {
	if isMessage(req) || p.OldestSent.IsZero() || !queues(p) {
		return 0
	}
	return max(p.OldestSent.Add(p.MinRTT).Sub(req.Now), 0).Seconds()
}

// chunkSize is how much of the request is looked at: a segment.
func chunkSize(req Request, p *Path) int { return min(max(req.Size, 1), max(p.MSS, 1)) }

// rate is that of p in bytes/s, never 0: what a window in a round trip makes, which some controllers
// hold larger than they will send; or what was measured if that is more, which it is after
// the window was halved. Where a queue stands the path brings no more than it does, however wide the window
// is: what is under way in a round trip. That is what came in those that SRTT tells of where it was more: less may be
// under way now because the peer's window is full of what other paths carry.
func rate(p *Path) float64 {
	trip := max(p.SRTT, time.Millisecond)
	r := float64(p.Cwnd) / trip.Seconds()
	if p.PacingRate > 0 {
		r = min(r, p.PacingRate)
	}
	if queues(p) {
		r = min(r, float64(max(p.InFlight, p.Carried))/trip.Seconds())
	}
	return max(r, p.DeliveryRate, 1)
}

// queues reports whether what p carries stands in a queue.
func queues(p *Path) bool {
	return p.DeliveryRate > 0 && p.InFlight > 0 && p.SRTT-p.MinRTT > max(p.MinRTT/8, minQueue)
}

// minQueue is a delay that may have other causes than a queue.
const minQueue = 2 * time.Millisecond

// lossCost is the delay in seconds that a loss on p is expected to cause. In a transfer the segments behind it
// show it after a round trip. Of a message, often nothing does but a tail loss probe (RFC 8985
// section 7), and its last bytes wait for each one that is missing: the more is under way on p, the
// likelier one is.
func lossCost(req Request, p *Path) float64 {
	switch {
	case p.LossRatio == 0:
		return 0
	case !isMessage(req):
		return min(p.LossRatio, 0.5) * p.SRTT.Seconds()
	}
	segments := float64(p.InFlight+p.Unsent)/float64(max(p.MSS, 1)) + 1
	return min(p.LossRatio*segments, 1) * (2*p.SRTT + ackDelay).Seconds()
}

// messageBytes is what Earliest takes for a message.
const messageBytes = 64 << 10

// isMessage reports whether so little waits and is under way that the chunk is part of a message.
func isMessage(req Request) bool { return req.Waiting+req.Unacked <= messageBytes }

// preference is by how many seconds a path has to be better than one that was opened before it, and takes t seconds. A message
// stays where the ones before it went, and where Linux answers it: what is lost there, its answer too, then
// shows as a missing ACK. A sixteenth is less than measurement can tell.
func preference(req Request, t float64) float64 {
	if isMessage(req) {
		return t / 16
	}
	return 0
}
