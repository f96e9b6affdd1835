package pathmgr

import (
	"net/netip"
	"slices"
	"time"
)

// Bounds on what is remembered, whatever the peer announces and however often the host
// changes its address.
const (
	maxAnnounced = 8
	maxRefused   = 64
	// maxMisled is how many attempts to announced addresses may fail before no new ones are
	// tried: a peer shall not aim our SYNs at others (RFC 8684 section 5).
	maxMisled = 32
)

// mesh is what the managers of this package have in common. It keeps what exists (locals, remotes)
// apart from the state of each pair of them. After every event plan compares what there is with
// what the manager wishes for, opens what is missing and tries again what was lost.
type mesh struct {
	name string
	// limit is the number of subflows, the initial one and those of the peer included.
	limit int
	// wishes are the subflows that there should be, the most wanted first, given what is known now.
	wishes func() []wish
	// announces reports whether the peer is to be told of the host's addresses.
	announces func() bool
	// headStart is how long a client has to join from an address that it announces before we, its
	// server, open a subflow to it.
	headStart time.Duration
	// steerable: it does not care which subflows are backups.
	steerable bool

	active  bool // there was Established
	role    Role
	initial endpoints // of the initial subflow
	denied  bool      // the peer wants no further subflows to its initial address

	locals []netip.Addr
	// remotes has a server's initial address first, unless the server denied it, then the
	// announced ones.
	remotes []remote
	// resort is the initial address once the server has withdrawn it, see lastResort.
	resort remote
	// aloneSince is when the last subflow was lost, zero while there is one.
	aloneSince time.Time
	pairs      []*pair
	// others are the subflows that are not of a pair: opened by the peer or the program.
	others []other
	// refused are the pairs that the peer does not want (RFC 8684 section 3.6), the oldest first.
	refused []endpoints
	// misled counts the SYNs to announced addresses at which no attempt has ever succeeded.
	misled int

	// known is the address of the initial subflow, which the peer knows until it is withdrawn.
	known netip.Addr
	// announced are the addresses that the peer was told of and not told to forget.
	announced []netip.Addr

	// wakeAt is the time asked for last, zero when it has come.
	wakeAt time.Time
}

// wish is a subflow that there should be.
type wish struct {
	local netip.Addr
	to    remote
	// slot tells several between the same addresses apart, from 0.
	slot   int
	backup bool
	// localID is the address ID that local should have; 0: any.
	localID uint8
}

func (w wish) at() endpoints { return endpoints{w.local, w.to.addr} }

// endpoints names a pair: a local address and an address and port of the peer.
type endpoints struct {
	local  netip.Addr
	remote netip.AddrPort
}

// remote is an address of the peer that subflows may be opened to.
type remote struct {
	id      uint8
	initial bool
	addr    netip.AddrPort
	since   time.Time // when it was announced first
}

// other is a subflow that this manager did not open.
type other struct {
	id            uint32
	local, remote netip.Addr
	remoteID      uint8
	backup        bool
}

func (m *mesh) Name() string { return m.name }

// Steerable implements Steerable.
func (m *mesh) Steerable() bool { return m.steerable }

func (m *mesh) Handle(now time.Time, ev Event) []Action {
	do := m.note(now, ev)
	return append(do, m.plan(now)...)
}

// note keeps account of what happened, and returns what the peer is to be told of it.
func (m *mesh) note(now time.Time, ev Event) []Action {
	switch e := ev.(type) {
	case Established:
		return m.established(now, e)
	case LocalAddrUp:
		return m.localUp(e.Addr.Unmap())
	case LocalAddrDown:
		return m.localDown(e.Addr.Unmap())
	case RemoteAddrUp:
		m.remoteUp(now, e.AddrID, unmapPort(e.Addr))
	case RemoteAddrDown:
		m.remoteDown(e.AddrID)
	case SubflowUp:
		m.subflowUp(now, e)
	case SubflowDown:
		m.subflowDown(now, e)
	case Resumed:
		for _, p := range m.pairs {
			p.waited()
		}
	case Timer:
		m.wakeAt = time.Time{}
	}
	return nil
}

func (m *mesh) established(now time.Time, e Established) (do []Action) {
	at := endpoints{e.Local.Addr().Unmap(), unmapPort(e.Remote)}
	m.active, m.role, m.initial, m.known, m.denied = true, e.Role, at, at.local, e.RemoteDeniesInitial
	for _, l := range e.Locals {
		m.addLocal(l.Unmap())
	}
	m.addLocal(at.local)
	switch e.Role {
	case Client:
		if !e.RemoteDeniesInitial {
			m.remotes = append(m.remotes, remote{initial: true, addr: at.remote})
		}
		m.pair(at, 0).up(now, e.ID)
	case Server: // the client's port takes no subflows
		m.others = append(m.others, other{id: e.ID, local: at.local, remote: at.remote.Addr()})
	}
	for _, l := range m.locals {
		do = append(do, m.announce(l)...)
	}
	return do
}

func (m *mesh) addLocal(a netip.Addr) {
	if !slices.Contains(m.locals, a) {
		m.locals = append(m.locals, a)
	}
}

// localUp lets all pairs of a new or returned address be tried at once.
func (m *mesh) localUp(a netip.Addr) []Action {
	m.addLocal(a)
	for _, p := range m.pairs {
		if p.at.local == a {
			p.reset()
		}
	}
	return m.announce(a)
}

