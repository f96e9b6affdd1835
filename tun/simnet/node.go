package simnet

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
)

// Node is where links end: a *Host or a *Router.
type Node interface {
	// Name is the node's name, unique in its world.
	Name() string
	// arrive takes a packet that has come in; the driver calls it.
	arrive(at *End, b []byte)
}

// addNode makes a node known; its name must be new.
func (w *World) addNode(n Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.Name() == "" || w.nodes[n.Name()] != nil {
		panic(fmt.Sprintf("simnet: a node needs a name of its own, not %q", n.Name()))
	}
	w.nodes[n.Name()] = n
}

// Host is the place of a protocol stack: the ends of its links are the stack's devices,
// and it is the stack's environment (mptcp.Config.Environment).
type Host struct {
	w       *World
	name    string
	sources atomic.Int64
}

var _ clock.Environment = (*Host)(nil)

// Host adds a host. It panics if the name is empty or taken.
func (w *World) Host(name string) *Host {
	h := &Host{w: w, name: name}
	w.addNode(h)
	return h
}

// Name implements Node.
func (h *Host) Name() string { return h.name }

func (h *Host) arrive(at *End, b []byte) {
	at.deliver(b)
	h.w.unsettled = true
}

// Now implements clock.Clock.
func (h *Host) Now() time.Time { return h.w.Now() }

// AfterFunc implements clock.Clock.
func (h *Host) AfterFunc(d time.Duration, f func()) clock.Timer { return h.w.AfterFunc(d, f) }

// Rand returns a new source of random bytes at each call. It depends on the seed, the
// host's name and the number of the call, and is safe for concurrent use.
func (h *Host) Rand() io.Reader {
	return &lockedReader{r: h.w.source(fmt.Sprintf("host %s %d", h.name, h.sources.Add(1)))}
}

// Register makes a stack that lives in this host known to the world; stacks call it
// themselves.
func (h *Host) Register(m clock.Member) (leave func()) { return h.w.register(h.name, m) }

// lockedReader makes a ChaCha8 safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// Router is a node that passes packets on by static routes. It takes no time for that and
// has no queue: links have. Packets whose time to live ends are dropped without a word.
type Router struct {
	name    string
	mu      sync.Mutex // guards what follows
	routes  []route    // the longest prefix first
	dropped uint64
}

type route struct {
	to  netip.Prefix
	via *End
}

// Router adds a router without routes. It panics if the name is empty or taken.
func (w *World) Router(name string) *Router {
	r := &Router{name: name}
	w.addNode(r)
	return r
}

// Name implements Node.
func (r *Router) Name() string { return r.name }

// Route sends what goes to prefix into link, which ends at this router. Of several
// routes the one with the longest prefix counts, of the same prefix the last one set.
func (r *Router) Route(prefix netip.Prefix, link *Link) {
	via := link.A
	if via.node != Node(r) {
		via = link.B
	}
	if via.node != Node(r) {
		panic(fmt.Sprintf("simnet: link %v does not end at router %s", link, r.name))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := 0
	for i < len(r.routes) && r.routes[i].to.Bits() > prefix.Bits() {
		i++
	}
	r.routes = append(r.routes[:i:i], append([]route{{prefix.Masked(), via}}, r.routes[i:]...)...)
}

// Dropped is the number of packets for which there was no route or no time to live left.
func (r *Router) Dropped() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

func (r *Router) arrive(_ *End, b []byte) {
	via := r.lookup(b)
	if via != nil && decrementTTL(b) {
		via.out.enter(b)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped++
}

func (r *Router) lookup(b []byte) *End {
	_, dst, ok := addresses(b)
	if !ok {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rt := range r.routes {
		if rt.to.Contains(dst) {
			return rt.via
		}
	}
	return nil
}
