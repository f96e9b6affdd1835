package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

// maxFastCloses is how often MP_FASTCLOSE is sent again (8684-3.5-07).
const maxFastCloses = 3

// fastClose is the state FASTCLOSE_WAIT of RFC 8684 section 3.5, the phase fastClosing: an
// ACK with MP_FASTCLOSE has left on one subflow, all others are reset, and the peer's RST is
// waited for.
type fastClose struct {
	sub   *sub
	at    time.Time // when it is sent again
	again int       // how often it was
}

// Abort ends the connection at once and drops what was not yet sent; the peer gets an
// error. All subflows are reset, and MP_FASTCLOSE rides on the RSTs (RFC 8684 section 3.5,
// option R). With Config.FastCloseByACK it is sent on an ACK of one subflow (option A), and
// again until the peer has answered with a RST, at most three times; Abort does not wait for
// that, and when it is called again it no longer happens. A plain TCP connection is reset.
func (c *Conn) Abort() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abort(c.host.cfg.FastCloseByACK)
	return nil
}

// abort is Abort, with MP_FASTCLOSE on an ACK if that is asked for and possible. c.mu is
// held.
func (c *Conn) abort(byACK bool) {
	c.rx.closed = true
	switch c.phase {
	case dead:
	case finished:
		// Both streams have ended: the peer may still be reading its last bytes, which a
		// MP_FASTCLOSE would take from it.
		c.die()
	case fastClosing:
		c.die() // with a RST that carries MP_FASTCLOSE
	default:
		if s := c.best(); byACK && s != nil && c.shared.Mode == subflow.MPTCP {
			c.beginFastClose(s)
			break
		}
		c.logf("aborting", nil)
		c.abortSubs(option.FastClose{ReceiverKey: c.shared.RemoteKey})
		c.fail(errClosed)
	}
	c.wake()
}

// beginFastClose enters FASTCLOSE_WAIT (8684-3.5-02). c.mu is held.
func (c *Conn) beginFastClose(s *sub) {
	c.err, c.phase = errClosed, fastClosing
	c.logf("aborting with MP_FASTCLOSE", s)
	c.host.forgetToken(c)
	c.closeAt, c.breakAt, c.pmAt = time.Time{}, time.Time{}, time.Time{}
	for _, o := range c.liveList() {
		if o != s {
			o.SetResetOption(option.Reset{Reason: option.ReasonUnspecified})
			c.resetSub(o, errClosed)
		}
	}
	s.SetClosing()
	s.SetResetOption(option.FastClose{ReceiverKey: c.shared.RemoteKey})
	c.fastClose = fastClose{sub: s}
	c.service(c.host.clock.Now())
}

// serviceFastClose sends MP_FASTCLOSE when it is due, and gives up after the last time
// (8684-3.5-07). c.mu is held.
func (c *Conn) serviceFastClose(now time.Time) {
	w := &c.fastClose
	switch {
	case now.Before(w.at):
	case w.again > maxFastCloses:
		c.logf("MP_FASTCLOSE is not answered", w.sub)
		c.die() // with a RST that carries MP_FASTCLOSE
		return
	default:
		w.sub.SendFastClose(now)
		w.again++
		w.at = now.Add(w.sub.Sender().Snapshot().RTO)
	}
	c.arm(now)
}

// fastCloseIn: the peer has aborted the connection (8684-3.5-04, -05). A wrong key is
// ignored (8684-Q-21).
func (c *Conn) fastCloseIn(f *subflow.Subflow, o option.FastClose) {
	if o.ReceiverKey != c.shared.LocalKey || c.phase < open || c.phase == dead {
		return
	}
	c.host.mib.Add(mib.MPFastcloseRx)
	c.logf("peer aborts with MP_FASTCLOSE", c.byFlow(f))
	switch c.phase {
	case open:
		c.abortSubs(option.Reset{Reason: option.ReasonUnspecified})
		c.fail(ErrFastClosed)
	case fastClosing: // both at once (8684-3.5-06)
		c.abortSubs(option.Reset{Reason: option.ReasonUnspecified})
		c.die()
	case finished:
		// Everything has come, and may still be read.
		for _, s := range c.liveList() {
			s.SetResetOption(option.Reset{Reason: option.ReasonUnspecified})
			c.resetSub(s, ErrFastClosed)
		}
	}
}

// abortSubs resets all subflows but those that the peer has reset; o rides on the RSTs. c.mu
// is held.
func (c *Conn) abortSubs(o option.Option) {
	for _, s := range c.subs {
		if s.down || s.PeerReset() != nil {
			continue
		}
		if c.shared.Mode == subflow.MPTCP {
			s.SetResetOption(o)
		}
		if s.ep != nil {
			c.act(s.ep.Abort)
		} else {
			s.abortLater = true
		}
	}
}

// liveList lists the subflows that are not over, for loops that end some.
func (c *Conn) liveList() []*sub {
	list := make([]*sub, 0, len(c.subs))
	for _, s := range c.subs {
		if !s.down {
			list = append(list, s)
		}
	}
	return list
}
