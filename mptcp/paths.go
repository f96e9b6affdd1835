package mptcp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/netstack"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

// initialID is the ID of the initial subflow.
const initialID = 1

// joinTimeout is how long a SYN of a join may go unanswered, with its repetitions: longer than
// any path that is of use (it is sent after 0, 1, 3 and 7 s), and not so long that addresses which
// cannot be reached keep the places of others.
const joinTimeout = 12 * time.Second

// checkEstablished tells the path manager, once, that further subflows may be opened
// (8684-3.1-18), and then what the peer did before.
func (c *Conn) checkEstablished() {
	if c.established || c.phase != open || c.shared.Mode != subflow.MPTCP || !c.shared.PeerConfirmed {
		return
	}
	c.established = true
	c.watchPolicy()
	local, remote := c.initialLocal(), c.initialRemote()
	c.tell(pathmgr.Established{
		Role: c.role, Local: local, Remote: remote, ID: initialID,
		Locals: c.host.localAddrs(), Devices: c.host.deviceNames(), RemoteDeniesInitial: c.shared.RemoteDeniesJoin,
	})
	if c.byID(initialID) == nil {
		c.tell(pathmgr.SubflowDown{ID: initialID, Local: local, Remote: remote, Established: true, Err: ErrNoPath})
	}
	for _, s := range c.subs {
		if s.Kind == subflow.Join && s.isUsable() {
			c.tell(s.upEvent())
		}
	}
	for _, r := range c.remotes {
		c.tell(pathmgr.RemoteAddrUp{AddrID: uint8(r.id), Addr: r.addr})
	}
}

// upEvent says that a join carries data.
func (s *sub) upEvent() pathmgr.SubflowUp {
	var replaces uint32
	if s.instead.old != nil {
		replaces = s.instead.old.ID
	}
	return pathmgr.SubflowUp{
		ID: s.ID, Local: s.Local, Remote: s.Remote, RemoteID: uint8(s.RemoteID),
		Incoming: s.Role == subflow.Responder, Backup: s.isBackup(), Replaces: replaces,
	}
}

// tell hands an event to the path manager and queues what it answers. Before Established it
// is told nothing: Linux announces its addresses before it sends the first DSS, and
// checkEstablished makes up for that. c.mu is held.
func (c *Conn) tell(ev pathmgr.Event) {
	if !c.established || c.phase != open && (c.phase != finished || c.peerKnows) || c.shared.Mode != subflow.MPTCP {
		return
	}
	c.note(ev)
	for _, a := range c.pm.Handle(c.host.clock.Now(), ev) {
		switch a := a.(type) {
		case pathmgr.Open:
			c.act(func() { c.openSubflow(a) })
		case pathmgr.CloseSubflow:
			c.act(func() { c.closeSubflow(a.ID) })
		case pathmgr.Announce:
			c.noteRefused(a, c.announce(a))
		case pathmgr.Withdraw:
			c.withdraw(a.Addrs...)
		case pathmgr.SetBackup:
			c.noteRefused(a, c.setBackup(a.ID, a.Backup))
		case pathmgr.WakeAt:
			c.pmAt = a.At
		}
	}
}

// noteRefused writes down what a path manager asked for in vain.
func (c *Conn) noteRefused(a pathmgr.Action, err error) {
	if err != nil {
		c.logf("path manager asks in vain", nil, append([]any{slog.String("action", fmt.Sprintf("%+v", a))}, because(err)...)...)
	}
}

// openSubflow sends the SYN of a join. c.mu is not held.
func (c *Conn) openSubflow(a pathmgr.Open) {
	_, err := c.trySubflow(a, nil, steered{byHand: a.Backup})
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logf("cannot open subflow", nil, append([]any{slog.Any("from", a.Local), slog.Any("to", a.Remote)}, because(err)...)...)
	c.tell(pathmgr.SubflowDown{Local: netip.AddrPortFrom(a.Local, 0), Remote: a.Remote, Err: err})
	c.service(c.host.clock.Now())
}

