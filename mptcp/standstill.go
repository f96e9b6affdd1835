package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// standstillBackoffs is after how many RTOs in a row a subflow is probed that is not stale, because no
	// other works.
	standstillBackoffs = 2
	// standstillBeat is the time between two probes then; every beatProbes of them double it, up to maxBeat.
	standstillBeat, maxBeat = 300 * time.Millisecond, 10 * time.Second
	beatProbes              = 20
)

// standstill is about a subflow that is silent and has not ended. The pauses of its retransmissions
// have grown, as they must for the network's sake (RFC 6298); so that it does not take as
// long again to see that its path is back, small probes, without data, are sent more often, and
// the answer to one lets the data be sent again.
type standstill struct {
	at      time.Time // of the next probe; zero: there is progress
	probes  int
	askedAt time.Time // when it was probed last and has not answered since
}

// standsStill reports whether s is to be probed.
func (c *Conn) standsStill(s *sub) bool {
	return s.isUsable() && c.shared.Mode == subflow.MPTCP && !s.Sender().Blocked(false) &&
		(s.stale || s.Sender().Backoffs() >= standstillBackoffs)
}

// probeStandstill probes the silent subflows, and wakes those that answer. c.mu is held.
func (c *Conn) probeStandstill(now time.Time) {
	for _, s := range c.subs {
		if s.Sender() == nil {
			continue
		}
		q := &s.standstill
		if !c.standsStill(s) {
			*q = standstill{}
			continue
		}
		if !q.askedAt.IsZero() && s.LastReceived().After(q.askedAt) {
			q.askedAt = time.Time{} // at most one retransmission for each probe
			c.logf("silent subflow answers", s)
			s.Sender().RetryOnce(now)
			s.next = s.Sender().Run(now)
		}
		if q.at.IsZero() {
			q.at = now.Add(standstillBeat)
		}
		if now.Before(q.at) {
			continue
		}
		q.probes++
		q.at = now.Add(min(standstillBeat<<min(q.probes/beatProbes, 10), maxBeat))
		q.askedAt = now
		s.SendProbe(now)
	}
}
