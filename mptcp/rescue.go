package mptcp

import (
	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/seq"
)

// Rescue: when the acknowledgments of a subflow are late, what waits for them is sent again on
// another one that works, the oldest first, as fast as that takes it. It stops as soon as
// the subflow answers. Nothing is lost then, but what was sent twice; the budget, see
// redundancy, bounds that.

// needsRescue reports whether what s holds is to be sent elsewhere on suspicion.
func (s *sub) needsRescue() bool {
	return (s.suspect || s.stale) && s.isUsable()
}

// nextRescue returns the oldest bytes that wait on a subflow whose acknowledgments are late, none if
// there are none, or no more may be sent on suspicion. c.mu is held.
func (c *Conn) nextRescue() (r reinjection, ok bool) {
	left := c.tx.redundancy.left()
	if left <= 0 {
		return r, false
	}
	for _, s := range c.subs {
		if !s.needsRescue() {
			continue
		}
		if o, found := c.rescueOf(s); found && (!ok || o.dsn.Less(r.dsn)) {
			r, ok = o, true
		}
	}
	r.n = min(r.n, left)
	return r, ok
}

// rescueOf returns the next bytes to be rescued from s.
func (c *Conn) rescueOf(s *sub) (reinjection, bool) {
	for {
		o, ok := s.Sender().OutstandingFrom(s.rescued)
		if !ok {
			return reinjection{}, false
		}
		skip := int(min(max(c.shared.SndUna.Sub(o.DSN), 0), int64(o.N)))
		if at := o.DSN.Add(skip); skip < o.N && !c.isCopied(at, s) {
			return reinjection{dsn: at, n: o.N - skip, from: s.ID}, true
		}
		s.rescued = o.Offset + uint64(o.N)
	}
}

// canRescue reports whether s holds bytes that the peer's connection has not confirmed.
func (c *Conn) canRescue(s *sub) bool {
	_, ok := c.rescueOf(s)
	return ok
}

// isCopied reports whether another subflow, which works, has been given the byte at dsn too.
func (c *Conn) isCopied(dsn seq.DSN, s *sub) bool {
	for _, o := range c.subs {
		if o != s && o.works() && !o.suspect && c.tx.placed.has(dsn, o.ID) {
			return true
		}
	}
	return false
}

// rescuedSome notes that the first n bytes of what nextRescue returned were placed elsewhere.
func (c *Conn) rescuedSome(r reinjection, n int) {
	s := c.byID(r.from)
	o, _ := s.Sender().OutstandingFrom(s.rescued)
	s.rescued = o.Offset + uint64(r.dsn.Sub(o.DSN)) + uint64(n)
	c.tx.placed.moved(r.dsn.Add(n), s.ID)
	c.tx.redundancy.spend(n)
	c.tx.reinjects += uint64(n)
	c.host.mib.AddN(mib.RescuedBytes, n)
}

// suspect has what s holds sent again elsewhere.
func (c *Conn) suspect(s *sub) {
	s.suspect = true
	c.host.mib.Add(mib.SubflowLate)
	c.logf("no answers, sending again elsewhere", s)
}
