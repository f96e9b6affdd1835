package mptcp

import (
	"context"
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

// CloseWrite ends our stream: what was written is still sent, then the peer reads
// io.EOF. Reading goes on. It does not wait.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rx.closed {
		return c.opError("close", errClosed)
	}
	if c.err != nil {
		return c.opError("close", c.err)
	}
	c.finish()
	return nil
}

// finish asks for the end of our stream. c.mu is held.
func (c *Conn) finish() {
	if c.tx.finAsked {
		return
	}
	c.tx.finAsked = true
	c.logf("ending our stream", nil)
	c.tx.cond.Broadcast()
	c.service(c.host.clock.Now())
}

// Close ends the connection. It returns at once; what was written is still sent and
// confirmed in the background, for Config.CloseTimeout at most: use Wait to know. What
// the peer still sends is taken and dropped.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rx.closed {
		return c.opError("close", errClosed)
	}
	c.rx.closed = true
	c.rx.deadline.set(c.host.clock, time.Time{}, &c.rx.cond)
	c.tx.deadline.set(c.host.clock, time.Time{}, &c.tx.cond)
	c.closeAt = c.host.clock.Now().Add(c.host.cfg.CloseTimeout)
	c.wake()
	if c.phase == handshaking {
		c.abortSubs(nil)
		c.fail(errClosed)
		return nil
	}
	c.finish()
	c.drainSoon()
	return nil
}

// Wait waits until the peer has confirmed everything up to the end of our stream, which
// CloseWrite or Close must have asked for, and returns nil. Otherwise it says why not:
// the connection's error, ErrNotConfirmed, or the context's.
func (c *Conn) Wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.tx.cond.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.tx.finAcked:
			return nil
		case c.err != nil:
			return c.opError("wait", c.err)
		case c.phase == dead:
			return c.opError("wait", ErrNotConfirmed)
		case ctx.Err() != nil:
			return c.opError("wait", ctx.Err())
		}
		c.tx.cond.Wait()
	}
}

// finConfirmed: the peer has everything. c.mu is held.
func (c *Conn) finConfirmed() {
	if !c.tx.finAcked {
		c.logf("our stream is confirmed to its end", nil)
	}
	c.tx.finAcked = true
	c.tx.cond.Broadcast()
	c.checkFinished()
}

// checkFinished closes the subflows when both streams have ended (8684-3.3.3-07,
// 8684-Q-18).
func (c *Conn) checkFinished() {
	if c.phase != open || !c.tx.finAcked || !c.rx.eof || c.awaitsFin() {
		return
	}
	c.phase = finished
	// Until the peer is known to have our last DATA_ACK it may come back on a new subflow to
	// get it.
	c.peerKnows = c.shared.Mode != subflow.MPTCP
	for _, s := range slices.Clone(c.subs) {
		switch {
		case s.down:
		case s.ep == nil && s.State() < subflow.Established:
			s.SetResetOption(option.Reset{Reason: option.ReasonMPTCP})
			c.resetSub(s, errJoinTooLate)
		default:
			c.sayLastWord(s)
		}
	}
	if c.rx.closed {
		c.drainSoon()
	}
}

// sayLastWord closes s in order when all is over. c.mu is held.
func (c *Conn) sayLastWord(s *sub) {
	s.lastWord = !s.FinSent()
	c.act(s.closeWrite)
}

// closeWrite sends the FIN of a subflow, now or as soon as it has its endpoint. c.mu is not
// held.
func (s *sub) closeWrite() {
	s.conn.mu.Lock()
	ep := s.ep
	s.closeLater = ep == nil
	s.conn.mu.Unlock()
	if ep != nil {
		_ = ep.CloseWrite() // it may be gone already
	}
}

// fail ends the connection with an error. c.mu is held.
func (c *Conn) fail(err error) {
	if c.phase == dead {
		return
	}
	c.err = err
	c.die()
}

// die ends everything that is left. c.mu is held.
func (c *Conn) die() {
	if c.phase == handshaking {
		close(c.dialed)
	}
	c.phase = dead
	c.logf("connection over", nil, because(c.err)...)
	c.host.forgetToken(c)
	c.host.forgetConn(c)
	for _, s := range c.subs {
		if !s.down {
			s.end(c.err)
			info := s.info()
			info.State, info.Reason = "closed", words(c.err)
			c.addEnded(info)
			s.Subflow.Close()
			s.release = true
			c.host.forgetFlow(s)
			if c.err != nil && s.ep != nil && s.PeerReset() == nil {
				c.act(s.ep.Abort)
			}
		}
	}
	if c.unwatch != nil {
		c.unwatch()
	}
	c.tx.buf.Close()
	c.releaseEmpty()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.rx.deadline.release()
	c.tx.deadline.release()
	c.wake()
}

// drainSoon reads and drops what arrived after Close. c.mu is held.
func (c *Conn) drainSoon() {
	if c.draining {
		return
	}
	c.draining = true
	c.act(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.draining = false
		for c.rx.reading {
			c.rx.cond.Wait()
		}
		c.rx.reading = true
		buf := make([]byte, discardSize)
		for {
			n, err := c.readStep(buf)
			if n == 0 && err != errAgain {
				break
			}
		}
		c.rx.reading = false
		c.rx.cond.Broadcast()
		if c.phase == dead || c.phase == fastClosing {
			c.releaseEmpty()
			return
		}
		c.afterRead(c.host.clock.Now())
		if c.phase == finished {
			for _, s := range c.subs {
				if s.ep != nil {
					c.act(s.ep.Close)
				}
			}
		}
	})
}
