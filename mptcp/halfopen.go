package mptcp

import (
	"container/list"
	"errors"
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/subflow"
)

// handshakeTimeout is how long a peer has to complete a handshake that it has begun.
const handshakeTimeout = 70 * time.Second

// maxHalfOpenJoins bounds the joins of one connection that the peer has begun and not
// completed. Whoever reads the token on its way can begin as many as it likes.
const maxHalfOpenJoins = 16

// maxLingering is how many subflows of a connection may have ended within TIME_WAIT before the peer
// has to wait with the next join: one that joins and resets again and again makes us remember each
// of them.
const maxLingering = 64

// spareBacklog is what the layer below may have in progress beyond our own limit: what is given
// up here ends there a little later. At its limit it would answer with SYN cookies, which
// forget SACK and window scale, and then not at all.
const spareBacklog = 1024

// waiting are the handshakes that peers have begun and not completed, oldest first. When
// there are too many the oldest makes room: whoever floods the host with SYNs pushes out
// mostly its own, and a handshake that takes a round trip gets through as long as fewer
// than limit SYNs come in that time. Host.mu protects it.
type waiting struct {
	host    *Host
	limit   int
	dropped mib.Counter // counts what made room
	list    list.List   // of *waiter
	timer   clock.Timer // ends the wait of the first
}

// waiter is a handshake in the list.
type waiter struct {
	s     *sub
	until time.Time
}

// add notes a handshake that has begun, and returns the one that has to make room for it:
// the caller gives it up. It returns nil if there is room.
func (w *waiting) add(s *sub) (oldest *sub) {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if w.list.Len() >= w.limit {
		oldest = w.list.Front().Value.(*waiter).s
		w.remove(oldest)
		w.host.mib.Add(w.dropped)
	}
	s.waits = w.list.PushBack(&waiter{s: s, until: w.host.clock.Now().Add(handshakeTimeout)})
	if w.list.Len() == 1 {
		w.arm()
	}
	return oldest
}

// remove notes that the handshake is over, well or badly; it may be said again. Host.mu is held.
func (w *waiting) remove(s *sub) {
	if s.waits != nil {
		w.list.Remove(s.waits)
		s.waits = nil
	}
}

// arm sets the timer for the first in the list. Host.mu is held.
func (w *waiting) arm() {
	wait := w.list.Front().Value.(*waiter).until.Sub(w.host.clock.Now())
	if w.timer == nil {
		w.timer = w.host.clock.AfterFunc(wait, w.expire)
	} else {
		w.timer.Reset(wait)
	}
}

// expire ends the handshakes whose time is over.
func (w *waiting) expire() {
	for {
		w.host.mu.Lock()
		var late *sub
		if first := w.list.Front(); first != nil && !first.Value.(*waiter).until.After(w.host.clock.Now()) {
			late = first.Value.(*waiter).s
			w.remove(late)
		} else if first != nil {
			w.arm()
		}
		w.host.mu.Unlock()
		if late == nil {
			return
		}
		w.host.giveUp(late)
	}
}

// stop ends the timer for good.
func (w *waiting) stop() {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// waitingFor is the list that a subflow of a peer's making belongs to.
func (h *Host) waitingFor(s *sub) *waiting {
	if s.Kind == subflow.Join {
		return &h.halfOpenJoins
	}
	return &h.halfOpen
}

// handshakeOver: the handshake of a subflow that the peer opened has ended, well or badly.
func (h *Host) handshakeOver(s *sub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waitingFor(s).remove(s)
}

// giveUp ends a subflow whose handshake the peer does not complete, without a word: its
// address may be a false one. No lock of a connection is held; nil is no subflow.
func (h *Host) giveUp(s *sub) {
	if s == nil {
		return
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.ep != nil || s.down {
		return // completed, or ended, at the last moment
	}
	c.dropEndpoint(s)
	if s.Kind == subflow.Initial {
		c.fail(errNotCompleted)
	} else {
		c.subDown(s, errNotCompleted)
	}
}

var errNotCompleted = errors.New("the peer has not completed its handshake")

// dropEndpoint ends the handshake of a responder below, which knows nothing of options. c.mu
// is held.
func (c *Conn) dropEndpoint(s *sub) {
	c.act(func() {
		if f := c.host.flow(s.key); f == nil || f == s {
			c.host.stack.AbortHandshake(s.key.local, s.key.remote)
		}
	})
}

// limitHalfOpenJoins makes room for one more join of the peer. c.mu is held.
func (c *Conn) limitHalfOpenJoins() {
	var oldest *sub
	n := 0
	for _, s := range c.subs { // in the order of opening
		if s.down || !s.halfOpen() {
			continue
		}
		if n++; oldest == nil {
			oldest = s
		}
	}
	if n >= maxHalfOpenJoins {
		c.host.mib.Add(mib.JoinHalfOpenDrop)
		c.dropEndpoint(oldest)
		c.subDown(oldest, errNotCompleted)
	}
}

// halfOpen reports whether s is a join that the peer has begun and not completed.
func (s *sub) halfOpen() bool {
	return s.Kind == subflow.Join && s.Role == subflow.Responder && s.State() < subflow.Established
}
