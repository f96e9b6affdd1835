package mptcp

import (
	"log/slog"
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// maxEchoes bounds the echoes that wait: who announces more gets no echo, and repeats.
	maxEchoes = 64
	// maxRemoveIDs is how many addresses one REMOVE_ADDR withdraws: as many as fit beside the
	// timestamps.
	maxRemoveIDs = 24
)

// signal is a rare option that waits for an ACK of its own (8684-3-05): an ADD_ADDR, its echo,
// REMOVE_ADDR or MP_PRIO. TCP does not repeat such an ACK when it is lost; see unheardSignal.
type signal struct {
	option option.Option
	// on is the subflow that it should leave on, or, if bound, has to; 0 means any.
	on    uint32
	bound bool
	// repeats is how often it was sent again, since it seemed lost.
	repeats int
}

// signals are those of a connection that wait, the oldest first. Everything but echoes is
// there once for each address or subflow, so the list is bounded.
type signals struct {
	queue []signal
	at    time.Time // when the next one may leave without other news; zero: none waits for that
	// nextAnnouncement is when an ADD_ADDR may leave: peers take them one by one, and Linux drops one
	// that comes while it has not dealt with another. The echo sets it to zero.
	nextAnnouncement time.Time
	unheard          []unheardSignal
}

// signal queues a signal; service sends it. What it makes obsolete is dropped. c.mu is held.
func (c *Conn) signal(g signal) {
	echoes := 0
	for i, o := range c.signals.queue {
		if o == g {
			return
		}
		if supersedes(g, o) {
			c.signals.queue = slices.Delete(c.signals.queue, i, i+1)
			break
		}
		if a, ok := o.option.(option.AddAddr); ok && a.Echo {
			echoes++
		}
	}
	if a, ok := g.option.(option.AddAddr); ok && a.Echo && echoes >= maxEchoes {
		c.count(mib.AddAddrDrop)
		return
	}
	c.signals.queue = append(c.signals.queue, g)
}

// supersedes reports whether a newer signal says all that an older one said.
func supersedes(newer, older signal) bool {
	switch o := older.option.(type) {
	case option.Prio:
		_, ok := newer.option.(option.Prio)
		return ok && newer.on == older.on
	case option.AddAddr:
		n, ok := newer.option.(option.AddAddr)
		return ok && !n.Echo && !o.Echo && n.ID == o.ID
	}
	return false
}

// signalRemoval queues the withdrawal of addresses, in one option with those that wait
// already (8684-3.4.2-01).
func (c *Conn) signalRemoval(ids []option.AddrID, repeats int) {
	c.signals.queue = slices.DeleteFunc(c.signals.queue, func(g signal) bool {
		switch o := g.option.(type) {
		case option.AddAddr:
			return !o.Echo && slices.Contains(ids, o.ID)
		case option.RemoveAddr:
			ids = append(removalIDs(o), ids...)
			repeats = min(repeats, g.repeats)
			return true
		}
		return false
	})
	for part := range slices.Chunk(ids, maxRemoveIDs) {
		c.signals.queue = append(c.signals.queue, signal{option: option.NewRemoveAddr(part...), repeats: repeats})
	}
}

// keepRemoval takes an address that is in use again out of the withdrawals that wait.
func (c *Conn) keepRemoval(id option.AddrID) {
	for i := range c.signals.queue {
		r, ok := c.signals.queue[i].option.(option.RemoveAddr)
		if !ok || !slices.Contains(removalIDs(r), id) {
			continue
		}
		rest := slices.DeleteFunc(removalIDs(r), func(o option.AddrID) bool { return o == id })
		if len(rest) == 0 {
			c.signals.queue = slices.Delete(c.signals.queue, i, i+1)
		} else {
			c.signals.queue[i].option = option.NewRemoveAddr(rest...)
		}
		return
	}
}

func removalIDs(r option.RemoveAddr) []option.AddrID {
	ids := make([]option.AddrID, r.Count())
	for i := range ids {
		ids[i] = r.ID(i)
	}
	return ids
}

