package mptcp

import (
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
)

// deadline is a point in time after which waiting ends. The connection's lock protects
// it.
type deadline struct {
	at    time.Time // zero: none
	timer clock.Timer
}

// set moves the deadline and wakes who waits, now or when it has come.
func (d *deadline) set(clk clock.Clock, at time.Time, cond *sync.Cond) {
	d.release()
	d.at = at
	cond.Broadcast()
	if at.IsZero() {
		return
	}
	if wait := at.Sub(clk.Now()); wait > 0 {
		d.timer = clk.AfterFunc(wait, func() {
			cond.L.Lock()
			defer cond.L.Unlock()
			cond.Broadcast()
		})
	}
}

// release lets go of the timer, so that it does not keep the connection in memory; who waits
// has to be woken by other means. passed goes on telling the truth.
func (d *deadline) release() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// passed reports whether the deadline has come.
func (d *deadline) passed(now time.Time) bool { return !d.at.IsZero() && !now.Before(d.at) }

// SetDeadline sets the read and the write deadline; see net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the time after which Read fails with os.ErrDeadlineExceeded; the
// zero value means never. It acts on a Read that waits already.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rx.closed {
		return c.opError("set", errClosed)
	}
	c.rx.deadline.set(c.host.clock, t, &c.rx.cond)
	if c.phase == dead {
		c.rx.deadline.release() // nothing waits any more
	}
	return nil
}

// SetWriteDeadline sets the time after which Write fails with os.ErrDeadlineExceeded; the
// zero value means never. What was accepted before goes on being sent.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rx.closed {
		return c.opError("set", errClosed)
	}
	c.tx.deadline.set(c.host.clock, t, &c.tx.cond)
	if c.phase == dead {
		c.tx.deadline.release() // nothing waits any more
	}
	return nil
}
