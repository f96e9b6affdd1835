package mptcp

import (
	"context"
	"net"
	"slices"
	"sync"

	"github.com/gomptcp/gomptcp/pathmgr"
)

// maxEvents is how many events of a connection are kept for NextEvent: whatever the peer does, what
// nobody reads is bounded.
const maxEvents = 64

// events are those that NextEvent has not returned yet; Conn.mu protects them.
type events struct {
	list   []pathmgr.Event
	missed bool // the oldest had to make room
	cond   sync.Cond
}

// note keeps an event for NextEvent. c.mu is held.
func (c *Conn) note(ev pathmgr.Event) {
	switch ev.(type) {
	case pathmgr.Timer, pathmgr.Changed:
		return // news for the path manager only
	}
	q := &c.events
	if len(q.list) == maxEvents {
		q.list, q.missed = slices.Delete(q.list, 0, 1), true
	}
	q.list = append(q.list, ev)
	q.cond.Broadcast()
}

// NextEvent waits for the next thing that happens to the paths of the connection and returns it: what
// path managers are told, and `ip mptcp monitor` shows of Linux' connections. The first is
// pathmgr.Established; then come SubflowUp and SubflowDown, RemoteAddrUp and RemoteAddrDown for what
// the peer announces and withdraws, PriorityChanged for its MP_PRIO, LocalAddrUp and LocalAddrDown, and
// Resumed when the machine had been suspended.
// There are events with every path manager; a program that manages paths itself takes pathmgr.Manual.
//
// The last 64 events are kept. When older ones had to make room the error is ErrEventsMissed, once, and Info
// tells the state of things. After the last event of a connection that is over, the error is around what
// ended it, or net.ErrClosed; a connection of plain TCP has no events. The context's error
// is returned when that ends first.
func (c *Conn) NextEvent(ctx context.Context) (pathmgr.Event, error) {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.events.cond.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	q := &c.events
	for {
		switch {
		case q.missed:
			q.missed = false
			return nil, c.opError("next event", ErrEventsMissed)
		case len(q.list) > 0:
			ev := q.list[0]
			q.list = slices.Delete(q.list, 0, 1)
			return ev, nil
		case c.err != nil:
			return nil, c.opError("next event", c.err)
		case c.phase == dead:
			return nil, c.opError("next event", net.ErrClosed)
		case ctx.Err() != nil:
			return nil, c.opError("next event", ctx.Err())
		}
		q.cond.Wait()
	}
}
