package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// serverAddr is a further address of the server, beside the one that clients dial.
type serverAddr struct {
	v6     bool
	own    bool         // it has a link of its own, else it is on the first one
	shape  simnet.Shape // of that link
	events []pathEvent
}

// byHand is something that one end does to its subflows.
type byHand struct {
	at     time.Duration // since the start of the traffic
	side   int
	number int // picks the subflow
	kind   byHandKind
}

type byHandKind string

const (
	remove    byHandKind = "remove"
	backup    byHandKind = "backup"
	notBackup byHandKind = "no backup"
	add       byHandKind = "add"
	withdraw  byHandKind = "withdraw"
	announce  byHandKind = "announce"
)

// extend adds to a scenario what was thought of later. It draws from dice of its own, so that
// older seeds keep the rest of their meaning.
func (s *scenario) extend() {
	d := dice{rand.New(rand.NewPCG(s.seed, 0x66757274686572))}
	if d.chance(20) {
		s.bothFamilies()
	}
	if d.chance(40) {
		s.furtherAddresses(d)
	}
	for i := range s.paths {
		s.furtherPath(d, i)
	}
	s.furtherSettings(d)
	if d.chance(25) {
		for range 1 + d.IntN(4) {
			h := byHand{at: d.between(0, 5*time.Second), side: d.IntN(2), number: d.IntN(8), kind: pick(d, remove, backup, notBackup, add, withdraw, announce)}
			if h.kind == withdraw || h.kind == announce {
				h.side = 1
			}
			if (h.kind == remove || h.kind == withdraw) && (!s.mayLoseSubflows() || s.losesSubflows()) {
				h.kind = backup
			}
			s.byHand = append(s.byHand, h)
		}
	}
	if d.chance(6) {
		for i := range s.conns {
			s.conns[i].ending = severed
		}
	}
}

// bothFamilies gives each path an address of each family.
func (s *scenario) bothFamilies() {
	s.dual = true
	for i := range s.paths {
		for _, shape := range []*simnet.Shape{&s.paths[i].there, &s.paths[i].back} {
			if shape.MTU > 0 {
				shape.MTU = max(shape.MTU, 1280)
			}
		}
	}
}

// furtherAddresses gives the server one to three more, which it announces.
func (s *scenario) furtherAddresses(d dice) {
	for range 1 + d.IntN(3) {
		a := serverAddr{v6: s.v6, own: d.chance(60), shape: shape(d, true)}
		if s.dual && d.chance(50) {
			a.v6 = !s.v6
		}
		if a.own && s.mayLoseSubflows() && d.chance(30) {
			a.events = append(a.events, newEvent(d, silent, signalled, slower, lossy, removed))
		}
		s.servers = append(s.servers, a)
	}
}

func newEvent(d dice, kinds ...pathEventKind) pathEvent {
	return pathEvent{at: d.between(0, 6*time.Second), length: d.between(time.Millisecond, 5*time.Second), kind: pick(d, kinds...)}
}

func (s *scenario) furtherPath(d dice, number int) {
	p := &s.paths[number]
	if d.chance(15) {
		p.there.Queue.CoDel = &simnet.CoDel{ECN: d.chance(50)}
		p.back.Queue.CoDel = &simnet.CoDel{ECN: d.chance(50)}
	}
	if p.box == split {
		for _, q := range []*simnet.Queue{&p.there.Queue, &p.back.Queue} {
			if q.Packets > 0 {
				q.Packets = max(q.Packets, leastQueue)
			}
		}
	}
	if d.chance(5) {
		p.there.Reorder, p.there.ReorderBy = d.Float64()*0.05, d.between(0, time.Second)
	}
	if d.chance(25) {
		p.dropThere, p.dropBack = d.IntN(10), d.IntN(10)
	}
	switch k := d.IntN(100); {
	case k < 8:
		p.rates = newRates(d)
	case k < 12:
		p.trace = newTrace(d)
	}
	if p.box == noBox && s.mayTranslate() && d.chance(12) {
		p.box = nat
	}
	if s.mayNarrow() && d.chance(20) {
		e := newEvent(d, narrow, hole)
		if d.chance(40) {
			e.at = 0
		}
		e.mtu = pick(d, 1280, 1380, 1450)
		if !s.v6 && !s.dual {
			e.mtu = pick(d, 600, 900, 1280, 1450)
		}
		p.events = append(p.events, e)
	}
	if !s.mayLoseSubflows() {
		return
	}
	if number > 0 && p.box == noBox && d.chance(8) {
		p.box = coalesce
	}
	if p.box == nat && d.chance(40) {
		p.events = append(p.events, newEvent(d, natRestart))
	}
	if d.chance(10) {
		p.events = append(p.events, newEvent(d, removed))
	}
	if number > 0 && d.chance(10) {
		p.late = d.between(0, 3*time.Second)
	}
}