// localDown forgets the address with its pairs: their subflows are gone, and when it
// returns they start anew.
func (m *mesh) localDown(a netip.Addr) []Action {
	m.locals = slices.DeleteFunc(m.locals, func(l netip.Addr) bool { return l == a })
	m.pairs = slices.DeleteFunc(m.pairs, func(p *pair) bool { return p.at.local == a })
	m.others = slices.DeleteFunc(m.others, func(o other) bool { return o.local == a })
	return m.withdraw(a)
}

// remoteUp notes an announced address. An ID names one address until it is withdrawn (RFC
// 8684 section 3.4.1); the port may change. Repeating the announcement allows a new try.
func (m *mesh) remoteUp(now time.Time, id uint8, addr netip.AddrPort) {
	for i := range m.remotes {
		r := &m.remotes[i]
		switch {
		case r.addr == addr:
			m.retryRemote(addr)
			return
		case r.id == id && r.initial && r.addr.Addr() == addr.Addr():
			// A further port of the initial address, which stays.
		case r.id == id:
			if r.addr.Addr() == addr.Addr() {
				r.addr = addr
			}
			return
		}
	}
	if id == 0 && m.role == Client && !m.denied && (addr == m.initial.remote || addr.Addr() != m.initial.remote.Addr()) {
		// The initial address, which was withdrawn, is back; behind a NAT it has another name.
		m.resort = remote{}
		m.remotes = slices.Insert(m.remotes, 0, remote{initial: true, addr: m.initial.remote})
		m.retryRemote(m.initial.remote)
		return
	}
	if len(m.remotes) < maxAnnounced+1 && addr.Port() != 0 {
		m.remotes = append(m.remotes, remote{id: id, addr: addr, since: now})
		m.retryRemote(addr)
	}
}

// remoteDown forgets an address that was withdrawn, but for the initial one: that is the last resort.
func (m *mesh) remoteDown(id uint8) {
	m.remotes = slices.DeleteFunc(m.remotes, func(r remote) bool {
		if r.id == id && r.initial {
			m.resort = r
		}
		return r.id == id
	})
}

// retryRemote lets attempts to addr that had been given up be made again.
func (m *mesh) retryRemote(addr netip.AddrPort) {
	for _, p := range m.pairs {
		if p.at.remote == addr {
			p.revive()
		}
	}
}

func (m *mesh) subflowUp(now time.Time, e SubflowUp) {
	at := endpoints{e.Local.Addr().Unmap(), unmapPort(e.Remote)}
	if p := m.pairOf(e.Replaces); p != nil {
		p.up(now, e.ID)
		return
	}
	if i := slices.IndexFunc(m.others, func(o other) bool { return o.id == e.Replaces }); i >= 0 {
		m.others[i].id = e.ID
		return
	}
	if !e.Incoming {
		if p := m.awaiting(at); p != nil {
			p.up(now, e.ID)
			p.remoteID, p.backup = e.RemoteID, e.Backup
			return
		}
	}
	m.others = append(m.others, other{e.ID, at.local, at.remote.Addr(), e.RemoteID, e.Backup})
}

// pairOf finds the pair whose subflow has an ID.
func (m *mesh) pairOf(id uint32) *pair {
	for _, p := range m.pairs {
		if p.state == pairUp && p.id == id {
			return p
		}
	}
	return nil
}

// awaiting finds the pair that a new subflow between these endpoints belongs to: one that is being
// opened, else one that is not up.
func (m *mesh) awaiting(at endpoints) (found *pair) {
	for _, p := range m.pairs {
		if p.at == at && p.state != pairUp && (found == nil || p.state == pairOpening && found.state != pairOpening) {
			found = p
		}
	}
	return found
}

func (m *mesh) subflowDown(now time.Time, e SubflowDown) {
	if i := slices.IndexFunc(m.others, func(o other) bool { return o.id == e.ID }); i >= 0 && e.Established {
		m.others = slices.Delete(m.others, i, i+1)
		return
	}
	at := endpoints{e.Local.Addr().Unmap(), unmapPort(e.Remote)}
	i := slices.IndexFunc(m.pairs, func(p *pair) bool { return p.at == at && p.concerns(e) })
	if i < 0 {
		return
	}
	p := m.pairs[i]
	if e.Permanent {
		m.refuse(at)
		return
	}
	if e.ID != 0 && !p.worked && !m.isInitial(at.remote) && !invited(e) {
		m.misled++
	}
	p.down(now, e, m.isInitial(at.remote))
}

// refuse notes that the peer does not want a subflow between these addresses again. Those that it
// has go on.
func (m *mesh) refuse(at endpoints) {
	keep := m.pairs[:0]
	for _, p := range m.pairs {
		switch {
		case p.at != at:
			keep = append(keep, p)
		case p.state == pairUp:
			m.others = append(m.others, other{p.id, at.local, at.remote.Addr(), p.remoteID, p.backup})
		}
	}
	clear(m.pairs[len(keep):])
	m.pairs = keep
	if len(m.refused) == maxRefused {
		m.refused = slices.Delete(m.refused, 0, 1)
	}
	m.refused = append(m.refused, at)
}

func (m *mesh) isInitial(addr netip.AddrPort) bool {
	return m.resort.initial && m.resort.addr == addr || len(m.remotes) > 0 && m.remotes[0].initial && m.remotes[0].addr == addr
}

func (m *mesh) find(at endpoints, slot int) *pair {
	for _, p := range m.pairs {
		if p.at == at && p.slot == slot {
			return p
		}
	}
	return nil
}

// pair returns the pair of at, a new one if there is none.
func (m *mesh) pair(at endpoints, slot int) *pair {
	p := m.find(at, slot)
	if p == nil {
		p = &pair{at: at, slot: slot}
		m.pairs = append(m.pairs, p)
	}
	return p
}