// trySubflow sends the SYN of a join and returns the subflow, which may yet fail. If old is not nil it is to
// take the place of that. c.mu is not held.
func (c *Conn) trySubflow(a pathmgr.Open, old *sub, st steered) (*sub, error) {
	link := c.host.stack.LinkFor(a.Local)
	if link == nil {
		return nil, ErrNoDevice
	}
	ep, err := c.host.stack.NewEndpoint(netip.AddrPortFrom(a.Local, 0), a.Remote)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if err := c.mayJoin(a); err != nil {
		c.mu.Unlock()
		ep.Close()
		return nil, err
	}
	st.rests = !st.byHand && old == nil && c.restsAtFirst()
	s := c.newSub(subflow.Join, subflow.Opener, flowKey{ep.LocalAddr(), a.Remote}, link, a.Backup || st.rests)
	s.ep, s.instead, s.steered = ep, insteadOf(old), st
	c.host.addFlow(s)
	now := c.host.clock.Now()
	c.startKnocking(now, s)
	s.giveUpAt = now.Add(joinTimeout)
	if a.Patience > 0 {
		s.giveUpAt = now.Add(min(a.Patience, joinTimeout))
	}
	c.arm(now)
	c.mu.Unlock()
	ep.SetNotify(s.event)
	if err := ep.Connect(a.Remote); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.subDown(s, err)
	}
	return s, nil
}

// mayJoin returns why a join may not be tried. c.mu is held.
func (c *Conn) mayJoin(a pathmgr.Open) error {
	switch {
	case c.phase != open && !c.comesBack() || c.shared.Mode != subflow.MPTCP || c.singlePath:
		return ErrNotMPTCP
	case c.liveSubs() >= c.host.cfg.MaxSubflows:
		return ErrTooManySubflows
	case c.shared.RemoteDeniesJoin && a.Remote == c.initialRemote():
		return ErrJoinDenied // 8684-3.1-24
	}
	_, err := c.localAddr(a.Local, option.AddrID(a.LocalID))
	return err
}

// comesBack reports whether the peer may still wait for our last DATA_ACK, and no subflow is left
// to bring it. The peer cannot come for it if it is a server that opens no subflows.
func (c *Conn) comesBack() bool {
	return c.phase == finished && !c.peerKnows && !c.breakAt.IsZero()
}

// liveSubs counts the subflows that are not over. Joins that the peer has only begun do not
// count: anyone who has seen the token can begin one.
func (c *Conn) liveSubs() int {
	n := 0
	for _, s := range c.subs {
		if !s.down && !s.halfOpen() {
			n++
		}
	}
	return n
}

// closeSubflow ends a subflow: in order if it works, else by RST (8684-Q-16). c.mu is not held.
func (c *Conn) closeSubflow(id uint32) {
	c.mu.Lock()
	s := c.byID(id)
	if s == nil {
		c.mu.Unlock()
		return
	}
	c.logf("closing subflow", s)
	inOrder := c.endsInOrder(s)
	switch {
	case inOrder:
		s.SetClosing()
		c.reinjectFrom(id)
	case s.Sender() == nil && s.Role == subflow.Opener:
		c.subDown(s, errClosed) // its SYN has no answer yet
	default:
		s.SetResetOption(option.Reset{Reason: option.ReasonUnspecified, Transient: true})
		c.resetSub(s, errClosed)
	}
	c.service(c.host.clock.Now())
	c.mu.Unlock()
	if inOrder {
		s.closeWrite()
		c.mu.Lock()
		c.service(c.host.clock.Now()) // the withdrawal of its address waits for the FIN
		c.mu.Unlock()
	}
}

// endsInOrder reports whether a subflow that is to be closed works, so that a FIN ends it.
func (c *Conn) endsInOrder(s *sub) bool {
	return s.talks() && !s.stale && s.Sender().Backoffs() == 0
}

// linkDown ends the subflows of a device that has gone. c.mu is not held.
func (c *Conn) linkDown(link *netstack.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range link.Addrs() { // first, so that nothing is opened from there instead
		c.tell(pathmgr.LocalAddrDown{Addr: a})
	}
	for _, s := range slices.Clone(c.subs) {
		if s.link == link && !s.down {
			c.subDown(s, ErrDeviceRemoved)
		}
	}
	c.service(c.host.clock.Now())
}

// linkUp: a device with this name and these addresses has come. c.mu is not held.
func (c *Conn) linkUp(device string, addrs []netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.established {
		return
	}
	for _, a := range addrs {
		c.tell(pathmgr.LocalAddrUp{Addr: a, Device: device})
	}
	c.service(c.host.clock.Now())
}