// newRates is a rate that changes all the time.
func newRates(d dice) (steps []simnet.RateStep) {
	for range 2 + d.IntN(6) {
		step := simnet.RateStep{For: d.between(5*time.Millisecond, time.Second), Rate: simnet.Mbps * simnet.Rate(1+d.IntN(30))}
		if d.chance(10) {
			step = simnet.RateStep{For: d.between(time.Millisecond, longestStall), Rate: simnet.Stalled}
		}
		steps = append(steps, step)
	}
	return append(steps, simnet.RateStep{For: 100 * time.Millisecond, Rate: 5 * simnet.Mbps})
}

// newTrace is one as Mahimahi records them, some seconds long.
func newTrace(d dice) *simnet.Trace {
	var lines strings.Builder
	at, usual := 0, 1+d.IntN(10)
	for range 500 {
		gap := d.IntN(2 * usual)
		if d.IntN(200) == 0 {
			gap = int(d.between(0, longestStall) / time.Millisecond)
		}
		at += gap
		fmt.Fprintln(&lines, at+1)
	}
	t, err := simnet.ReadMahimahi(strings.NewReader(lines.String()))
	if err != nil {
		panic(err)
	}
	return t
}

func (s *scenario) furtherSettings(d dice) {
	for i := range s.config {
		c := &s.config[i]
		c.fastCloseByACK = d.chance(30)
		if d.chance(20) {
			c.keepAlive = d.between(500*time.Millisecond, 10*time.Second)
		}
		if s.mayLimitSubflows() && d.chance(20) {
			c.maxSubflows = 1 + d.IntN(6)
		}
	}
	if len(s.servers) > 0 && s.mayLimitSubflows() && d.chance(30) {
		s.config[1].denyInitial = true
	}
}

// address is the further server address number k.
func (a serverAddr) address(k int) netip.Prefix {
	if a.v6 {
		return netip.MustParsePrefix(fmt.Sprintf("2001:db8:f%d::1/64", k))
	}
	return netip.MustParsePrefix(fmt.Sprintf("198.51.%d.1/24", 100+k))
}

// atHand lets one end do something to its paths in each connection. That there is no such
// subflow any more, or no MPTCP, is fine.
func (n *network) atHand(h byHand) {
	for _, pair := range n.pairs {
		c := pair[h.side]
		switch h.kind {
		case withdraw, announce:
			n.announceAtHand(c, h)
			continue
		case add:
			n.addAtHand(c, h)
			continue
		}
		var alive []uint32
		for _, f := range c.Info().Subflows {
			if f.State == "established" {
				alive = append(alive, f.ID)
			}
		}
		if len(alive) == 0 || h.kind == remove && len(alive) < 2 {
			continue
		}
		id := alive[h.number%len(alive)]
		switch h.kind {
		case remove:
			_ = c.RemoveSubflow(id)
		case backup, notBackup:
			_ = c.SetBackup(id, h.kind == backup)
		}
	}
}

// announceAtHand withdraws or announces one of the server's further addresses.
func (n *network) announceAtHand(c *mptcp.Conn, h byHand) {
	if len(n.scenario.servers) == 0 {
		return
	}
	k := h.number % len(n.scenario.servers)
	a := n.scenario.servers[k].address(k).Addr()
	if h.kind == withdraw {
		_ = c.Withdraw(a)
	} else {
		_ = c.Announce(netip.AddrPortFrom(a, 443))
	}
}

// addAtHand opens a subflow more. Most often there is one from there already.
func (n *network) addAtHand(c *mptcp.Conn, h byHand) {
	remote := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	for _, a := range n.client(h.number % len(n.paths)) {
		if a.Addr().Is4() == remote.Addr().Is4() && h.side == 0 {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, _ = c.AddSubflow(ctx, a.Addr(), remote, h.number%2 == 0)
			cancel()
		}
	}
}
