package mptcp

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// minAnnounceWait is how long the echo of an ADD_ADDR is waited for at first, or three
	// round trips if that is more; each repetition waits twice as long.
	minAnnounceWait = time.Second
	// maxAnnounceRepeats is how often an ADD_ADDR without echo is sent again (8684-3.4.1-10).
	maxAnnounceRepeats = 3
	// maxAddrIDs is how many addresses have an ID at once.
	maxAddrIDs = 256
)

var errNoAddressID = errors.New("all 256 address IDs of the connection are in use; withdraw an address first")

// localAddr is an address of ours that has an ID in this connection (8684-3.2-03, -05).
type localAddr struct {
	addr netip.Addr
	id   option.AddrID
	// known: the peer has learnt the ID, from a subflow or an ADD_ADDR, and it was not
	// withdrawn since. Only an ID that is not known may go to another address (8684-3.4.1-13).
	known bool

	// Of the ADD_ADDR.
	announced bool
	at        netip.AddrPort // what it says: addr, or what a NAT maps to it; port 0: not named
	echoed    bool
	sent      int       // times, since it was last asked for
	again     time.Time // when to send it again, or to give up; zero: not

	// Of its silence, see mute.go.
	silentAt    time.Time // when it was given up, zero once it works
	falseAlarms int       // how often that was too early
}

// localAddr gives an address its ID: 0 to that of the initial subflow, for good, others the one that
// is asked for, or with 0 the least that no address has ever had. An address that was withdrawn gets
// its ID back as long as no other one has it.
func (c *Conn) localAddr(a netip.Addr, want option.AddrID) (*localAddr, error) {
	var free *localAddr
	for _, l := range c.locals {
		if l.addr == a {
			return l, nil
		}
		if !l.known && l.id != 0 && (free == nil || l.id == want) {
			free = l
		}
	}
	if l := c.byAddrID(want); want != 0 && l != nil && l.known {
		return nil, fmt.Errorf("the address ID %d stands for %v", want, l.addr)
	}
	switch {
	case free != nil && (free.id == want || len(c.locals) == maxAddrIDs):
		*free = localAddr{addr: a, id: free.id}
		return free, nil
	case len(c.locals) < maxAddrIDs:
		l := &localAddr{addr: a, id: cmp.Or(want, c.unusedAddrID())}
		c.locals = append(c.locals, l)
		return l, nil
	}
	return nil, errNoAddressID
}

// unusedAddrID is the least ID that no address has ever had; there is one.
func (c *Conn) unusedAddrID() (id option.AddrID) {
	for c.byAddrID(id) != nil {
		id++
	}
	return id
}

// useAddr is localAddr for an address that the peer is about to learn.
func (c *Conn) useAddr(a netip.Addr, want option.AddrID) (*localAddr, error) {
	l, err := c.localAddr(a, want)
	if err == nil && !l.known {
		l.known = true
		c.keepRemoval(l.id)
	}
	return l, err
}

func (c *Conn) byAddrID(id option.AddrID) *localAddr {
	for _, l := range c.locals {
		if l.id == id {
			return l
		}
	}
	return nil
}

// announce queues an ADD_ADDR, which is repeated until the peer has echoed it, but not for ever.
// c.mu is held.
func (c *Conn) announce(a pathmgr.Announce) error {
	at, local := plain(a.Addr), a.Local.Unmap()
	if !local.IsValid() {
		local = at.Addr()
	}
	switch ip := at.Addr(); {
	case !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "":
		return fmt.Errorf("%v is not an address that the peer could reach", at)
	case local.Is4() != ip.Is4():
		return fmt.Errorf("%v and %v are of two families", at, local)
	case c.phase != open || c.shared.Mode != subflow.MPTCP:
		return ErrNotMPTCP
	}
	l, err := c.useAddr(local, option.AddrID(a.ID))
	if err != nil {
		return err
	}
	if l.announced && l.at.Addr() != at.Addr() {
		return fmt.Errorf("the ID of %v is announced as %v; withdraw it first", local, l.at.Addr()) // 8684-3.4.1-13
	}
	l.announced, l.at, l.echoed, l.sent, l.again = true, at, false, 0, time.Time{}
	c.signalAnnouncement(l)
	return nil
}

func (c *Conn) signalAnnouncement(l *localAddr) {
	c.signal(signal{option: option.NewAddAddr(c.shared.LocalKey, c.shared.RemoteKey, l.id, l.at)})
}

// announcementSent notes that an ADD_ADDR has left on s.
func (c *Conn) announcementSent(now time.Time, id option.AddrID, s *sub) {
	l := c.byAddrID(id)
	wait := max(minAnnounceWait, 3*s.Sender().Snapshot().SRTT)
	l.again = now.Add(wait << l.sent)
	l.sent++
	c.signals.nextAnnouncement = now.Add(wait)
}

// repeatAnnouncements queues the ADD_ADDRs whose echo is overdue. c.mu is held.
func (c *Conn) repeatAnnouncements(now time.Time) {
	for _, l := range c.locals {
		if l.again.IsZero() || now.Before(l.again) {
			continue
		}
		l.again = time.Time{}
		if l.sent > maxAnnounceRepeats {
			c.logf("announced address not confirmed", nil, slog.Any("address", l.at))
			continue
		}
		c.signalAnnouncement(l)
	}
}

// echoIn: the peer has got an ADD_ADDR.
func (c *Conn) echoIn(a option.AddAddr) {
	l := c.byAddrID(a.ID)
	if l == nil || !l.announced || a.Addr != l.at {
		return
	}
	c.count(mib.EchoAdd)
	l.echoed, l.again, c.signals.nextAnnouncement = true, time.Time{}, time.Time{}
	c.dropAnnouncement(l.id)
}

// dropAnnouncement takes an ADD_ADDR that need not be sent again out of the queue.
func (c *Conn) dropAnnouncement(id option.AddrID) {
	for i, g := range c.signals.queue {
		if o, ok := g.option.(option.AddAddr); ok && !o.Echo && o.ID == id {
			c.signals.queue = append(c.signals.queue[:i], c.signals.queue[i+1:]...)
			return
		}
	}
}

// withdraw ends the subflows from addresses that the peer knows of, and queues a
// REMOVE_ADDR, which leaves when their FINs have. Addresses that it does not know are passed over. c.mu is held.
func (c *Conn) withdraw(addrs ...netip.Addr) {
	var ids []option.AddrID
	for _, l := range c.locals {
		if !l.known || !contains(addrs, l.addr) {
			continue
		}
		ids = append(ids, l.id)
		*l = localAddr{addr: l.addr, id: l.id, falseAlarms: l.falseAlarms}
		for _, s := range c.subs {
			if s.LocalID == l.id && !s.down {
				s.withdrawn = true
				c.act(func() { c.closeSubflow(s.ID) })
			}
		}
	}
	if len(ids) > 0 && c.phase == open && c.shared.Mode == subflow.MPTCP {
		c.signalRemoval(ids, 0)
	}
}

func contains(addrs []netip.Addr, a netip.Addr) bool {
	for _, o := range addrs {
		if o.Unmap() == a {
			return true
		}
	}
	return false
}
