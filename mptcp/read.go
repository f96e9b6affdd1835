package mptcp

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/gomptcp/gomptcp/internal/netstack"
	"github.com/gomptcp/gomptcp/internal/seq"
)

// discardSize is the size of the buffer into which bytes are read that nobody wants.
const discardSize = 64 << 10

// Read reads the next bytes of the stream, straight from the subflow that has them. It
// returns io.EOF when the peer has ended its stream.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.rx.reading && !c.rx.deadline.passed(c.host.clock.Now()) && !c.rx.closed {
		c.rx.cond.Wait()
	}
	if err := c.readWaitErr(); err != nil {
		return 0, c.opError("read", err)
	}
	if len(p) == 0 {
		return 0, nil
	}
	c.rx.reading = true
	defer func() {
		c.rx.reading = false
		c.rx.cond.Broadcast()
	}()
	for {
		n, err := c.readStep(p)
		if n > 0 {
			c.afterRead(c.host.clock.Now())
			return n, nil
		}
		switch {
		case err == errAgain:
			continue
		case err != nil && c.err == nil:
			return 0, c.opError("read", err)
		case c.rx.eof && c.rx.read == c.dataEnd():
			return 0, io.EOF
		case c.err != nil:
			return 0, c.opError("read", c.err)
		}
		c.rx.cond.Wait()
		if err := c.readWaitErr(); err != nil {
			return 0, c.opError("read", err)
		}
	}
}

// errAgain: something was moved out of the way; look again.
var errAgain = errors.New("again")

func (c *Conn) readWaitErr() error {
	switch {
	case c.rx.closed:
		return errClosed
	case c.rx.deadline.passed(c.host.clock.Now()):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// dataEnd is the DSN after the last byte received in order.
func (c *Conn) dataEnd() seq.DSN {
	if c.rx.eof && c.rx.finKnown {
		return c.rx.fin
	}
	return c.shared.RcvNxt
}

// readStep takes the next bytes into p if there are any. c.mu is released while a
// subflow's endpoint is read; rx.reading keeps others away meanwhile.
//
// The streams of the subflows are mostly sorted, so that this is a merge: the bytes come
// from the subflow whose head has the next DSN. What came twice is discarded, but for the copy
// that came first, and only if the next byte lies behind later ones on its subflow these are
// set aside.
func (c *Conn) readStep(p []byte) (int, error) {
	if n := c.rx.aside.take(c.rx.read, p); n > 0 {
		c.rx.read = c.rx.read.Add(n)
		return n, nil
	}
	avail := c.dataEnd().Sub(c.rx.read)
	if avail <= 0 {
		return 0, nil
	}
	want := int(min(int64(len(p)), avail))
	for _, s := range c.subs {
		if s.ep == nil {
			continue
		}
		run, first := s.head(max(want, discardSize))
		if run.N == 0 {
			continue
		}
		switch d := c.rx.read.Sub(run.DSN); {
		case !first:
			return 0, c.discard(s, run.N)
		case d == 0:
			n, err := c.readSub(s, p[:min(want, run.N)])
			c.rx.read = c.rx.read.Add(n)
			return n, err
		case d > 0:
			return 0, c.discard(s, int(min(d, int64(run.N))))
		}
	}
	for _, s := range c.subs {
		if s.ep != nil && s.holdsFirst(c.rx.read) {
			return 0, c.setAside(s)
		}
	}
	return 0, nil
}

// readSub reads from the endpoint of s without the lock.
func (c *Conn) readSub(s *sub, p []byte) (int, error) {
	c.mu.Unlock()
	n, err := s.ep.Read(p)
	c.mu.Lock()
	s.readPos = s.readPos.Add(n)
	s.Forget(s.readPos)
	s.late.TrimBelow(s.readPos)
	if n > 0 || errors.Is(err, netstack.ErrWouldBlock) {
		return n, nil
	}
	return 0, err
}

func (c *Conn) discard(s *sub, n int) error {
	if c.rx.aside.scratch == nil {
		c.rx.aside.scratch = make([]byte, discardSize)
	}
	got, err := c.readSub(s, c.rx.aside.scratch[:min(n, discardSize)])
	if got > 0 {
		return errAgain
	}
	return err
}

// setAside moves the head of s out of the way.
func (c *Conn) setAside(s *sub) error {
	run, _ := s.head(discardSize) // the loop before has discarded late copies
	buf := make([]byte, run.N)
	got, err := c.readSub(s, buf)
	if got == 0 {
		return err
	}
	c.rx.aside.add(run.DSN, buf[:got])
	return errAgain
}

// afterRead tells the peer of the room that reading made, if it is worth an ACK: a
// quarter of the buffer (RFC 9293 section 3.8.6.2.2).
func (c *Conn) afterRead(now time.Time) {
	for _, s := range c.subs {
		if s.release && !s.unread() {
			c.releaseEmpty()
			break
		}
	}
	news := false
	for _, s := range c.subs {
		if s.talks() && s.Offer().Sub(c.shared.Advertised) >= int64(c.host.cfg.ReceiveBuffer/4) {
			news = true
		}
	}
	if news {
		c.ackAll(now)
	}
}

// ReceiveWindow implements subflow.Owner.
func (c *Conn) ReceiveWindow() int {
	n := c.host.cfg.ReceiveBuffer - int(c.shared.RcvNxt.Sub(c.rx.read))
	return max(n, 0)
}
