package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// standstillBackoffs is after how many RTOs in a row on each subflow a connection stands still.
	standstillBackoffs = 2
	// standstillBeat is the time between two probes then; every beatProbes of them double it, up to maxBeat.
	standstillBeat, maxBeat = 300 * time.Millisecond, 10 * time.Second
	beatProbes              = 20
)

// standstill is about a connection all of whose subflows are silent though they have not ended. The
// pauses of their retransmissions have grown, as they must for the network's sake (RFC 6298); so
// that it does not take as long again to see that a path is back, small probes, without data, are
// sent more often, and the answer to one lets the data be sent again.
type standstill struct {
	at     time.Time // of the next probe; zero: there is progress
	probes int
}

// isStandstill reports whether there are subflows and all are silent.
func (c *Conn) isStandstill() bool {
	found := false
	for _, s := range c.subs {
		if !s.isUsable() {
			continue
		}
		if found = true; s.Sender().Backoffs() < standstillBackoffs {
			return false
		}
	}
	return found && c.shared.Mode == subflow.MPTCP
}

// probeStandstill probes the silent subflows, and wakes those that answer. c.mu is held.
func (c *Conn) probeStandstill(now time.Time) {
	q := &c.standstill
	for _, s := range c.subs {
		if !s.askedAt.IsZero() && s.LastReceived().After(s.askedAt) && s.isUsable() {
			s.askedAt = time.Time{} // at most one retransmission for each probe
			if s.Sender().Backoffs() > 0 {
				c.logf("silent subflow answers", s)
				s.Sender().RetryNow(now)
				s.next = s.Sender().Run(now)
			}
		}
	}
	if !c.isStandstill() {
		*q = standstill{}
		return
	}
	if q.at.IsZero() {
		q.at = now.Add(standstillBeat)
	}
	if now.Before(q.at) {
		return
	}
	q.probes++
	q.at = now.Add(min(standstillBeat<<min(q.probes/beatProbes, 10), maxBeat))
	for _, s := range c.subs {
		if s.isUsable() {
			s.askedAt = now
			s.SendProbe(now)
		}
	}
}
