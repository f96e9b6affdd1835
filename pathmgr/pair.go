package pathmgr

import (
	"hash/fnv"
	"time"
)

// The pauses between attempts.
const (
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// stableAfter is how long a subflow has to live for its loss to count as the first.
	stableAfter = 5 * time.Second
)

// pair is the state of the subflow that the mesh has, or wants, between two endpoints.
type pair struct {
	at    endpoints
	state pairState
	id    uint32 // of the subflow; pairUp
	// remoteID is the peer's address ID for it; pairUp.
	remoteID uint8
	since    time.Time // when it came up; pairUp
	// worked: a subflow between these endpoints was once established.
	worked bool
	// retryAt is when the next attempt may be made; pairWaiting and pairGivenUp.
	retryAt time.Time
	// failures counts those in a row, for the pause.
	failures int
}

type pairState uint8

const (
	pairIdle    pairState = iota // to be opened
	pairOpening                  // Open was asked for
	pairUp
	pairWaiting // to be opened at retryAt
	pairGivenUp // not to be opened, until something says otherwise
)

// live reports whether the pair has a subflow or is about to.
func (p *pair) live() bool { return p.state == pairOpening || p.state == pairUp }

// up notes that the subflow is established; false when the pair has another one.
func (p *pair) up(now time.Time, id uint32) bool {
	if p.state == pairUp {
		return false
	}
	p.state = pairUp
	p.id = id
	p.since = now
	p.worked = true
	return true
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
	p.retryAt = now.Add(max(p.pause(), heed(e.Reason)))
	p.state = pairWaiting
	if e.Err == nil || !p.worked && !initial {
		p.state = pairGivenUp
	}
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

// revive lets a pair be opened again that was given up, not before its pause is over: the
// peer announces as often as it likes.
func (p *pair) revive() {
	if p.state == pairGivenUp {
		p.state = pairWaiting
	}
}

// pause is the time to the next attempt: 250 ms, doubled with each failure up to 30 s, and
// up to a quarter more, so that connections that failed together do not come back together. The
// addition depends on the endpoints and the count only.
func (p *pair) pause() time.Duration {
	d := lastBackoff
	if n := p.failures - 1; n < 8 {
		d = min(firstBackoff<<n, lastBackoff)
	}
	h := fnv.New32a()
	local, remote := p.at.local.As16(), p.at.remote.Addr().As16()
	h.Write(local[:])
	h.Write(remote[:])
	h.Write([]byte{byte(p.at.remote.Port() >> 8), byte(p.at.remote.Port()), byte(p.failures)})
	return d + time.Duration(float64(d)/4*float64(h.Sum32())/(1<<32))
}
