package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

// keepAliveProbes is how many probes may stay unanswered.
const keepAliveProbes = 9

// startKeepAlive sets the time of the first probe. Nothing else may happen on an idle connection
// that would.
func (s *sub) startKeepAlive(now time.Time) {
	if idle := s.conn.host.cfg.KeepAlive; idle >= 0 {
		s.aliveAt = now.Add(idle)
	}
}

// keepAlive probes the subflows from which nothing has come for Config.KeepAlive, and
// resets those that answer no probe (RFC 9293 section 3.8.4). While data is in flight its
// retransmission timer does the same. c.mu is held.
func (c *Conn) keepAlive(now time.Time) {
	idle := c.host.cfg.KeepAlive
	if idle < 0 {
		return
	}
	for _, s := range c.subs {
		// Plain TCP may be half closed for long: nothing else tells then that the peer is gone.
		halfClosed := c.shared.Mode == subflow.Plain && c.phase == open && s.talks()
		if !s.isUsable() && !halfClosed || !s.Sender().Drained() {
			s.aliveAt = time.Time{}
			continue
		}
		if due := s.LastReceived().Add(idle); now.Before(due) {
			s.aliveAt, s.aliveProbes = due, 0
			continue
		}
		if now.Before(s.aliveAt) {
			continue
		}
		if s.aliveProbes == keepAliveProbes {
			s.SetResetOption(option.Reset{Reason: option.ReasonPerformance, Transient: true})
			c.resetSub(s, errNoKeepAlive)
			return
		}
		s.SendProbe(now)
		s.aliveProbes++
		s.aliveAt = now.Add(idle)
	}
}
