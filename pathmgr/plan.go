package pathmgr

import (
	"net/netip"
	"slices"
	"time"
)

// plan returns what has to be done to come from what is to what is wanted: the attempts
// that are due, as far as the limit allows, and a wake-up for the next one.
func (m *mesh) plan(now time.Time) []Action {
	var actions []Action
	var next time.Time
	for _, r := range m.remotes {
		for _, l := range m.locals {
			at := endpoints{l, r.addr}
			if !m.wanted(at) {
				continue
			}
			p := m.pair(at)
			switch {
			case p.live() || p.state == pairGivenUp:
			case p.state == pairWaiting && now.Before(p.retryAt):
				if next.IsZero() || p.retryAt.Before(next) {
					next = p.retryAt
				}
			case m.subflows() < m.limit:
				p.state = pairOpening
				actions = append(actions, Open{Local: l, Remote: r.addr})
			}
		}
	}
	m.forget()
	if !next.IsZero() && !next.Equal(m.wakeAt) {
		m.wakeAt = next
		actions = append(actions, WakeAt{At: next})
	}
	return actions
}

// wanted reports whether there should be a subflow between these endpoints. One that the
// peer opened between the same addresses does as well (RFC 8684 section 3.4).
func (m *mesh) wanted(at endpoints) bool {
	if !canReach(at.local, at.remote.Addr()) || slices.Contains(m.refused, at) {
		return false
	}
	return !slices.ContainsFunc(m.others, func(o other) bool {
		return o.local == at.local && o.remote == at.remote.Addr()
	})
}

// subflows counts those that exist or are being opened.
func (m *mesh) subflows() int {
	n := len(m.others)
	for _, p := range m.pairs {
		if p.live() {
			n++
		}
	}
	return n
}

// forget drops the pairs without a subflow whose remote address was withdrawn.
func (m *mesh) forget() {
	m.pairs = slices.DeleteFunc(m.pairs, func(p *pair) bool {
		return !p.live() && !m.hasRemote(p.at.remote)
	})
}

func (m *mesh) hasRemote(addr netip.AddrPort) bool {
	return slices.ContainsFunc(m.remotes, func(r remote) bool { return r.addr == addr })
}
