package mptcp

import (
	"net"
	"os"
	"syscall"
)

var errClosed = net.ErrClosed

// writeStep is how many bytes Write copies before it lets them be sent.
const writeStep = 256 << 10

// Write accepts all of p for sending; it waits while Config.SendBuffer bytes are held. It
// returns before the peer has got them: see Wait.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := 0
	for {
		if err := c.writeErr(); err != nil {
			return done, c.opError("write", err)
		}
		if done == len(p) {
			return done, nil
		}
		room := c.host.cfg.SendBuffer - c.tx.buf.Len()
		if room <= 0 || c.phase == handshaking {
			c.tx.cond.Wait()
			continue
		}
		n := min(room, len(p)-done, writeStep)
		c.tx.buf.Write(p[done : done+n])
		done += n
		c.service(c.host.clock.Now())
	}
}

// writeErr says why nothing can be written, or nil.
func (c *Conn) writeErr() error {
	switch {
	case c.rx.closed:
		return errClosed
	case c.err != nil:
		return c.err
	case c.tx.finAsked:
		return syscall.EPIPE
	case c.tx.deadline.passed(c.host.clock.Now()):
		return os.ErrDeadlineExceeded
	}
	return nil
}
