package pathmgr

import (
	"net/netip"
	"slices"
)

// announce tells the peer of an address, without a port: joins are accepted at any. That of the initial
// subflow has been of use to the peer, so that it is worth while when it comes back.
func (m *mesh) announce(a netip.Addr) []Action {
	if !m.active || !m.announces() || a == m.known || a != m.initial.local && !WorthAnnouncing(a, m.initial.remote.Addr()) ||
		slices.Contains(m.announced, a) || len(m.announced) == maxAnnounced || m.hasSubflowFrom(a) {
		return nil
	}
	m.announced = append(m.announced, a)
	return []Action{Announce{Addr: netip.AddrPortFrom(a, 0)}}
}

// hasSubflowFrom reports whether a subflow has told the peer of an address.
func (m *mesh) hasSubflowFrom(a netip.Addr) bool {
	return slices.ContainsFunc(m.others, func(o other) bool { return o.local == a }) ||
		slices.ContainsFunc(m.pairs, func(p *pair) bool { return p.state == pairUp && p.at.local == a })
}

// withdraw tells it that an address has gone, whether it was announced or used.
func (m *mesh) withdraw(a netip.Addr) []Action {
	if !m.active {
		return nil
	}
	m.announced = slices.DeleteFunc(m.announced, func(o netip.Addr) bool { return o == a })
	if a == m.known {
		m.known = netip.Addr{}
	}
	return []Action{Withdraw{Addrs: []netip.Addr{a}}}
}
