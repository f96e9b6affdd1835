package pathmgr

import (
	"net/netip"
	"slices"
	"time"
)

// endpointsManager is a mesh whose wishes, announcements and limits come from an EndpointSource.
type endpointsManager struct {
	*mesh
	src  EndpointSource
	list []Endpoint // as it was seen last, as far as it counts
	// devices are those of the host's addresses.
	devices map[netip.Addr]string
	// accept is Limits.AddAddrAccepted.
	accept int
	// signalled are the endpoints that were announced and not withdrawn.
	signalled []Endpoint
	// away are the addresses of endpoints that the host had and lost.
	away []netip.Addr
	// laminar says which endpoint takes an announced address.
	laminar map[netip.AddrPort]netip.Addr
}

// WithEndpoints returns a Factory of managers named "endpoints", which open and announce what the
// endpoints say, within the limits, as Linux' in-kernel path manager does: see Endpoint. Beyond that, what was
// lost is opened again as Default does; the initial subflow, too, if an endpoint with FlagSubflow has its address.
// Changes of the source reach the connections that live.
func WithEndpoints(src EndpointSource) Factory {
	return func() Manager {
		m := &endpointsManager{mesh: newMesh("endpoints", 1), src: src, laminar: map[netip.AddrPort]netip.Addr{}, devices: map[netip.Addr]string{}}
		m.announces = func() bool { return false } // signal does that
		m.wishes = m.fromEndpoints
		return m
	}
}

// Watch implements Watcher.
func (m *endpointsManager) Watch(poke func()) (stop func()) { return m.src.Watch(poke) }

func (m *endpointsManager) Handle(now time.Time, ev Event) (do []Action) {
	before := m.list
	list, limits := m.src.Show()
	m.noteDevices(ev)
	list = slices.DeleteFunc(slices.Clone(list), m.isElsewhere)
	m.list, m.limit, m.accept = list, 1+limits.Subflows, limits.AddAddrAccepted
	do = m.note(now, ev)
	switch ev := ev.(type) {
	case Established:
		do = append(do, m.prioritise()...)
	case Changed:
		if !slices.Equal(before, m.list) {
			do = append(do, m.follow(before)...)
		}
	case LocalAddrDown:
		gone := ev.Addr.Unmap()
		m.signalled = slices.DeleteFunc(m.signalled, func(e Endpoint) bool { return e.is(gone) })
		if slices.ContainsFunc(m.list, func(e Endpoint) bool { return e.is(gone) }) && !slices.Contains(m.away, gone) {
			m.away = append(m.away, gone)
		}
	case LocalAddrUp:
		back := ev.Addr.Unmap()
		m.away = slices.DeleteFunc(m.away, func(a netip.Addr) bool { return a == back })
	case SubflowUp:
		if ev.Incoming && m.subflows() > m.limit {
			do = append(do, CloseSubflow{ID: ev.ID})
		} else if !ev.Incoming && ev.Replaces == 0 {
			do = append(do, m.catchUp(ev.ID)...)
		}
	}
	do = append(do, m.signal()...)
	return append(do, m.plan(now)...)
}

// noteDevices notes which device has which address.
func (m *endpointsManager) noteDevices(ev Event) {
	switch ev := ev.(type) {
	case Established:
		for a, name := range ev.Devices {
			m.devices[a.Unmap()] = name
		}
	case LocalAddrUp:
		m.devices[ev.Addr.Unmap()] = ev.Device
	}
}

// isElsewhere reports whether an endpoint's address is on another device than its own.
func (m *endpointsManager) isElsewhere(e Endpoint) bool {
	a := e.Addr
	if e.Maps.IsValid() {
		a = e.Maps
	}
	name, known := m.devices[a]
	return e.Device != "" && known && name != e.Device
}

// endpoint returns that of a local address; false if there is none.
func endpoint(list []Endpoint, a netip.Addr) (Endpoint, bool) {
	i := slices.IndexFunc(list, func(e Endpoint) bool { return e.Addr == a })
	if i < 0 {
		return Endpoint{}, false
	}
	return list[i], true
}

// with are the endpoints that have one of the flags.
func (m *endpointsManager) with(f EndpointFlags) (list []Endpoint) {
	for _, e := range m.list {
		if e.Flags&f != 0 {
			list = append(list, e)
		}
	}
	return list
}

// fromEndpoints wishes for what the endpoints say, those to the initial address first.
func (m *endpointsManager) fromEndpoints() (list []wish) {
	accepted := 0
	for _, r := range m.remotes {
		if r.initial {
			for _, e := range m.with(FlagSubflow) {
				list = append(list, m.wish(e, r))
			}
			continue
		}
		if accepted++; accepted > m.accept {
			break
		}
		list = append(list, m.toAnnounced(r)...)
	}
	return list
}

func (*endpointsManager) wish(e Endpoint, r remote) wish {
	return wish{local: e.Addr, to: r, backup: e.Flags&FlagBackup != 0, localID: e.ID}
}

// toAnnounced are the wishes for an announced address: one from each fullmesh endpoint; or else one from
// a laminar endpoint, if there is any; or else one from an address that fits.
func (m *endpointsManager) toAnnounced(r remote) (list []wish) {
	for _, e := range m.with(FlagFullmesh) {
		list = append(list, m.wish(e, r))
	}
	if len(list) > 0 {
		return list
	}
	flags := FlagLaminar
	if m.denied {
		flags |= FlagSubflow // those have no other use
	}
	if candidates := m.with(flags); len(candidates) > 0 {
		if e, ok := m.takes(r, candidates); ok {
			list = append(list, m.wish(e, r))
		}
		return list
	}
	local := m.initial.local
	if !m.worth(local, r) {
		i := slices.IndexFunc(m.locals, func(l netip.Addr) bool { return m.worth(l, r) })
		if i < 0 {
			return nil
		}
		local = m.locals[i]
	}
	e, _ := endpoint(m.list, local)
	e.Addr = local
	return []wish{m.wish(e, r)}
}

