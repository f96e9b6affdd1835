package simnet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// Link joins two nodes. Its methods may be called from any goroutine of the world, and
// take effect at once.
type Link struct {
	// A and B are its ends, at the nodes in the order of Connect.
	A, B *End
	// There leads from A to B, Back from B to A.
	There, Back *Direction
}

// Connect joins two nodes by a link. Links between the same nodes are told apart by
// numbers: the ends of the second link between a and b are called "a-b/2" and "b-a/2". It
// panics when a Shape is out of range.
func (w *World) Connect(a, b Node, there, back Shape) *Link {
	there.check()
	back.check()
	l := new(Link)
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 1
	for _, o := range w.links {
		if o.A.node == a && o.B.node == b || o.A.node == b && o.B.node == a {
			n++
		}
	}
	name := func(from, to Node) string {
		if n == 1 {
			return from.Name() + "-" + to.Name()
		}
		return fmt.Sprintf("%s-%s/%d", from.Name(), to.Name(), n)
	}
	l.A = w.newEnd(a, name(a, b), 2*len(w.links), there.mtu())
	l.B = w.newEnd(b, name(b, a), 2*len(w.links)+1, back.mtu())
	l.There = newDirection(w, l.A, l.B, there)
	l.Back = newDirection(w, l.B, l.A, back)
	l.There.opposite, l.Back.opposite = l.Back, l.There
	l.A.out, l.B.out = l.There, l.Back
	w.links = append(w.links, l)
	return l
}

// String names the link by its end A.
func (l *Link) String() string { return l.A.name }

// Change changes the shapes of both directions.
func (l *Link) Change(f func(s *Shape)) {
	l.There.Change(f)
	l.Back.Change(f)
}

// Down makes both directions lose all packets, those on their way too. The hosts are not
// told: that is End.Fail.
func (l *Link) Down() {
	l.There.SetUp(false)
	l.Back.SetUp(false)
}

// Up ends Down.
func (l *Link) Up() {
	l.There.SetUp(true)
	l.Back.SetUp(true)
}

// End is an end of a link: for a host it is the device of a path.
type End struct {
	w      *World
	node   Node
	name   string
	number int // among all ends of the world
	mtu    int
	out    *Direction

	mu     sync.Mutex // guards what follows
	inbox  *inbox
	failed error
}

var _ tun.Device = (*End)(nil)

func (w *World) newEnd(n Node, name string, number, mtu int) *End {
	return &End{w: w, node: n, name: name, number: number, mtu: mtu, inbox: newInbox()}
}

// packetSent is a packet from a host that has not yet come to its link.
type packetSent struct {
	from *End
	flow string // sorts what is sent at the same time
	b    []byte
}

// Name implements tun.Device: this node's name and the other's, "client-server".
func (e *End) Name() string { return e.name }

// MTU implements tun.Device.
func (e *End) MTU() int { return e.mtu }

// Features implements tun.Device.
func (e *End) Features() tun.Features { return tun.Features{GSO: true, Checksum: true} }

// Write implements tun.Device.
func (e *End) Write(pkts []tun.Packet) error {
	e.mu.Lock()
	err := e.failed
	e.mu.Unlock()
	if err != nil {
		return err
	}
	scratch := scratches.Get().(*[tun.MaxPacketSize]byte)
	defer scratches.Put(scratch)
	for i := range pkts {
		// What is no packet at all is dropped, as a wire would.
		_ = tun.Packetize(scratch[:], &pkts[i], func(b []byte) error {
			e.send(b)
			return nil
		})
	}
	return nil
}

var scratches = sync.Pool{New: func() any { return new([tun.MaxPacketSize]byte) }}

// send notes a packet that a host has sent.
func (e *End) send(b []byte) {
	p := packetSent{from: e, b: append([]byte(nil), b...)}
	if t, ok := packet.ParseTCP(b); ok {
		// Both addresses and both ports.
		h := t.Header()
		p.flow = string(h[t.IPLen()-2*t.Src().Addr().BitLen()/8 : t.IPLen()+4])
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.sent = append(e.w.sent, p)
	e.w.wakeLocked()
}

// admit puts what hosts have sent on the links, in an order that does not depend on which
// of their goroutines came first.
func (w *World) admit() {
	w.mu.Lock()
	sent := w.sent
	w.sent = nil
	w.mu.Unlock()
	slices.SortStableFunc(sent, func(a, b packetSent) int {
		return cmp.Or(a.from.number-b.from.number, strings.Compare(a.flow, b.flow))
	})
	for _, p := range sent {
		p.from.out.enter(p.b)
	}
}

// deliver gives the host a packet that has arrived.
func (e *End) deliver(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inbox.put(b)
}

// Read implements tun.Device.
func (e *End) Read(pkts []tun.Packet) (int, error) {
	e.mu.Lock()
	in := e.inbox
	e.mu.Unlock()
	return in.get(pkts)
}

// Close implements tun.Device. The link lives on; what arrives here is lost until Device
// is called.
func (e *End) Close() error {
	e.Fail(tun.ErrClosed)
	return nil
}

func (e *End) close() { e.Fail(tun.ErrClosed) }

// Fail makes the device fail with err, as when a cable's interface vanishes: the host is
// told. The link itself goes on; what arrives here is lost. See Device.
func (e *End) Fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed == nil {
		e.failed = err
		e.inbox.fail(err)
	}
}

// Device returns the end as a device that works, after Close or Fail too: it can be added
// to a host again.
func (e *End) Device() tun.Device {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil {
		e.failed, e.inbox = nil, newInbox()
	}
	return e
}

// maxInbox is how many packets wait for a host that does not read; more are dropped.
const maxInbox = 1000

// inbox holds packets that have arrived at a host.
type inbox struct {
	mu   sync.Mutex // guards what follows
	some sync.Cond
	list [][]byte
	err  error
}

func newInbox() *inbox {
	in := new(inbox)
	in.some.L = &in.mu
	return in
}

func (in *inbox) put(b []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil && len(in.list) < maxInbox {
		in.list = append(in.list, b)
		in.some.Signal()
	}
}

func (in *inbox) get(pkts []tun.Packet) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.list) == 0 && in.err == nil {
		in.some.Wait()
	}
	if in.err != nil {
		return 0, in.err
	}
	n := min(len(in.list), len(pkts))
	for i, b := range in.list[:n] {
		pkts[i] = tun.Packet{Head: pkts[i].Head[:copy(pkts[i].Head, b)]}
	}
	in.list = append(in.list[:0], in.list[n:]...)
	return n, nil
}

func (in *inbox) fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.err, in.list = err, nil
	in.some.Broadcast()
}

// String tells what is on the way in a direction.
func (d *Direction) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %v, %v, loss %g", d.Name(), d.shape.Rate, d.shape.Delay, d.shape.Loss)
	if d.down {
		s.WriteString(", down")
	}
	fmt.Fprintf(&s, ", queue %d packets %d bytes; %v", d.queue.len(), d.queue.bytes, d.stats)
	return s.String()
}
