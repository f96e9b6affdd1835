package mptcp

import (
	"errors"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// renewAfter is after which silence a subflow that works again is renewed.
	renewAfter = time.Second
	// renewPause is how long a subflow has to have been up, so that a path which comes and goes
	// does not have us open one after the other.
	renewPause = 3 * time.Second
)

var errRenewed = errors.New("a fresh subflow has taken its place")

// renewSoon has a fresh subflow take the place of one that is silent, as soon as the path works again. After a
// long silence the peer's timer for sending again has backed off, by seconds, and nothing that we
// could send on the old subflow makes it fire; what that one holds is sent on others when it ends.
// Only what we have opened can be opened again. c.mu is held.
func (c *Conn) renewSoon(now time.Time, s *sub) {
	if s.renewing || s.Role != subflow.Opener || now.Sub(s.upAt) < renewPause {
		return
	}
	s.renewing = true
	c.act(func() { c.renew(s) })
}

// answersLate: a subflow that was silent for so long works again. c.mu is held.
func (c *Conn) answersLate(now time.Time, s *sub, silent time.Duration, byData bool) {
	if silent < renewAfter {
		return
	}
	c.logf("silent subflow answers", s)
	for _, o := range c.subs {
		if o.instead.old == s && !o.knocking.at.IsZero() {
			o.knocking.at = now // the path works: the SYN need not wait for its turn
		}
	}
	if !byData {
		c.renewSoon(now, s)
	}
}

// renew opens the subflow that takes the place of s. c.mu is not held.
func (c *Conn) renew(s *sub) {
	open := pathmgr.Open{Local: s.Local.Addr(), Remote: s.Remote, Backup: s.standsBy()}
	_, err := c.trySubflow(open, s, steered{byHand: s.steered.byHand})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.host.mib.Add(mib.SubflowRenewed)
	case errors.Is(err, ErrTooManySubflows) && s.mute.asked.IsZero():
		c.makeRoom(s)
	default:
		s.renewing = false
	}
	c.service(c.host.clock.Now())
}

// renewalFailed: the fresh subflow could not be opened. If the peer did not want it the old one has to make
// room first. c.mu is held.
func (c *Conn) renewalFailed(old *sub, err error) {
	var reset *subflow.ResetError
	if errors.As(err, &reset) && reset.Remote {
		c.makeRoom(old)
	}
	old.renewing = false
}

// makeRoom ends a subflow that works, but where the peer waits, and opens it anew.
func (c *Conn) makeRoom(old *sub) {
	if old.down {
		return
	}
	open := pathmgr.Open{Local: old.Local.Addr(), Remote: old.Remote, Backup: old.standsBy()}
	c.endRenewed(old)
	c.act(func() { c.openSubflow(open) })
}

// replacement says whose place a subflow takes. The zero value: nobody's.
type replacement struct {
	old *sub
	// silent is since when it is known to be silent, zero if it answers by now; data is when data
	// had come there last, when this was decided.
	silent, data time.Time
}

// insteadOf is the replacement of old, which may be nil.
func insteadOf(old *sub) (r replacement) {
	if old != nil {
		r = replacement{old, old.mute.asked, old.LastData()}
	}
	return r
}

// takePlace: s is up, and the one before it ends, unless that has come to life by itself. c.mu is held.
func (c *Conn) takePlace(s *sub) {
	old := s.instead.old
	switch {
	case old == nil:
		return
	case old.down:
	case old.LastData().After(s.instead.data):
		old.renewing = false
		c.act(func() { c.closeSubflow(s.ID) })
	default:
		c.renewedAt = c.host.clock.Now()
		s.SendAck(c.renewedAt) // the peer may have missed the last DATA_ACKs, and need not send that again
		c.act(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.endRenewed(old)
			c.service(c.host.clock.Now())
		})
		return
	}
	s.instead = replacement{}
}

// endRenewed ends a subflow on which the peer waits. c.mu is held.
func (c *Conn) endRenewed(s *sub) {
	if !s.down {
		s.SetResetOption(option.Reset{Reason: option.ReasonPerformance, Transient: true})
		c.resetSub(s, errRenewed)
	}
}
