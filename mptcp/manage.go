package mptcp

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

// AddSubflow opens a subflow from a local address to an address of the peer (MP_JOIN, RFC 8684
// section 3.2) and waits until it carries data; it returns its SubflowInfo.ID. The zero local
// is the first address of the host that fits remote's family; the zero remote is the peer's
// initial address, and port 0 its initial port. backup asks the peer to send on the subflow only
// when nothing else works, see SetBackup. When ctx ends first, the attempt is given up.
//
// The error, a *net.OpError, is around ErrNotMPTCP, ErrNotConfirmedYet, ErrNoDevice,
// ErrTooManySubflows, ErrJoinDenied, the context's, or why the attempt failed.
func (c *Conn) AddSubflow(ctx context.Context, local netip.Addr, remote netip.AddrPort, backup bool) (id uint32, err error) {
	id, err = c.addSubflow(ctx, local.Unmap(), remote, backup)
	return id, c.opError("add subflow", err)
}

func (c *Conn) addSubflow(ctx context.Context, local netip.Addr, remote netip.AddrPort, backup bool) (uint32, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c.mu.Lock()
	err := c.checkManaged()
	if err == nil && !c.established {
		err = ErrNotConfirmedYet
	}
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	initial := c.initialRemote()
	if !remote.Addr().IsValid() {
		remote = initial
	}
	if remote.Port() == 0 {
		remote = netip.AddrPortFrom(remote.Addr(), initial.Port())
	}
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	if !local.IsValid() {
		if _, local = c.host.localFor(remote.Addr()); !local.IsValid() {
			return 0, ErrNoDevice
		}
	}
	s, err := c.trySubflow(pathmgr.Open{Local: local, Remote: remote, Backup: backup}, nil, steered{byHand: true})
	if err != nil {
		return 0, err
	}
	select {
	case <-s.settled:
	case <-ctx.Done():
		c.closeSubflow(s.ID)
		return 0, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.down {
		return 0, fmt.Errorf("from %v to %v: %w", s.Local, s.Remote, s.endedBy)
	}
	return s.ID, nil
}

// RemoveSubflow closes a subflow, in order if it works, else with a RST; what it holds is sent on
// others. It does not wait. The last one may be removed, too: see Config.BreakTimeout. The
// error says that there is no such subflow.
func (c *Conn) RemoveSubflow(id uint32) error {
	c.mu.Lock()
	s := c.byID(id)
	c.mu.Unlock()
	if s == nil {
		return c.opError("remove subflow", noSubflow(id))
	}
	c.closeSubflow(id)
	return nil
}

// SetBackup asks the peer to send on a subflow only when no other works, or takes that back
// (MP_PRIO, RFC 8684 section 3.3.8). The schedulers of this module then leave it alone too.
// It does not wait. The error says that there is no such subflow, or is around ErrNotMPTCP.
func (c *Conn) SetBackup(id uint32, backup bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.checkManaged(); err != nil {
		return c.opError("set backup", err)
	}
	if err := c.setBackup(id, backup); err != nil {
		return c.opError("set backup", err)
	}
	c.service(c.host.clock.Now())
	return nil
}

// setBackup queues a MP_PRIO. c.mu is held.
func (c *Conn) setBackup(id uint32, backup bool) error {
	s := c.byID(id)
	if s == nil {
		return noSubflow(id)
	}
	s.LocalBackup, s.steered = backup, steered{byHand: true}
	c.signal(signal{option: option.Prio{Backup: backup}, on: id, bound: true})
	return nil
}

// Announce tells the peer of an address at which it may open subflows (ADD_ADDR, RFC 8684
// section 3.4.1). With port 0 no port is named, and the peer uses the one of the subflow that
// carries the option. It need not be an address of the host as the host sees it. The
// announcement is repeated until the peer confirms it, three times at most; Info tells. It
// does not wait.
//
// The error, a *net.OpError, is around ErrNotMPTCP, or says what is wrong with the address or
// that the connection has 256 of them already.
func (c *Conn) Announce(addr netip.AddrPort) error {
	return c.announceNow(pathmgr.Announce{Addr: addr})
}

// AnnounceMapped is Announce for an address that a NAT maps to local, an address of the host. Both have
// one address ID, so that Withdraw of local withdraws public, and the peer knows subflows to it
// as those of that address.
func (c *Conn) AnnounceMapped(public netip.AddrPort, local netip.Addr) error {
	return c.announceNow(pathmgr.Announce{Addr: public, Local: local})
}

func (c *Conn) announceNow(a pathmgr.Announce) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.announce(a); err != nil {
		return c.opError("announce", err)
	}
	c.service(c.host.clock.Now())
	return nil
}

// Withdraw tells the peer that addresses which it knows, from Announce or from a subflow, are
// no longer to be used (REMOVE_ADDR, RFC 8684 section 3.4.2), and closes the subflows from
// them as RemoveSubflow does. It does not wait. If the peer does not know one of them,
// nothing is done and the error names it.
func (c *Conn) Withdraw(addrs ...netip.Addr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.checkManaged(); err != nil {
		return c.opError("withdraw", err)
	}
	for _, a := range addrs {
		if !c.knowsAddr(a.Unmap()) {
			return c.opError("withdraw", fmt.Errorf("the peer does not know of the address %v", a))
		}
	}
	c.withdraw(addrs...)
	c.service(c.host.clock.Now())
	return nil
}

// knowsAddr reports whether the peer knows an address of ours.
func (c *Conn) knowsAddr(a netip.Addr) bool {
	for _, l := range c.locals {
		if l.addr == a {
			return l.known
		}
	}
	return false
}

// checkManaged returns an error when the connection has no paths to manage. c.mu is held.
func (c *Conn) checkManaged() error {
	switch {
	case c.err != nil:
		return c.err
	case c.phase != open || c.shared.Mode != subflow.MPTCP:
		return ErrNotMPTCP
	}
	return nil
}

// initialRemote is the peer's address and port of the initial subflow.
func (c *Conn) initialRemote() netip.AddrPort { return plain(c.remote.AddrPort()) }

// initialLocal is ours.
func (c *Conn) initialLocal() netip.AddrPort { return plain(c.local.AddrPort()) }

// plain gives an IPv4 address its own form.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func noSubflow(id uint32) error { return fmt.Errorf("there is no subflow %d; see Info", id) }
