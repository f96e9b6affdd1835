package pathmgr

import (
	"net/netip"
	"slices"
)

// announcer is what the default manager does on a server: the peer gets to know the host's
// other addresses, by ADD_ADDR and REMOVE_ADDR.
type announcer struct {
	active  bool
	initial netip.Addr // of the initial subflow, which the peer knows until it is withdrawn
	// announced are the addresses that the peer was told of and not told to forget.
	announced []netip.Addr
	// used are the addresses at which the peer has subflows, by subflow.
	used map[uint32]netip.Addr
}

func (a *announcer) handle(ev Event) []Action {
	switch e := ev.(type) {
	case Established:
		if e.Role == Server {
			return a.established(e)
		}
	case LocalAddrUp:
		return a.announce(e.Addr.Unmap())
	case LocalAddrDown:
		return a.withdraw(e.Addr.Unmap())
	case SubflowUp:
		if a.active {
			a.used[e.ID] = e.Local.Addr().Unmap()
		}
	case SubflowDown:
		delete(a.used, e.ID)
	}
	return nil
}

func (a *announcer) established(e Established) (do []Action) {
	a.active = true
	a.initial = e.Local.Addr().Unmap()
	a.used = map[uint32]netip.Addr{}
	for _, l := range e.Locals {
		do = append(do, a.announce(l.Unmap())...)
	}
	return do
}

// announce tells the peer of an address, without a port: joins are accepted at any.
func (a *announcer) announce(addr netip.Addr) []Action {
	if !a.active || addr == a.initial || !canAnnounce(addr) || slices.Contains(a.announced, addr) ||
		len(a.announced) == maxAnnounced || a.isUsed(addr) {
		return nil
	}
	a.announced = append(a.announced, addr)
	return []Action{Announce{Addr: netip.AddrPortFrom(addr, 0)}}
}

func (a *announcer) isUsed(addr netip.Addr) bool {
	for _, u := range a.used {
		if u == addr {
			return true
		}
	}
	return false
}

// withdraw tells it that an address has gone, whether it was announced or used.
func (a *announcer) withdraw(addr netip.Addr) []Action {
	if !a.active {
		return nil
	}
	a.announced = slices.DeleteFunc(a.announced, func(o netip.Addr) bool { return o == addr })
	if addr == a.initial {
		a.initial = netip.Addr{}
	}
	return []Action{Withdraw{Addrs: []netip.Addr{addr}}}
}
