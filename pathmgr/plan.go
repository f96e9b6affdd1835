package pathmgr

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// plan returns what has to be done to come from what is to what is wished for: the attempts
// that are due, as far as the limit allows, and a wake-up for the next one.
func (m *mesh) plan(now time.Time) []Action {
	if !m.active {
		return nil
	}
	var due []*pair
	urgent := !m.anyUp()
	next, undo := m.lastResort(now, urgent)
	defer undo()
	for _, w := range m.wishes() {
		if !m.wanted(w) {
			continue
		}
		p := m.pair(w.at(), w.slot)
		if p.live() || p.state == pairGivenUp {
			continue
		}
		p.wish = w
		at := p.dueAt(urgent)
		if first := w.to.since.Add(m.headStart); m.role == Server && at.Before(first) {
			at = first
		}
		switch {
		case !now.Before(at):
			due = append(due, p)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	var actions []Action
	for _, p := range m.choose(due, m.limit-m.subflows()) {
		p.opening(now)
		open := Open{Local: p.at.local, Remote: p.at.remote, Backup: p.wish.backup, LocalID: p.wish.localID}
		if urgent {
			open.Patience = p.patience()
		}
		actions = append(actions, open)
	}
	m.forget()
	if !next.IsZero() && !next.Equal(m.wakeAt) {
		m.wakeAt = next
		actions = append(actions, WakeAt{At: next})
	}
	return actions
}

// lastResortAfter is how long the other addresses are tried alone when nothing is left.
const lastResortAfter = time.Second

// lastResort has the server's initial address tried, too, though it was withdrawn, when no subflow is left and no other
// address has helped: it may work still. at is when that will be the case, if it is not yet; undo ends it.
func (m *mesh) lastResort(now time.Time, urgent bool) (at time.Time, undo func()) {
	switch {
	case !urgent:
		m.aloneSince = time.Time{}
	case m.aloneSince.IsZero():
		m.aloneSince = now
	}
	if !urgent || !m.resort.initial {
		return at, func() {}
	}
	if at = m.aloneSince.Add(lastResortAfter); len(m.remotes) > 0 && now.Before(at) {
		return at, func() {}
	}
	m.remotes = slices.Insert(m.remotes, 0, m.resort)
	return time.Time{}, func() { m.remotes = slices.Delete(m.remotes, 0, 1) }
}

// anyUp reports whether a subflow is left.
func (m *mesh) anyUp() bool {
	return len(m.others) > 0 || slices.ContainsFunc(m.pairs, func(p *pair) bool { return p.state == pairUp })
}

// choose returns those of the pairs to open now. Where there is no room for all, addresses
// that have no subflow yet come first, then those that look like neighbours: they probably
// are two ends of one path.
func (m *mesh) choose(due []*pair, room int) []*pair {
	if len(due) <= room {
		return due
	}
	busy := map[netip.Addr]int{}
	note := func(local, remote netip.Addr) {
		busy[local]++
		busy[remote]++
	}
	for _, o := range m.others {
		note(o.local, o.remote)
	}
	for _, p := range m.pairs {
		if p.live() {
			note(p.at.local, p.at.remote.Addr())
		}
	}
	var chosen []*pair
	for range max(room, 0) {
		best := slices.MinFunc(due, func(a, b *pair) int {
			use := func(p *pair) int { return busy[p.at.local] + busy[p.at.remote.Addr()] }
			return cmp.Or(
				cmp.Compare(use(a), use(b)),
				cmp.Compare(commonPrefix(b.at.local, b.at.remote.Addr()), commonPrefix(a.at.local, a.at.remote.Addr())),
			)
		})
		due = slices.DeleteFunc(due, func(p *pair) bool { return p == best })
		note(best.at.local, best.at.remote.Addr())
		chosen = append(chosen, best)
	}
	return chosen
}

// commonPrefix is the number of leading bits that two addresses of one family share.
func commonPrefix(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return 128
}

// wanted reports whether a wish makes sense. A subflow that the peer opened between the same
// addresses does as well, and so does one to an address that has the same ID: a NAT makes one
// address look like two (RFC 8684 section 3.4).
func (m *mesh) wanted(w wish) bool {
	at := w.at()
	if !slices.Contains(m.locals, w.local) || !WorthTrying(at.local, at.remote.Addr(), m.initial.remote.Addr()) ||
		slices.Contains(m.refused, at) || slices.Contains(m.locals, at.remote.Addr()) {
		return false // the last: the peer's address is none of ours
	}
	if p := m.find(at, w.slot); m.misled >= maxMisled && !w.to.initial && (p == nil || !p.worked) {
		return false
	}
	if slices.ContainsFunc(m.others, func(o other) bool {
		return o.local == at.local && (o.remote == at.remote.Addr() || o.remoteID == w.to.id)
	}) {
		return w.slot > 0
	}
	return !slices.ContainsFunc(m.pairs, func(p *pair) bool {
		return p.state == pairUp && p.at.local == at.local && p.at.remote.Addr() != at.remote.Addr() && p.remoteID == w.to.id
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
