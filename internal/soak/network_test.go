package soak

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gomptcp/gomptcp/internal/tracecheck"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// network is a scenario that has come to life.
type network struct {
	*scenario
	w     *simnet.World
	hosts [2]*mptcp.Host
	last  *simnet.Link // from the hub to the server
	// The lines of the client, one for each path, and those of the server's further addresses, nil for one
	// that has none of its own.
	paths, servers []*line
	pairs          [][2]*mptcp.Conn
}

func (s *scenario) server() netip.Addr {
	if s.v6 {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("192.0.2.1")
}

// client is the client's addresses on a path.
func (s *scenario) client(path int) []netip.Prefix {
	v4, v6 := netip.MustParsePrefix(fmt.Sprintf("10.0.%d.1/24", path+1)), netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::1/64", path+1))
	switch {
	case s.dual:
		return []netip.Prefix{v4, v6}
	case s.v6:
		return []netip.Prefix{v6}
	}
	return []netip.Prefix{v4}
}

func (s *scenario) build(w *simnet.World) (*network, error) {
	n := &network{scenario: s, w: w}
	nodes := [2]*simnet.Host{w.Host("client"), w.Host("server")}
	hub := w.Router("hub")
	for i, node := range nodes {
		cfg := s.hostConfig(i)
		cfg.Environment = node
		var err error
		if n.hosts[i], err = mptcp.NewHost(cfg); err != nil {
			return nil, err
		}
	}
	last := w.Connect(hub, nodes[1], s.last, s.last)
	n.last = last
	first := []netip.Prefix{netip.PrefixFrom(s.server(), 24)}
	for k, a := range s.servers {
		if !a.own {
			first = append(first, a.address(k))
		}
	}
	if err := n.addLine(hub, &line{link: last, host: n.hosts[1], device: last.B, addrs: first}, 0); err != nil {
		return nil, err
	}
	for i, p := range s.paths {
		l := w.Connect(nodes[0], hub, p.there, p.back)
		x := &line{link: l, host: n.hosts[0], device: l.A, addrs: s.client(i), there: p.there, back: p.back, initial: i == 0}
		n.paths = append(n.paths, x)
		x.place(p, i)
		l.There.Through(simnet.DropNth(p.dropThere, nil))
		l.Back.Through(simnet.DropNth(p.dropBack, nil))
		if p.trace != nil {
			l.There.Follow(p.trace)
			l.Back.Follow(p.trace)
		}
		if p.rates != nil {
			l.There.FollowRates(p.rates)
			l.Back.FollowRates(p.rates)
		}
		if err := n.addLine(hub, x, p.late); err != nil {
			return nil, err
		}
	}
	for k, a := range s.servers {
		if !a.own {
			n.servers = append(n.servers, nil)
			continue
		}
		l := w.Connect(hub, nodes[1], a.shape, a.shape)
		x := &line{link: l, host: n.hosts[1], device: l.B, addrs: []netip.Prefix{a.address(k)}, there: a.shape, back: a.shape}
		n.servers = append(n.servers, x)
		if err := n.addLine(hub, x, 0); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// line is a link between a host and the hub.
type line struct {
	link        *simnet.Link
	host        *mptcp.Host
	device      *simnet.End // of the host
	addrs       []netip.Prefix
	there, back simnet.Shape
	initial     bool        // connections begin here
	forget      atomic.Bool // the NAT is to restart
}

// addLine makes the line known to the hub, and to its host, now or later.
func (n *network) addLine(hub *simnet.Router, x *line, late time.Duration) error {
	for _, a := range x.addrs {
		hub.Route(a, x.link)
	}
	if late > 0 {
		n.w.At(late, x.attach)
		return nil
	}
	return x.host.AddDevice(x.device, x.addrs...)
}

// attach gives the host its device back. An error means that it is there already, or that
// the host is closed.
func (x *line) attach() { _ = x.host.AddDevice(x.device.Device(), x.addrs...) }

// place puts a middlebox into the link of a path.
func (x *line) place(p path, number int) {
	there, back := x.link.There.Through, x.link.Back.Through
	switch p.box {
	case nat:
		n := simnet.NewNAT(netip.AddrFrom4([4]byte{10, 0, byte(number + 1), 9}))
		there(func(p *simnet.Passage, b []byte) {
			if x.forget.Swap(false) {
				n.Forget()
			}
			n.Out(p, b)
		})
		back(n.In)
	case coalesce:
		there(simnet.CoalesceSegments(9000, 5*time.Millisecond))
		back(simnet.CoalesceSegments(1400, time.Millisecond))
	case shift:
		x := simnet.ShiftSequence{By: 0x12345678, ByBack: 0xfedcba98}
		there(x.There)
		back(x.Back)
	case split:
		there(simnet.SplitSegments(400))
		back(simnet.SplitSegments(333))
	case ackProxy:
		x := &simnet.AckProxy{Skip: p.skip}
		there(x.Data)
		back(x.Acks)
	case stripSYN:
		there(simnet.StripMPTCP(simnet.IsSYN))
	case stripAnswer:
		back(simnet.StripMPTCP(simnet.IsSYN))
	case stripData:
		there(simnet.StripMPTCP(simnet.HasPayload))
		back(simnet.StripMPTCP(simnet.HasPayload))
	case stripThere:
		there(simnet.StripMPTCP(nil))
	case stripBack:
		back(simnet.StripMPTCP(nil))
	case stripAllWays:
		there(simnet.StripMPTCP(nil))
		back(simnet.StripMPTCP(nil))
	}
}

// sever takes all links down.
func (n *network) sever() {
	for _, x := range append(append([]*line(nil), n.paths...), n.servers...) {
		if x != nil {
			x.link.Down()
		}
	}
	n.last.Down()
}

// schedule lets what the scenario has in store happen, from now on.
func (n *network) schedule() {
	plan := func(x *line, events []pathEvent) {
		for _, e := range events {
			begin := n.w.Elapsed() + e.at
			n.w.At(begin, func() { n.begin(x, e) })
			n.w.At(begin+e.length, func() { x.end(e.kind) })
		}
	}
	for i, p := range n.scenario.paths {
		plan(n.paths[i], p.events)
	}
	for k, a := range n.scenario.servers {
		plan(n.servers[k], a.events)
	}
	for _, h := range n.byHand {
		n.w.At(n.w.Elapsed()+h.at, func() { n.atHand(h) })
	}
}

func (n *network) begin(x *line, e pathEvent) {
	if e.kind.kills() && x.initial && !n.established() {
		return
	}
	l := x.link
	switch e.kind {
	case silent:
		l.Down()
	case signalled:
		x.device.Fail(errors.New("unplugged"))
	case removed:
		_ = x.host.RemoveDevice(x.device.Name()) // it may be gone
	case natRestart:
		x.forget.Store(true)
	case slower:
		l.Change(func(s *simnet.Shape) { s.Rate, s.Delay = s.Rate/3, s.Delay*3 })
	case lossy:
		l.Change(func(s *simnet.Shape) { s.Loss = 0.3 })
	case narrow, hole:
		l.Change(func(s *simnet.Shape) { s.MTU, s.TellTooBig = e.mtu, e.kind == narrow })
	}
}

// established reports whether the connections can live without their first path: until
// the client has had a DATA_ACK it may not open another one (8684-3.1), and one that has become
// plain TCP in the handshake never may.
func (n *network) established() bool {
	for _, p := range n.pairs {
		if i := p[0].Info(); i.BytesAcked == 0 && i.BytesReceived == 0 || gaveUpMPTCP(i.FallbackReason) {
			return false
		}
	}
	return true
}

// end puts the line back as it was. Events may overlap: then the first end counts.
func (x *line) end(kind pathEventKind) {
	l := x.link
	restore := func(change func(s *simnet.Shape, to simnet.Shape)) {
		l.There.Change(func(s *simnet.Shape) { change(s, x.there) })
		l.Back.Change(func(s *simnet.Shape) { change(s, x.back) })
	}
	switch kind {
	case silent:
		l.Up()
	case signalled, removed:
		x.attach()
	case slower, lossy:
		restore(func(s *simnet.Shape, to simnet.Shape) { s.Rate, s.Delay, s.Loss = to.Rate, to.Delay, to.Loss })
	case narrow, hole:
		restore(func(s *simnet.Shape, to simnet.Shape) { s.MTU = to.MTU })
	}
}

// leftovers waits until no connection should be left and tells what is.
func (n *network) leftovers() string {
	if n.w.Elapsed() >= deadline {
		return "" // the world is stuck and says so itself
	}
	time.Sleep(2 * time.Minute)
	return n.w.Leftovers()
}

// judges watch what passes at the hosts' links.
type judges struct {
	client, server *tracecheck.Checker
	// sendersOnly: packets are not looked at where they arrive, since they are damaged there
	// on purpose; one Checker has them all.
	sendersOnly bool
	// stripped: mappings are taken away on the way.
	stripped bool
}

func newJudges(s *scenario) *judges {
	j := &judges{client: tracecheck.New(), server: tracecheck.New(), sendersOnly: s.corrupts(), stripped: s.strips() || s.hasBox(coalesce)}
	if j.sendersOnly {
		j.server = j.client
	}
	return j
}

func (j *judges) record(e simnet.Event) {
	name := e.Direction.Name()
	from, to, _ := strings.Cut(name, "-")
	switch {
	case e.Kind == simnet.Entered && from == "client":
		j.client.Add(e.At, name, e.Packet)
	case e.Kind == simnet.Entered && from == "server":
		j.server.Add(e.At, name, e.Packet)
	case e.Kind != simnet.Arrived || j.sendersOnly:
	case strings.HasPrefix(to, "client"):
		j.client.Add(e.At, name, e.Packet)
	case strings.HasPrefix(to, "server"):
		j.server.Add(e.At, name, e.Packet)
	}
}

// verdict is what they have found.
func (j *judges) verdict() (list []tracecheck.Finding) {
	checkers := []*tracecheck.Checker{j.client}
	if j.server != j.client {
		checkers = append(checkers, j.server)
	}
	for _, c := range checkers {
		if !j.stripped {
			c.Finish() // looks for bytes without a mapping
		}
		list = append(list, c.Findings()...)
	}
	return list
}
