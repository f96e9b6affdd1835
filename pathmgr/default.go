package pathmgr

import (
	"net/netip"
	"slices"
	"time"
)

// DefaultMaxSubflows is how many subflows the manager of Default lets a connection have, the
// initial one and those that the peer opened included.
const DefaultMaxSubflows = 8

// Default returns the default manager: a full mesh that heals itself.
//
// On a client it opens a subflow from each local address to the peer's initial address
// (unless the peer denied that, RFC 8684 section 3.1, flag C) and to each announced one, up to
// DefaultMaxSubflows. What is lost is opened again, with growing pauses from 250 ms to 30 s,
// and at once when its local address comes back. It is not opened again when the peer
// reset it for good (section 3.6), after an orderly close, and when the first attempt to an
// announced address failed (section 3.4.1: not before it is announced again).
//
// On a server it opens nothing: clients sit behind NATs, and open the subflows themselves. It
// announces the host's addresses, up to 8 of both families, to which the client has no subflow yet.
//
// On both it withdraws an address that goes away; a server announces it again when it comes back.
func Default() Manager { return newMesh(DefaultMaxSubflows) }

// DefaultWithLimit returns a Factory of the default manager with another limit on the number
// of subflows; a limit below 1 counts as 1.
func DefaultWithLimit(maxSubflows int) Factory {
	return func() Manager { return newMesh(max(maxSubflows, 1)) }
}

// Bounds on what is remembered, whatever the peer announces and however often the host
// changes its address.
const (
	maxAnnounced = 8
	maxRefused   = 64
	// maxMisled is how many attempts to announced addresses may fail before no new ones are
	// tried: a peer shall not aim our SYNs at others (RFC 8684 section 5).
	maxMisled = 32
)

// mesh is the default manager. It keeps what exists (locals, remotes) apart from the state of
// each pair of them; plan compares the two after every event.
type mesh struct {
	limit  int
	active bool // Established as a client
	server announcer

	locals []netip.Addr
	// remotes has the peer's initial address first, unless the peer denied it, then the
	// announced ones.
	remotes []remote
	pairs   []*pair
	// others are the subflows that are not of a pair: opened by the peer or the program.
	others []other
	// refused are the pairs that the peer does not want (RFC 8684 section 3.6), the oldest first.
	refused []endpoints
	// misled counts the SYNs to announced addresses at which no attempt has ever succeeded.
	misled int

	// wakeAt is the time asked for last, zero when it has come.
	wakeAt time.Time
}

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
}

// other is a subflow that this manager did not open.
type other struct {
	id            uint32
	local, remote netip.Addr
	remoteID      uint8
}

func newMesh(limit int) *mesh { return &mesh{limit: limit} }

func (*mesh) Name() string { return "default" }

func (m *mesh) Handle(now time.Time, ev Event) []Action {
	if e, ok := ev.(Established); ok {
		m.established(now, e)
	}
	if !m.active {
		return m.server.handle(ev)
	}
	var first []Action
	switch e := ev.(type) {
	case LocalAddrUp:
		m.localUp(e.Addr.Unmap())
	case LocalAddrDown:
		m.localDown(e.Addr.Unmap())
		first = []Action{Withdraw{Addrs: []netip.Addr{e.Addr.Unmap()}}}
	case RemoteAddrUp:
		m.remoteUp(e.AddrID, unmapPort(e.Addr))
	case RemoteAddrDown:
		m.remotes = slices.DeleteFunc(m.remotes, func(r remote) bool { return r.id == e.AddrID })
	case SubflowUp:
		m.subflowUp(now, e)
	case SubflowDown:
		m.subflowDown(now, e)
	case Timer:
		m.wakeAt = time.Time{}
	}
	return append(first, m.plan(now)...)
}

func (m *mesh) established(now time.Time, e Established) {
	m.active = e.Role == Client
	at := endpoints{e.Local.Addr().Unmap(), unmapPort(e.Remote)}
	for _, l := range e.Locals {
		m.addLocal(l.Unmap())
	}
	m.addLocal(at.local)
	if !e.RemoteDeniesInitial {
		m.remotes = append(m.remotes, remote{initial: true, addr: at.remote})
	}
	m.pair(at).up(now, e.ID)
}

func (m *mesh) addLocal(a netip.Addr) {
	if !slices.Contains(m.locals, a) {
		m.locals = append(m.locals, a)
	}
}

// localUp lets all pairs of a new or returned address be tried at once.
func (m *mesh) localUp(a netip.Addr) {
	m.addLocal(a)
	for _, p := range m.pairs {
		if p.at.local == a {
			p.reset()
		}
	}
}

// localDown forgets the address with its pairs: their subflows are gone, and when it
// returns they start anew.
func (m *mesh) localDown(a netip.Addr) {
	m.locals = slices.DeleteFunc(m.locals, func(l netip.Addr) bool { return l == a })
	m.pairs = slices.DeleteFunc(m.pairs, func(p *pair) bool { return p.at.local == a })
}

// remoteUp notes an announced address. An ID names one address until it is withdrawn (RFC
// 8684 section 3.4.1); the port may change. Repeating the announcement allows a new try.
func (m *mesh) remoteUp(id uint8, addr netip.AddrPort) {
	for i := range m.remotes {
		r := &m.remotes[i]
		switch {
		case r.addr == addr:
			m.retryRemote(addr)
			return
		case r.id == id:
			if r.addr.Addr() == addr.Addr() && !r.initial {
				r.addr = addr
			}
			return
		}
	}
	if len(m.remotes) < maxAnnounced+1 && addr.Port() != 0 {
		m.remotes = append(m.remotes, remote{id: id, addr: addr})
		m.retryRemote(addr)
	}
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
	if p := m.find(at); p != nil && !e.Incoming && p.up(now, e.ID) {
		p.remoteID = e.RemoteID
		return
	}
	m.others = append(m.others, other{e.ID, at.local, at.remote.Addr(), e.RemoteID})
}

func (m *mesh) subflowDown(now time.Time, e SubflowDown) {
	if i := slices.IndexFunc(m.others, func(o other) bool { return o.id == e.ID }); i >= 0 && e.Established {
		m.others = slices.Delete(m.others, i, i+1)
		return
	}
	at := endpoints{e.Local.Addr().Unmap(), unmapPort(e.Remote)}
	p := m.find(at)
	if p == nil || !p.concerns(e) {
		return
	}
	if e.Permanent {
		m.refuse(at)
		return
	}
	if e.ID != 0 && !p.worked && !m.isInitial(at.remote) {
		m.misled++
	}
	p.down(now, e, m.isInitial(at.remote))
}

// refuse notes that the peer does not want a subflow between these addresses again.
func (m *mesh) refuse(at endpoints) {
	m.pairs = slices.DeleteFunc(m.pairs, func(p *pair) bool { return p.at == at })
	if len(m.refused) == maxRefused {
		m.refused = slices.Delete(m.refused, 0, 1)
	}
	m.refused = append(m.refused, at)
}

func (m *mesh) isInitial(addr netip.AddrPort) bool {
	return len(m.remotes) > 0 && m.remotes[0].initial && m.remotes[0].addr == addr
}

func (m *mesh) find(at endpoints) *pair {
	for _, p := range m.pairs {
		if p.at == at {
			return p
		}
	}
	return nil
}

// pair returns the pair of at, a new one if there is none.
func (m *mesh) pair(at endpoints) *pair {
	p := m.find(at)
	if p == nil {
		p = &pair{at: at}
		m.pairs = append(m.pairs, p)
	}
	return p
}
