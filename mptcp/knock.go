package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/subflow"
)

// minKnock and maxKnock bound the time between two SYNs of a join that knocks; in between it is a tenth of the time for
// which its path has been silent.
const minKnock, maxKnock, knockShare = 200 * time.Millisecond, 10 * time.Second, 10

// knocking repeats the SYN of a join on a path that has fallen silent, or while no subflow is left, so that the
// path's return is noticed soon: the pauses of TCP's own repetitions grow to seconds. The zero value: it does not.
type knocking struct {
	since time.Time // when the path fell silent
	at    time.Time // of the next SYN
}

// startKnocking decides whether s, which is about to be opened, knocks. c.mu is held.
func (c *Conn) startKnocking(now time.Time, s *sub) {
	since := s.instead.silent
	if l := c.byAddrID(s.LocalID); since.IsZero() && l != nil {
		since = l.silentAt
	}
	if !since.IsZero() {
		s.knocking = knocking{since: since, at: now.Add(knockPause(now.Sub(since)))}
	}
}

func knockPause(silent time.Duration) time.Duration {
	return min(max(silent/knockShare, minKnock), maxKnock)
}

// hurryJoins: no subflow is left, and those that are being opened knock from now on. c.mu is held.
func (c *Conn) hurryJoins() {
	now := c.host.clock.Now()
	for _, s := range c.subs {
		if s.Kind == subflow.Join && s.Role == subflow.Opener && !s.down && s.knocking.at.IsZero() {
			s.knocking = knocking{since: now, at: now.Add(minKnock)}
		}
	}
}

// knock sends the SYNs that are due. c.mu is held.
func (c *Conn) knock(now time.Time) {
	for _, s := range c.subs {
		k := &s.knocking
		switch {
		case k.at.IsZero() || now.Before(k.at):
		case s.down || s.State() > subflow.SynSent:
			k.at = time.Time{}
		default:
			s.RepeatSYN(now)
			k.at = now.Add(knockPause(now.Sub(k.since)))
		}
	}
}
