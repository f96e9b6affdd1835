package pathmgr

import (
	"hash/fnv"
	"time"
)

// The pauses between attempts.
const (
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// firstBeat is the time from one attempt to the next while no subflow is left; every third
	// failure doubles it.
	firstBeat = 300 * time.Millisecond
	// stableAfter is how long a subflow has to live for its loss to count as the first.
	stableAfter = 5 * time.Second
)

// pair is the state of the subflow that the mesh has, or wants, between two endpoints.
type pair struct {
	at    endpoints
	slot  int
	wish  wish // that led to the last attempt
	state pairState
	id    uint32 // of the subflow; pairUp
	// remoteID is the peer's address ID for it; pairUp.
	remoteID uint8
	backup   bool      // pairUp
	since    time.Time // when it came up; pairUp
	// tried is when the last attempt began, zero if there was none.
	tried time.Time
	// worked: a subflow between these endpoints was once established.
	worked bool
	// rtt is the round-trip time of the last one, 0 if not known.
	rtt time.Duration
	// ended is when the last subflow or attempt ended; pairWaiting and pairGivenUp.
	ended time.Time
	// heed is when the peer allows the next attempt, zero if it said nothing of that.
	heed time.Time
	// failures counts those in a row, for the pause.
	failures int
}

type pairState uint8

const (
	pairIdle    pairState = iota // to be opened
	pairOpening                  // Open was asked for
	pairUp
	pairWaiting // to be opened when the pause is over
	pairGivenUp // not to be opened, until something says otherwise
)

// live reports whether the pair has a subflow or is about to.
func (p *pair) live() bool { return p.state == pairOpening || p.state == pairUp }

// opening notes that an attempt begins.
func (p *pair) opening(now time.Time) { p.state, p.tried = pairOpening, now }

// up notes that the subflow is established.
func (p *pair) up(now time.Time, id uint32) {
	p.state = pairUp
	p.id = id
	p.since = now
	p.worked = true
}

// concerns reports whether the end of a subflow is that of this pair's, and not of an
// earlier one between the same addresses.
func (p *pair) concerns(e SubflowDown) bool {
	switch p.state {
	case pairUp:
		return e.Established && e.ID == p.id
	case pairOpening:
		return !e.Established
	default:
		return false
	}
}

// down notes the end of the subflow, or of the attempt, and says what comes next.
func (p *pair) down(now time.Time, e SubflowDown, initial bool) {
	if p.state == pairUp && now.Sub(p.since) >= stableAfter {
		p.failures = 0
	}
	p.failures++
	p.ended = now
	p.heed = time.Time{}
	if wait := heed(e.Reason); wait > 0 {
		p.heed = now.Add(wait)
	}
	if e.RTT > 0 {
		p.rtt = e.RTT
	}
	p.state = pairWaiting
	if e.Err == nil || !p.worked && !initial && !invited(e) {
		p.state = pairGivenUp
	}
}

// invited reports whether the peer has answered that another attempt is worth it (8684-3.6-02). That is no failure
// as of an address where nobody knows the connection, which is not tried again (8684-3.9.3-02).
func invited(e SubflowDown) bool { return e.Reason != 0 && !e.Permanent }

// dueAt is when the next attempt may begin, which may be long ago. urgent: there is no other
// subflow.
func (p *pair) dueAt(urgent bool) time.Time {
	var at time.Time
	switch {
	case p.state == pairIdle:
	case !urgent:
		at = p.ended.Add(p.spread(p.backoff()))
	case !p.tried.IsZero():
		at = p.tried.Add(p.spread(p.beat()))
	}
	if at.Before(p.heed) && p.state != pairIdle {
		at = p.heed
	}
	return at
}

// heed is how long to wait at least after a reset, by the reason that the peer gave (RFC 8684
// section 3.6).
func heed(reason uint8) time.Duration {
	switch reason {
	case 2: // lack of resources
		return 5 * time.Second
	case 4, 5: // too much outstanding data; unacceptable performance
		return time.Second
	default:
		return 0
	}
}

// reset lets the pair be opened at once: its local address came back.
func (p *pair) reset() {
	if !p.live() {
		p.state = pairIdle
		p.failures = 0
	}
}

// waited ends the pause before the next attempt, but for what the peer asked for.
func (p *pair) waited() {
	if p.state == pairWaiting {
		p.failures, p.ended, p.tried = 0, time.Time{}, time.Time{}
	}
}

// revive lets a pair be opened again that was given up, not before its pause is over: the
// peer announces as often as it likes.
func (p *pair) revive() {
	if p.state == pairGivenUp {
		p.state = pairWaiting
	}
}

// backoff is the pause after an attempt: 250 ms, doubled with each failure up to 30 s.
func (p *pair) backoff() time.Duration {
	if n := max(p.failures-1, 0); n < 8 {
		return min(firstBackoff<<n, lastBackoff)
	}
	return lastBackoff
}

// beat is the time from one attempt to the next while no subflow is left.
func (p *pair) beat() time.Duration {
	if n := max(p.failures-1, 0) / 3; n < 8 {
		return min(firstBeat<<n, lastBackoff)
	}
	return lastBackoff
}

// patience is how long the answer to an attempt is waited for while no subflow is left: no longer
// than to the next one, but for three round trips.
func (p *pair) patience() time.Duration { return max(p.beat(), 3*p.rtt) }

// spread adds up to a quarter, so that connections that failed together do not come back
// together. The addition depends on the endpoints and the number of failures only.
func (p *pair) spread(d time.Duration) time.Duration {
	h := fnv.New32a()
	local, remote := p.at.local.As16(), p.at.remote.Addr().As16()
	h.Write(local[:])
	h.Write(remote[:])
	h.Write([]byte{byte(p.at.remote.Port() >> 8), byte(p.at.remote.Port()), byte(p.failures), byte(p.slot)})
	return d + time.Duration(float64(d)/4*float64(h.Sum32())/(1<<32))
}
