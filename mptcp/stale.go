package mptcp

import (
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// staleBackoffs is after how many RTOs in a row a subflow is stale, if nothing has told that
	// before.
	staleBackoffs = 1
	// deadBackoffs is after how many a stale subflow is given up if another one works.
	deadBackoffs = 7
	// maxBackoffs is after how many any subflow is given up, after some eight minutes (RFC 9293
	// section 3.8.3).
	maxBackoffs = 15
	// maxLag is by how much our timer may fire late: if it is later we did not run, and what has
	// come meanwhile is read first, for which lagPause is the time.
	maxLag, lagPause = 5 * time.Millisecond, 10 * time.Millisecond
	// lagAgain is after how long that may be so again: a machine that is always late shall notice, too.
	lagAgain = 100 * time.Millisecond
)

// silence is what is made of a subflow's making no progress.
type silence struct {
	// lateAt is when its acknowledgments were found to be late; zero: they are not.
	lateAt time.Time
	// suspect: what waits for them is sent again elsewhere, see rescue.go.
	suspect bool
	// stale: it gets no new data, and others do its work, backups among them. staleAt is since when.
	stale   bool
	staleAt time.Time
	// emptied: all that it holds has been queued for others.
	emptied bool
}

// checkStale finds subflows that make no progress. When acknowledgments are late, the others
// are asked whether they work, and what waits is sent again on one that is no worse. When
// nothing comes for longer, while something does elsewhere, the subflow is stale. One that
// stays silent while another works is given up. c.mu is held.
func (c *Conn) checkStale(now time.Time) {
	c.noteLag(now)
	for _, s := range c.subs {
		if !s.talks() {
			continue
		}
		switch backoffs := s.Sender().Backoffs(); {
		case !s.isUsable() && backoffs < maxBackoffs:
			// It is closing, gets no new data, and is given up only in the end.
		case backoffs >= maxBackoffs || backoffs >= deadBackoffs && c.hasOther(s):
			c.OnReset(now, s.Subflow, &subflow.ResetError{Reason: option.ReasonPerformance, Transient: true, Text: "no progress"})
			return
		case backoffs >= staleBackoffs || c.blocked(s):
			c.timedOut(now, s)
		case s.hasAnswered():
			c.recovered(s)
		default:
			c.checkSilence(now, s)
		}
	}
}

// checkSilence finds out whether s, whose retransmission timer has not fired, has been silent for
// longer than its round trips take.
func (c *Conn) checkSilence(now time.Time, s *sub) {
	due := s.Sender().Deadlines()
	if s.stale || now.Before(c.blindUntil) || due.Late.IsZero() || now.Before(due.Late) || !c.hasOther(s) {
		return
	}
	if s.lateAt.IsZero() {
		s.lateAt = now
		c.askOthers(now, s)
	}
	switch {
	case !now.Before(due.Silent) && c.hasWitness(now, s):
		c.setStale(now, s)
	case !s.suspect && c.hasEqual(now, s) && c.canRescue(s):
		c.suspect(s)
	}
}

// askOthers probes the subflows beside s from which nothing is expected: the answers say whether
// they work, and what the peer has.
func (c *Conn) askOthers(now time.Time, s *sub) {
	for _, o := range c.subs {
		if o != s && o.works() && o.Sender().InFlight() == 0 {
			o.SendProbe(now)
		}
	}
}

// timedOut: a retransmission timer has fired, or the peer takes nothing on s. What s holds and
// others have not got yet goes to them, all of it.
func (c *Conn) timedOut(now time.Time, s *sub) {
	if !c.hasOther(s) {
		return
	}
	if !s.stale {
		c.setStale(now, s)
	}
	if !s.emptied {
		s.emptied = true
		c.reinjectFrom(s.ID)
	}
}

// setStale notes that s does not work.
func (c *Conn) setStale(now time.Time, s *sub) {
	s.stale, s.staleAt = true, now
	c.host.mib.Add(mib.SubflowStale)
	c.logf("subflow stale", s)
}

// hasAnswered reports whether s was found to be late or stale and has made progress since.
func (s *sub) hasAnswered() bool {
	progress := s.Sender().LastProgress()
	return (s.stale || !s.lateAt.IsZero()) && progress.After(s.lateAt) && progress.After(s.staleAt)
}

// recovered: s makes progress.
func (c *Conn) recovered(s *sub) {
	if s.stale {
		c.host.mib.Add(mib.SubflowRecover)
		c.logf("subflow works again", s)
	}
	s.silence = silence{}
}

// noteLag notes when we ourselves have not run for a while: then everything seems late.
func (c *Conn) noteLag(now time.Time) {
	if !c.timerAt.IsZero() && now.Sub(c.timerAt) > maxLag && now.Sub(c.blindUntil) > lagAgain {
		c.blindUntil = now.Add(lagPause)
	}
}

// silenceAt is when s has to be looked at next if no acknowledgment comes, zero if that makes no
// difference.
func (s *sub) silenceAt(now time.Time) time.Time {
	if !s.isUsable() || s.stale {
		return time.Time{}
	}
	if blind := s.conn.blindUntil; now.Before(blind) {
		return blind
	}
	due := s.Sender().Deadlines()
	for _, at := range [...]time.Time{due.Late, due.Silent} {
		if now.Before(at) {
			return at
		}
	}
	return time.Time{} // it was looked at, and will be when something comes from the others
}

// blocked reports whether the peer takes nothing on s, though another subflow may carry more.
func (c *Conn) blocked(s *sub) bool {
	return s.Sender().Blocked(true) && slices.ContainsFunc(c.subs, func(o *sub) bool {
		return o != s && o.isUsable() && !o.Sender().Blocked(false)
	})
}

// hasOther reports whether a subflow beside s works.
func (c *Conn) hasOther(s *sub) bool {
	return slices.ContainsFunc(c.subs, func(o *sub) bool { return o != s && o.works() })
}

// hasWitness reports whether something has come on a subflow beside s since s was found to be
// late: the machines, and what all paths have in common, work.
func (c *Conn) hasWitness(now time.Time, s *sub) bool {
	return slices.ContainsFunc(c.subs, func(o *sub) bool {
		return o != s && o.works() && !o.isLate(now) && o.LastReceived().After(s.lateAt)
	})
}

// hasEqual reports whether a subflow beside s works, which is no backup unless s is one. If
// something is in flight there it has been acknowledged in part while s was silent.
func (c *Conn) hasEqual(now time.Time, s *sub) bool {
	silence := now.Sub(s.Sender().LastProgress())
	return slices.ContainsFunc(c.subs, func(o *sub) bool {
		return o != s && o.works() && !o.isLate(now) && (!o.isBackup() || s.isBackup()) &&
			(o.Sender().InFlight() == 0 || now.Sub(o.Sender().LastProgress()) < silence/2)
	})
}

// isLate reports whether the acknowledgments of s are late now.
func (s *sub) isLate(now time.Time) bool {
	due := s.Sender().Deadlines().Late
	return !s.lateAt.IsZero() || !due.IsZero() && !now.Before(due)
}
