package mptcp

import (
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// staleBackoffs is after how many RTOs in a row a subflow is stale.
	staleBackoffs = 1
	// deadBackoffs is after how many a stale subflow is given up if another one works.
	deadBackoffs = 7
	// maxBackoffs is after how many any subflow is given up, some 15 minutes (RFC 9293
	// section 3.8.3).
	maxBackoffs = 15
)

// checkStale finds subflows that make no progress: what they hold is sent elsewhere at
// once, and they get no new data. One that stays silent while another works is given up.
func (c *Conn) checkStale(now time.Time) {
	for _, s := range c.subs {
		if !s.talks() {
			continue
		}
		silent := s.Sender().Backoffs()
		switch {
		case !s.isUsable() && silent < maxBackoffs:
			// It is closing, gets no new data, and is given up only in the end.
		case silent < staleBackoffs && !c.blocked(s):
			c.recovered(s)
		case silent >= maxBackoffs || silent >= deadBackoffs && c.hasOther(s):
			c.OnReset(now, s.Subflow, &subflow.ResetError{Reason: option.ReasonPerformance, Transient: true, Text: "no progress"})
			return
		case !s.stale && c.hasOther(s):
			s.stale = true
			c.host.mib.Add(mib.SubflowStale)
			c.logf("subflow stale", s)
			c.reinjectFrom(s.ID)
		}
	}
}

// blocked reports whether the peer takes nothing on s, though another subflow may carry more.
func (c *Conn) blocked(s *sub) bool {
	return s.Sender().Blocked(true) && slices.ContainsFunc(c.subs, func(o *sub) bool {
		return o != s && o.isUsable() && !o.Sender().Blocked(false)
	})
}

// recovered: s makes progress.
func (c *Conn) recovered(s *sub) {
	if s.stale {
		s.stale = false
		c.host.mib.Add(mib.SubflowRecover)
		c.logf("subflow works again", s)
	}
}

// hasOther reports whether a subflow beside s works.
func (c *Conn) hasOther(s *sub) bool {
	for _, o := range c.subs {
		if o != s && o.isUsable() && !o.stale {
			return true
		}
	}
	return false
}
