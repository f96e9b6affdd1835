package mptcp

import (
	"errors"
	"log/slog"
	"time"

	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

var errFellBack = errors.New("the connection goes on as plain TCP on another subflow")

// Alone implements subflow.Owner.
func (c *Conn) Alone(f *subflow.Subflow) bool {
	for _, s := range c.subs {
		if s.Subflow != f && !s.down && s.State() >= subflow.PreEstablished {
			return false
		}
	}
	return true
}

// MayFallBack implements subflow.Owner. Bytes that other subflows brought must not leave a gap
// that only these could fill; and what we have sent, as far as the peer has not acknowledged
// it at the data level, must lie on f in one piece, for the peer will read f as it is
// (8684-3.7-12).
func (c *Conn) MayFallBack(f *subflow.Subflow, next seq.DSN) (placed seq.DSN, ok bool) {
	s := c.byFlow(f)
	if s == nil || s.down || c.dataEnd().Less(next) {
		return 0, false
	}
	from, to := s.Sender().Tail()
	whole := c.shared.SndUna == c.tx.next || from.LessEq(c.shared.SndUna) && to == c.tx.next
	return c.tx.next, whole
}

// OnChecksumFailed implements subflow.Owner.
func (c *Conn) OnChecksumFailed(_ time.Time, f *subflow.Subflow, dsn seq.DSN) {
	c.singlePath = true
	c.logf("DSS checksum failed, asking the peer for plain TCP", c.byFlow(f), slog.Uint64("dsn", uint64(dsn)))
}

// OnFallback implements subflow.Owner. All other subflows end (8684-3.7-15).
func (c *Conn) OnFallback(_ time.Time, f *subflow.Subflow) {
	if f.State() >= subflow.Established {
		c.logf("fallback to plain TCP", c.byFlow(f), slog.String("reason", c.shared.FallbackReason))
	}
	c.shared.DataFinPending = false
	c.tx.reinject = nil // f has it all
	c.host.forgetToken(c)
	for _, s := range c.liveList() {
		if s.Subflow != f {
			s.SetResetOption(option.Reset{Reason: option.ReasonUnspecified})
			c.resetSub(s, errFellBack)
		}
	}
}

// awaitsFin reports whether the peer's FIN is still to come on a connection that has fallen
// back: the peer may have ended its stream by a DATA_FIN before.
func (c *Conn) awaitsFin() bool {
	for _, s := range c.subs {
		if !s.down && s.Plain() {
			return !s.PeerFinTaken()
		}
	}
	return false
}
