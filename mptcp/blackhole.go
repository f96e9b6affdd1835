package mptcp

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// maxBlackholes bounds the paths that are remembered; the one not used for longest is forgotten.
	maxBlackholes = 1024
	// maxBlackholeTime is the longest time for which MPTCP is not tried.
	maxBlackholeTime = 7 * 24 * time.Hour
)

// blackholes remembers the paths that swallow SYNs with MP_CAPABLE, so that not each connection has
// to wait for plain SYNs (8684-3.9.3-01). A path is a local address and the peer's: what
// swallows options stands near either end. All methods may be called concurrently.
type blackholes struct {
	timeout time.Duration // for the first time; doubles with each further one; 0: never

	mu     sync.Mutex // guards what follows
	paths  map[path]*list.Element
	recent list.List // of *blackhole, the one used last in front
}

type path struct{ local, remote netip.Addr }

type blackhole struct {
	path  path
	until time.Time
	times int // that only plain SYNs got through
}

// active reports whether MPTCP is not to be tried on a path.
func (b *blackholes) active(p path, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.paths[p]
	if e == nil {
		return false
	}
	b.recent.MoveToFront(e)
	return now.Before(e.Value.(*blackhole).until)
}

// found notes that only a plain SYN got through.
func (b *blackholes) found(p path, now time.Time) {
	if b.timeout == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.paths[p]
	if e == nil {
		if b.paths == nil {
			b.paths = make(map[path]*list.Element)
		}
		if b.recent.Len() == maxBlackholes {
			delete(b.paths, b.recent.Remove(b.recent.Back()).(*blackhole).path)
		}
		e = b.recent.PushFront(&blackhole{path: p})
		b.paths[p] = e
	}
	h := e.Value.(*blackhole)
	wait := b.timeout
	for range h.times {
		wait = min(2*wait, max(maxBlackholeTime, b.timeout))
	}
	h.times++
	h.until = now.Add(wait)
}

// works notes that MPTCP got through.
func (b *blackholes) works(p path) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.paths[p]; e != nil {
		b.recent.Remove(e)
		delete(b.paths, p)
	}
}

// avoidBlackhole makes a connection that is about to be dialled plain TCP if its path is known
// to swallow MP_CAPABLE. c.mu is held.
func (c *Conn) avoidBlackhole(key flowKey) {
	if c.shared.Mode == subflow.Plain || !c.host.blackholes.active(path{key.local.Addr(), key.remote.Addr()}, c.host.clock.Now()) {
		return
	}
	c.host.mib.Add(mib.MPCapableSYNTXDisabled)
	c.shared.Mode = subflow.Plain
	c.shared.FallbackReason = "MPTCP not tried: SYNs with MP_CAPABLE stayed unanswered on this path before"
}

// learnBlackhole: the initial subflow of a connection that we dialled is up. c.mu is held.
func (c *Conn) learnBlackhole(now time.Time, f *subflow.Subflow) {
	p := path{f.Local.Addr(), f.Remote.Addr()}
	switch {
	case c.shared.Mode == subflow.MPTCP:
		c.host.blackholes.works(p)
	case f.CapableIgnored():
		c.logf("MP_CAPABLE is swallowed", c.byFlow(f))
		c.host.mib.Add(mib.Blackhole)
		c.host.blackholes.found(p, now)
	}
}
