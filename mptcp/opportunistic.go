package mptcp

import (
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
)

// Opportunistic retransmission and penalties (Raiciu et al.: How Hard Can It Be? Designing and
// Implementing a Deployable Multipath TCP, NSDI 2012, section 4.2): when the peer's window is full
// because its first bytes travel a slow path, a faster one that has nothing else to do brings
// them again, and the slow one gets less to hold, once in its round trip.

// nextBlocking returns the bytes at the left edge of a window that is full if another subflow, which is
// nearly idle, would bring them sooner; none if not. c.mu is held.
func (c *Conn) nextBlocking(now time.Time) (r reinjection, ok bool) {
	if !slices.ContainsFunc(c.subs, (*sub).isStarved) {
		return r, false // as it mostly is, at less cost than to find out the rest
	}
	una := c.shared.SndUna
	p := c.tx.placed.newest(una) // where they are repeated is faster still, so once is enough
	slow := c.byID(p.sub)
	if slow == nil || !c.hasFaster(slow, now.Sub(p.at)) {
		return r, false
	}
	n := min(int(p.end().Sub(una)), c.tx.redundancy.left())
	return reinjection{dsn: una, n: n, from: slow.ID}, n > 0
}

// isStarved reports whether s could send a lot more than it does.
func (s *sub) isStarved() bool {
	if !s.works() || s.suspect || s.Sender().Room() == 0 {
		return false
	}
	st := s.Sender().Snapshot()
	return 4*st.InFlight <= st.Cwnd
}

// hasFaster reports whether a starved subflow would bring bytes before slow does, which was given them
// some time ago. If they are overdue there, and thus lost perhaps, a much shorter way is worth it.
func (c *Conn) hasFaster(slow *sub, ago time.Duration) bool {
	trip := slow.Sender().SRTT()
	left := trip - ago
	if left < 0 {
		left = trip / 2
	}
	return slices.ContainsFunc(c.subs, func(s *sub) bool {
		if !s.isStarved() || s.isBackup() && !slow.isBackup() {
			return false
		}
		rtt := s.Sender().SRTT()
		return rtt > 0 && rtt < left
	})
}

// repeated notes that the first n bytes of what nextBlocking returned were placed on a faster subflow.
func (c *Conn) repeated(now time.Time, r reinjection, n int) {
	c.tx.redundancy.spend(n)
	c.tx.reinjects += uint64(n)
	c.host.mib.Add(mib.OpportunisticRetrans)
	s := c.byID(r.from)
	// It is to blame if it holds most of the window.
	most := int64(2*s.Sender().Queued()) > c.tx.edge.Sub(c.shared.SndUna)
	if trip := s.Sender().SRTT(); most && now.Sub(s.penalisedAt) >= trip && s.Sender().Penalise(now) {
		s.penalisedAt = now
		c.host.mib.Add(mib.SubflowPenalised)
	}
}
