package soak

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
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
	links []*simnet.Link // of the client, one for each path
	pairs [][2]*mptcp.Conn
}

func (s *scenario) server() netip.Addr {
	if s.v6 {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("192.0.2.1")
}

// client is the client's address on a path.
func (s *scenario) client(path int) netip.Prefix {
	if s.v6 {
		return netip.MustParsePrefix(fmt.Sprintf("2001:db8:%d::1/64", path+1))
	}
	return netip.MustParsePrefix(fmt.Sprintf("10.0.%d.1/24", path+1))
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
	server := netip.PrefixFrom(s.server(), 24)
	hub.Route(server, last)
	if err := n.hosts[1].AddDevice(last.B, server); err != nil {
		return nil, err
	}
	for i, p := range s.paths {
		l := w.Connect(nodes[0], hub, p.there, p.back)
		n.links = append(n.links, l)
		hub.Route(s.client(i), l)
		place(p.box, l, i)
		if err := n.hosts[0].AddDevice(l.A, s.client(i)); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// place puts a middlebox into a path's link.
func place(b box, l *simnet.Link, path int) {
	there, back := l.There.Through, l.Back.Through
	switch b {
	case nat:
		x := simnet.NewNAT(netip.AddrFrom4([4]byte{10, 0, byte(path + 1), 9}))
		there(x.Out)
		back(x.In)
	case shift:
		x := simnet.ShiftSequence{By: 0x12345678, ByBack: 0xfedcba98}
		there(x.There)
		back(x.Back)
	case split:
		there(simnet.SplitSegments(400))
		back(simnet.SplitSegments(333))
	case ackProxy:
		x := &simnet.AckProxy{Skip: 1000} // earlier ones make the ends disagree about MPTCP
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

// schedule lets the paths' events happen from now on.
func (n *network) schedule() {
	for i, p := range n.paths {
		for _, e := range p.events {
			begin := n.w.Elapsed() + e.at
			n.w.At(begin, func() { n.begin(i, e.kind) })
			n.w.At(begin+e.length, func() { n.end(i, e.kind) })
		}
	}
}

func (n *network) begin(path int, kind pathEventKind) {
	l := n.links[path]
	switch kind {
	case silent:
		l.Down()
	case signalled:
		if path == 0 && !n.established() {
			return
		}
		l.A.Fail(errors.New("unplugged"))
	case slower:
		l.Change(func(s *simnet.Shape) { s.Rate, s.Delay = s.Rate/3, s.Delay*3 })
	case lossy:
		l.Change(func(s *simnet.Shape) { s.Loss = 0.3 })
	}
}

// established reports whether the connections can live without their first path: until
// the client has had a DATA_ACK it may not open another one (8684-3.1).
func (n *network) established() bool {
	for _, p := range n.pairs {
		if i := p[0].Info(); i.BytesSent == 0 && i.BytesReceived == 0 {
			return false
		}
	}
	return true
}

// end puts the path back as it was. Events may overlap: then the first end counts.
func (n *network) end(path int, kind pathEventKind) {
	l, p := n.links[path], n.paths[path]
	switch kind {
	case silent:
		l.Up()
	case signalled:
		// An error means that it is there already, or that the host is closed.
		_ = n.hosts[0].AddDevice(l.A.Device(), n.client(path))
	case slower, lossy:
		restore := func(to simnet.Shape) func(s *simnet.Shape) {
			return func(s *simnet.Shape) { s.Rate, s.Delay, s.Loss = to.Rate, to.Delay, to.Loss }
		}
		l.There.Change(restore(p.there))
		l.Back.Change(restore(p.back))
	}
}

// leftovers waits until no connection should be left and tells which are. World.Dump
// lists them.
func (n *network) leftovers() string {
	if n.w.Elapsed() >= deadline {
		return "" // the world is stuck and says so itself
	}
	time.Sleep(2 * time.Minute)
	var b strings.Builder
	n.w.Dump(&b)
	if strings.Contains(b.String(), "mptcp") {
		return b.String()
	}
	return ""
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
	j := &judges{client: tracecheck.New(), server: tracecheck.New(), sendersOnly: s.corrupts()}
	for _, p := range s.paths {
		j.stripped = j.stripped || p.box.strips()
	}
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