// sendSignals sends what may leave now; the rest waits for news or for a time. c.mu is held.
func (c *Conn) sendSignals(now time.Time) {
	c.signals.at = time.Time{}
	if len(c.signals.queue) == 0 {
		return
	}
	if c.phase != open || c.shared.Mode != subflow.MPTCP {
		c.signals.queue = nil // there will be no use for it
		return
	}
	c.signals.queue = slices.DeleteFunc(c.signals.queue, func(g signal) bool { return c.sendSignal(now, g) })
}

// sendSignal reports whether a signal is dealt with: sent, or without its subflow.
func (c *Conn) sendSignal(now time.Time, g signal) bool {
	if g.bound && c.byID(g.on) == nil {
		return true
	}
	if r, ok := g.option.(option.RemoveAddr); ok && c.finsDue(r) {
		return false
	}
	if a, ok := g.option.(option.AddAddr); ok && !a.Echo && now.Before(c.signals.nextAnnouncement) {
		c.signalAt(c.signals.nextAnnouncement)
		return false
	}
	s := c.carrier(now, g)
	if s == nil || !s.SendOption(now, g.option) {
		return false
	}
	c.logf("signal sent", s, slog.String("option", g.option.String()))
	switch o := g.option.(type) {
	case option.AddAddr:
		if o.Echo {
			c.count(mib.EchoAddTx)
			break
		}
		c.count(mib.AddAddrTx)
		c.announcementSent(now, o.ID, s)
	case option.RemoveAddr:
		c.host.mib.AddN(mib.RmAddrTx, o.Count())
		c.noteSent(now, g, s)
	case option.Prio:
		c.count(mib.MPPrioTx)
		c.noteSent(now, g, s)
	}
	return true
}

// finsDue reports whether a subflow that works has yet to send the FIN that ends it before the
// withdrawal of its address does (8684-3.4.2-06, 8684-Q-16): a peer that hears of that first
// may reset the subflow, and with it what is under way.
func (c *Conn) finsDue(r option.RemoveAddr) bool {
	return slices.ContainsFunc(c.subs, func(s *sub) bool {
		return s.withdrawn && s.ep != nil && !s.FinSent() && c.endsInOrder(s) && slices.Contains(removalIDs(r), s.LocalID)
	})
}

// carrier picks the subflow for a signal, or nil if none may carry it now. One that works is
// waited for rather than trust a stale one, or one whose address is being withdrawn (8684-Q-16).
func (c *Conn) carrier(now time.Time, g signal) *sub {
	removed, _ := g.option.(option.RemoveAddr)
	healthy := func(s *sub) bool {
		return s.works() && !slices.Contains(removalIDs(removed), s.LocalID)
	}
	choosy := slices.ContainsFunc(c.subs, func(s *sub) bool { return c.maySignal(s, g) && healthy(s) })
	var best *sub
	for _, s := range c.subs {
		if !c.maySignal(s, g) || choosy && !healthy(s) {
			continue
		}
		if at := s.OptionAt(); now.Before(at) {
			c.signalAt(at)
			continue
		}
		if best == nil || s.ID == g.on || best.ID != g.on && s.Sender().Snapshot().SRTT < best.Sender().Snapshot().SRTT {
			best = s
		}
	}
	return best
}

// signalAt has sendSignals called at a time, or earlier.
func (c *Conn) signalAt(at time.Time) {
	if c.signals.at.IsZero() || at.Before(c.signals.at) {
		c.signals.at = at
	}
}

// maySignal reports whether a signal may leave on s at all. A peer that has not yet confirmed
// the handshake might take an ACK without MP_CAPABLE for a fallback.
func (c *Conn) maySignal(s *sub, g signal) bool {
	return s.talks() && (!g.bound || s.ID == g.on) && (c.shared.PeerConfirmed || s.Role == subflow.Responder)
}

// byID finds a subflow that is alive.
func (c *Conn) byID(id uint32) *sub {
	for _, s := range c.subs {
		if s.ID == id && !s.down {
			return s
		}
	}
	return nil
}

func (c *Conn) count(n mib.Counter) { c.host.mib.Add(n) }
