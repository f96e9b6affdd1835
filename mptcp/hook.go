package mptcp

import (
	"log/slog"
	"net/netip"
	"slices"
	"syscall"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/netstack"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
	"github.com/gomptcp/gomptcp/tun"
)

// hook shows the segments between netstack and the devices to the subflows that they
// belong to.
type hook struct{ h *Host }

// batch is what a device's reader goroutine, its owner, notes during one read: the
// connections that have to be serviced at its end.
type batch struct{ dirty []*Conn }

// Outgoing implements netstack.Hook.
func (k hook) Outgoing(l *netstack.Link, p *tun.Packet) {
	t, ok := packet.ParseTCP(p.Head)
	if !ok {
		return
	}
	s := k.h.flow(flowKey{t.Src(), t.Dst()})
	if s == nil {
		_ = l.Send(p)
		return
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.host.clock.Now()
	s.Outgoing(now, p, t)
	c.checkClosed(s)
	switch {
	case t.Flags()&packet.FlagRST != 0:
		c.refused(s)
		return
	case t.Flags()&packet.FlagACK != 0:
		c.rx.ackDue = false
	}
	if c.waiting() || len(c.signals.queue)+len(c.signals.unheard) > 0 {
		c.service(now)
	} else if c.phase != dead {
		c.arm(now)
	}
}

// refused: netstack resets s of its own accord. If that answers a SYN, for want of a
// listener, no connection comes of it. c.mu is held.
func (c *Conn) refused(s *sub) {
	if c.role != pathmgr.Server || s.State() > subflow.SynReceived {
		return
	}
	c.subDown(s, syscall.ECONNREFUSED)
}

// Incoming implements netstack.Hook.
func (k hook) Incoming(l *netstack.Link, p *tun.Packet, t packet.TCP) bool {
	key := flowKey{t.Dst(), t.Src()}
	s, b := k.h.flowAndBatch(key, l)
	if t.Flags()&(packet.FlagSYN|packet.FlagACK|packet.FlagRST) == packet.FlagSYN && (s == nil || s.over()) {
		var pass bool
		if s, pass = k.h.synIn(l, key, t); s == nil {
			return pass
		}
	}
	if s == nil {
		return true // netstack answers with RST
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	pass := s.Incoming(c.host.clock.Now(), p, t)
	c.checkClosed(s)
	if reset := s.PeerReset(); reset != nil && s.ep == nil && s.State() == subflow.SynReceived {
		c.subDown(s, reset) // there is no endpoint that would tell
	}
	if !slices.Contains(b.dirty, c) {
		b.dirty = append(b.dirty, c)
	}
	return pass
}

// TooBig implements netstack.Hook.
func (k hook) TooBig(l *netstack.Link, m *packet.TooBig) {
	s, b := k.h.flowAndBatch(flowKey{m.Src, m.Dst}, l)
	if s == nil {
		return
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.TooBig(c.host.clock.Now(), m) {
		return
	}
	c.logf("path MTU lowered", s, slog.Int("mtu", s.PathMTU()), slog.Any("router", m.From))
	if !slices.Contains(b.dirty, c) {
		b.dirty = append(b.dirty, c)
	}
}

// BatchDone implements netstack.Hook.
func (k hook) BatchDone(l *netstack.Link) {
	b := k.h.batchOf(l)
	for i, c := range b.dirty {
		c.mu.Lock()
		c.service(c.host.clock.Now())
		c.mu.Unlock()
		b.dirty[i] = nil
	}
	b.dirty = b.dirty[:0]
}

// LinkDown implements netstack.Hook.
func (k hook) LinkDown(l *netstack.Link, _ error) {
	h := k.h
	h.mu.Lock()
	h.links = slices.DeleteFunc(h.links, func(o *netstack.Link) bool { return o == l })
	delete(h.batch, l)
	conns := h.connList()
	h.mu.Unlock()
	for _, c := range conns {
		c.linkDown(l)
	}
}

func (h *Host) flow(key flowKey) *sub {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.flows[key]
}

func (h *Host) flowAndBatch(key flowKey, l *netstack.Link) (*sub, *batch) {
	h.mu.RLock()
	s, b := h.flows[key], h.batch[l]
	h.mu.RUnlock()
	if b == nil {
		b = h.batchOf(l)
	}
	return s, b
}

func (h *Host) batchOf(l *netstack.Link) *batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.batch[l]
	if b == nil {
		b = new(batch)
		h.batch[l] = b
	}
	return b
}

// synIn decides what a SYN asks for. It returns the subflow that answers it, or nil and
// whether the stack is to answer it.
func (h *Host) synIn(l *netstack.Link, key flowKey, t packet.TCP) (s *sub, pass bool) {
	set := option.Parse(t.Options(), t.Flags())
	if join, ok := set.JoinSyn(); ok {
		s, reset := h.joinIn(l, key, join)
		if s == nil {
			refuse(l, t, reset)
		}
		return s, s != nil
	}
	listener := h.listenerAt(key.local)
	switch {
	case listener == nil:
		return nil, true // the stack refuses it
	case listener.full():
		h.mib.Add(mib.ListenOverflow)
		return nil, false
	}
	c, err := h.register(pathmgr.Server)
	if err != nil {
		return nil, false
	}
	c.mu.Lock()
	c.configure(listener.conns)
	c.setAddrs(key)
	s = c.newSub(subflow.Initial, subflow.Responder, key, l, false)
	h.addFlow(s)
	oldest := h.halfOpen.add(s)
	c.mu.Unlock()
	h.giveUp(oldest)
	return s, true
}

// joinIn finds the connection that a join asks for by its token alone (8684-3.2-18), or
// the reason for refusing it, and whether that may pass (8684-Q-04, 8684-Q-32, 8684-3.6-02). A join counts as a subflow only when
// the peer has proved that it may open one (8684-5-01).
func (h *Host) joinIn(l *netstack.Link, key flowKey, join option.JoinSyn) (*sub, option.Reset) {
	h.mib.Add(mib.MPJoinSynRx)
	if join.Backup {
		h.mib.Add(mib.MPJoinSynBackupRx)
	}
	h.mu.RLock()
	c := h.tokens[join.Token]
	h.mu.RUnlock()
	if c == nil {
		h.mib.Add(mib.MPJoinNoTokenFound)
		return nil, option.Reset{Reason: option.ReasonMPTCP}
	}
	c.mu.Lock()
	if reset, no := c.refusesJoins(key); no {
		c.logf("join refused", nil, slog.Any("from", key.remote), slog.Any("to", key.local), slog.String("reason", reset.Reason.String()), slog.Bool("for now", reset.Transient))
		c.mu.Unlock()
		h.mib.Add(mib.MPJoinRejected)
		return nil, reset
	}
	c.limitHalfOpenJoins()
	s := c.newSub(subflow.Join, subflow.Responder, key, l, false)
	h.addFlow(s)
	oldest := h.halfOpenJoins.add(s)
	c.mu.Unlock()
	h.giveUp(oldest)
	return s, option.Reset{}
}

// refusesJoins reports whether, and why, the peer may not open a subflow here and now. The limits are for
// now: what is counted ends, perhaps without the peer's knowing that it has not yet. c.mu is held.
func (c *Conn) refusesJoins(key flowKey) (option.Reset, bool) {
	switch {
	case c.phase != open && c.phase != finished || c.shared.Mode != subflow.MPTCP || c.singlePath || !c.shared.PeerConfirmed && c.role == pathmgr.Client:
		return option.Reset{Reason: option.ReasonMPTCP}, true
	case c.host.cfg.DenyJoinInitial && key.local == c.initialLocal():
		return option.Reset{Reason: option.ReasonProhibited}, true
	case c.liveSubs() >= c.host.cfg.MaxSubflows:
		return option.Reset{Reason: option.ReasonProhibited, Transient: true}, true
	}
	c.host.mu.RLock()
	lingering := c.lingering
	c.host.mu.RUnlock()
	if lingering >= maxLingering {
		return option.Reset{Reason: option.ReasonResources, Transient: true}, true
	}
	if _, err := c.localAddr(key.local.Addr(), 0); err != nil {
		return option.Reset{Reason: option.ReasonResources}, true
	}
	return option.Reset{}, false
}

// refuse answers a SYN with RST and the reason (8684-3.2-09, -10).
func refuse(l *netstack.Link, t packet.TCP, reset option.Reset) {
	opts := option.Pad(reset.AppendTo(nil), 0)
	head := packet.AppendTCP(nil, &packet.Fields{
		Src: t.Dst(), Dst: t.Src(), Ack: t.Seq() + 1, Flags: packet.FlagRST | packet.FlagACK, Options: opts,
	})
	_ = l.Send(&tun.Packet{Head: head, Checksum: tun.ChecksumPartial})
}

// acceptUnclaimed: a SYN to a port without listener is welcome if it is a join, which
// outlives its listener (8684-3.2-18).
func (h *Host) acceptUnclaimed(local, remote netip.AddrPort) bool {
	s := h.flow(flowKey{local, remote})
	return s != nil && s.Kind == subflow.Join
}

func (h *Host) acceptedUnclaimed(ep *netstack.Endpoint) {
	if s := h.flow(flowKey{ep.LocalAddr(), ep.RemoteAddr()}); s != nil && s.Kind == subflow.Join {
		s.attach(ep)
		return
	}
	ep.Abort()
}
