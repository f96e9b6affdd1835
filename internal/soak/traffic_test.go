package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// side is one end of a connection at work. Each of its fields is written by one
// goroutine and read when all have ended.
type side struct {
	stream
	name     string
	conn     *mptcp.Conn
	pattern  byte // of what it sends
	accepted int  // bytes that Write took
	received int
	eof      bool
	writeErr error
	readErr  error
	wrong    error // something that must not happen however the connection ends
	wrote    chan struct{}
}

// content is byte number i of a stream. Its period is long, odd and none of the sizes
// that anything here has.
func content(pattern byte, i int) byte { return byte(i) ^ byte(i/251)*7 ^ byte(i/65521)*31 ^ pattern }

func (s *side) write() {
	defer close(s.wrote)
	buf := make([]byte, min(s.chunk, max(s.size, 1)))
	for s.accepted < s.size {
		n := min(len(buf), s.size-s.accepted)
		for i := range n {
			buf[i] = content(s.pattern, s.accepted+i)
		}
		if s.writeDeadline > 0 {
			_ = s.conn.SetWriteDeadline(time.Now().Add(s.writeDeadline)) // Write tells
		}
		n, err := s.conn.Write(buf[:n])
		s.accepted += n
		if err != nil && !(s.writeDeadline > 0 && errors.Is(err, os.ErrDeadlineExceeded)) {
			s.writeErr = err
			return
		}
		if s.writePause > 0 {
			time.Sleep(s.writePause)
		}
	}
	s.writeErr = s.conn.CloseWrite()
}

func (s *side) read(peer byte) {
	if s.closeReadLater {
		<-s.wrote
	}
	buf := make([]byte, s.readSize)
	for {
		if s.readDeadline > 0 {
			_ = s.conn.SetReadDeadline(time.Now().Add(s.readDeadline))
		}
		n, err := s.conn.Read(buf)
		for i, b := range buf[:n] {
			if b != content(peer, s.received+i) && s.wrong == nil {
				s.wrong = fmt.Errorf("%s: byte %d is wrong", s.name, s.received+i)
			}
		}
		s.received += n
		switch {
		case err == nil:
		case s.readDeadline > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		case err == io.EOF:
			s.eof = true
			return
		default:
			s.readErr = err
			return
		}
		if s.readPause > 0 {
			time.Sleep(s.readPause)
		}
	}
}

// starter starts goroutines, one after the other: those of a go statement would race.
type starter struct {
	w    *simnet.World
	busy sync.WaitGroup
}

func (s *starter) start(f func()) {
	s.busy.Add(1)
	s.w.At(s.w.Elapsed(), func() {
		defer s.busy.Done()
		f()
	})
}

func (s *starter) wait() { s.busy.Wait() }

// transfer runs one connection to its end.
func (n *network) transfer(t traffic, conns [2]*mptcp.Conn, number int) error {
	var s [2]*side
	for i := range s {
		s[i] = &side{stream: t.side[i], name: fmt.Sprintf("connection %d, side %d", number, i), conn: conns[i], pattern: byte(17*number + 5*i), wrote: make(chan struct{})}
	}
	busy := starter{w: n.w}
	for i := range s {
		busy.start(s[i].write)
		busy.start(func() { s[i].read(s[1-i].pattern) })
	}
	var stop func()
	switch t.ending {
	case oneWay:
		busy.start(func() {
			<-s[0].wrote
			if s[0].writeErr == nil {
				s[0].writeErr = conns[0].Close()
			}
		})
	case aborted:
		stop = func() { _ = conns[t.by].Abort() }
	case abandoned:
		stop = func() { _ = conns[t.by].Close() }
	case severed:
		stop = n.sever
	case vanished:
		stop = func() { _ = n.hosts[t.by].Close() }
	}
	if stop != nil {
		n.w.At(n.w.Elapsed()+t.at, stop)
	}
	busy.wait()
	return errors.Join(n.judge(t, s), n.finish(t, s))
}

// judge compares what one side wrote with what the other read.
func (n *network) judge(t traffic, s [2]*side) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, me := range s {
		peer := s[1-i]
		errs = append(errs, me.wrong)
		if me.received > peer.accepted {
			fail("%s: read %d bytes, only %d were written", me.name, me.received, peer.accepted)
		}
		if me.eof && me.received != peer.accepted {
			fail("%s: the stream ended after %d bytes of %d", me.name, me.received, peer.accepted)
		}
		for _, err := range []error{me.writeErr, me.readErr} {
			if err != nil && !errors.As(err, new(*net.OpError)) {
				fail("%s: %w is no OpError", me.name, err)
			}
		}
		complete := t.ending == orderly || t.ending == oneWay
		if complete && me.writeErr != nil {
			fail("%s: after %d of %d bytes: %w", me.name, me.accepted, me.size, me.writeErr)
		}
		if complete && !me.eof && !(t.ending == oneWay && i == 0) {
			fail("%s: after reading %d of %d bytes: %w", me.name, me.received, peer.size, me.readErr)
		}
	}
	return errors.Join(errs...)
}

// finish closes both ends; those that ended in order have everything confirmed, also an end
// that lost its last path just before the confirmation, and comes back for it.
func (n *network) finish(t traffic, s [2]*side) error {
	var errs []error
	for _, me := range s {
		_ = me.conn.Close() // may be closed already
	}
	if t.ending != orderly && t.ending != oneWay {
		return nil
	}
	for _, me := range s {
		if err := me.conn.Wait(context.Background()); err != nil {
			errs = append(errs, fmt.Errorf("%s: wait: %w", me.name, err))
		}
	}
	return errors.Join(errs...)
}