func (m *endpointsManager) worth(local netip.Addr, r remote) bool {
	return slices.Contains(m.locals, local) && WorthTrying(local, r.addr.Addr(), m.initial.remote.Addr())
}

// takes returns the laminar endpoint for an announced address, the same each time: one that no other
// address has.
func (m *endpointsManager) takes(r remote, candidates []Endpoint) (Endpoint, bool) {
	for addr := range m.laminar {
		if !m.hasRemote(addr) {
			delete(m.laminar, addr) // withdrawn
		}
	}
	if e, ok := endpoint(candidates, m.laminar[r.addr]); ok {
		return e, true
	}
	for _, e := range candidates {
		if !m.worth(e.Addr, r) || e.Addr == m.initial.local && !m.denied || m.isTaken(e.Addr) {
			continue
		}
		m.laminar[r.addr] = e.Addr
		return e, true
	}
	return Endpoint{}, false
}

func (m *endpointsManager) isTaken(a netip.Addr) bool {
	for _, o := range m.laminar {
		if o == a {
			return true
		}
	}
	return false
}

// signal announces what is to be announced and was not yet, or was withdrawn since.
func (m *endpointsManager) signal() (do []Action) {
	if !m.active {
		return nil
	}
	for _, e := range m.with(FlagSignal) {
		if slices.ContainsFunc(m.signalled, func(o Endpoint) bool { return o.ID == e.ID && o.Addr == e.Addr }) ||
			e.Port == 0 && e.Addr == m.known || m.isAway(e) {
			continue
		}
		m.signalled = append(m.signalled, e)
		do = append(do, Announce{Addr: netip.AddrPortFrom(e.Addr, e.Port), Local: e.Maps, ID: e.ID})
	}
	return do
}

// isAway reports whether an endpoint's address was the host's and has gone. One that never was is
// announced: a NAT may map it.
func (m *endpointsManager) isAway(e Endpoint) bool { return slices.ContainsFunc(m.away, e.is) }

// is reports whether an endpoint stands for a local address.
func (e Endpoint) is(a netip.Addr) bool { return e.Addr == a || e.Maps == a }

// follow makes the connection follow a change of the endpoints.
func (m *endpointsManager) follow(before []Endpoint) (do []Action) {
	gone := m.removed(before)
	if len(gone) > 0 {
		do = append(do, Withdraw{Addrs: gone})
	}
	do = append(do, m.unwish(before, gone)...)
	return append(do, m.prioritise()...)
}

// removed are the addresses that are in no endpoint any more, or not to be announced any more.
func (m *endpointsManager) removed(before []Endpoint) (gone []netip.Addr) {
	for _, e := range before {
		now, still := endpoint(m.list, e.Addr)
		if still && (e.Flags&FlagSignal == 0 || now.Flags&FlagSignal != 0) {
			continue
		}
		m.signalled = slices.DeleteFunc(m.signalled, func(o Endpoint) bool { return o.Addr == e.Addr })
		a := e.Addr
		if e.Maps.IsValid() {
			a = e.Maps
		}
		if a == m.known {
			m.known = netip.Addr{}
		}
		gone = append(gone, a)
	}
	return gone
}

// unwish closes the subflows of endpoints that have changed for which there is no wish any more; those from
// an address that is withdrawn are closed anyway. What other endpoints have opened stays, as it does with
// Linux, even if it would not be opened now.
func (m *endpointsManager) unwish(before []Endpoint, withdrawn []netip.Addr) (do []Action) {
	changed := func(a netip.Addr) bool {
		was, _ := endpoint(before, a)
		now, _ := endpoint(m.list, a)
		return was != now
	}
	wishes := m.wishes()
	for _, p := range m.pairs {
		if p.state != pairUp || !p.wish.local.IsValid() || slices.Contains(withdrawn, p.at.local) || !changed(p.at.local) {
			continue // the initial one was no wish
		}
		if !slices.ContainsFunc(wishes, func(w wish) bool { return w.at() == p.at && w.slot == p.slot }) {
			do = append(do, CloseSubflow{ID: p.id})
		}
	}
	return do
}

// catchUp tells the peer if FlagBackup has changed since the SYN of a subflow left.
func (m *endpointsManager) catchUp(id uint32) []Action {
	p := m.pairOf(id)
	if p == nil {
		return nil
	}
	e, ok := endpoint(m.list, p.at.local)
	want := e.Flags&FlagBackup != 0
	if !ok || want == p.wish.backup {
		return nil
	}
	p.backup = want
	return []Action{SetBackup{ID: id, Backup: want}}
}

// prioritise tells the peer where FlagBackup and the subflows differ.
func (m *endpointsManager) prioritise() (do []Action) {
	set := func(local netip.Addr, id uint32, backup *bool) {
		e, ok := endpoint(m.list, local)
		if want := e.Flags&FlagBackup != 0; ok && want != *backup {
			*backup = want
			do = append(do, SetBackup{ID: id, Backup: want})
		}
	}
	for i := range m.others {
		set(m.others[i].local, m.others[i].id, &m.others[i].backup)
	}
	for _, p := range m.pairs {
		if p.state == pairUp {
			set(p.at.local, p.id, &p.backup)
		}
	}
	return do
}
