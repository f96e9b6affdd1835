package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/subflow"
)

// minKnock and maxKnock bound the time between two SYNs of a join on a path that has fallen silent;
// in between it is a tenth of the time for which it has been so.
const minKnock, maxKnock, knockShare = 200 * time.Millisecond, 10 * time.Second, 10

// knocking repeats the SYN of a join on a path that has fallen silent, so that its return is noticed soon: the
// pauses of TCP's own repetitions grow to seconds. The zero value: it does not.
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
