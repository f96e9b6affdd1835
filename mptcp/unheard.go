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
	// unheardWait is how long a sign is waited for that the peer has got a signal, or three round trips if that is
	// more, until it is asked for one; for that answer it is waited as long. Linux answers one such question in
	// 500 ms. Each repetition waits twice as long.
	unheardWait = time.Second
	unheardRTTs = 3
	// maxSignalRepeats is how often a signal is sent again.
	maxSignalRepeats = 3
	// minRemovalWait and removalRTTs are how long the peer has to act on a REMOVE_ADDR, minPrioWait and prioRTTs on
	// MP_PRIO: what was under way comes for a while. So has each repetition, twice as long as the one before.
	minRemovalWait, removalRTTs = 300 * time.Millisecond, 4
	minPrioWait, prioRTTs       = time.Second, 8
)

// unheardSignal is a REMOVE_ADDR or MP_PRIO that has left, but of which there is no sign that the peer has
// got it: nothing answers them (an ADD_ADDR is echoed), and TCP does not repeat the ACK that carried it.
// A sign is that the peer echoes the timestamp of that ACK, or of a later segment. Where the subflow
// ends or goes silent before, or there is none in time, it is sent again; to hear it twice does no
// harm. On a busy subflow a later segment says little of that one: so it is sent again also when the
// peer goes on as before.
type unheardSignal struct {
	signal
	sub   *sub
	stamp uint32
	sent  time.Time
	ask   time.Time // when the peer is asked for a sign; zero: it was, or has given one
	again time.Time // when it is sent again; zero: there was a sign
	look  time.Time // when it is looked whether the peer acts on it; zero: it was, and does
}

// noteSent remembers a signal that has left on s, unless s has no timestamps to tell. c.mu is held.
func (c *Conn) noteSent(now time.Time, g signal, s *sub) {
	stamp, ok := s.Stamp(now)
	if !ok || g.repeats == maxSignalRepeats {
		return
	}
	c.signals.unheard = slices.DeleteFunc(c.signals.unheard, func(u unheardSignal) bool { return supersedes(g, u.signal) })
	rtt := s.Sender().Snapshot().SRTT
	act := max(minRemovalWait, removalRTTs*rtt)
	if _, ok := g.option.(option.Prio); ok {
		act = max(minPrioWait, prioRTTs*rtt)
	}
	wait := max(unheardWait, unheardRTTs*rtt) << g.repeats
	c.signals.unheard = append(c.signals.unheard, unheardSignal{
		signal: g, sub: s, stamp: stamp, sent: now,
		ask: now.Add(wait), again: now.Add(2 * wait), look: now.Add(act << g.repeats),
	})
}

// goesOn reports whether the peer goes on, at the time to look, as if it had not got a signal: what is missing since
// before we withdrew an address stays away; data comes on a backup though it does elsewhere, or much does and none on
// what is one no more. A stream that merely stops says nothing: the peer may have no more to send.
func (c *Conn) goesOn(u *unheardSignal) bool {
	o, ok := u.option.(option.Prio)
	if !ok {
		return c.awaitsData() && c.missesData() && !c.rx.movedAt.After(u.sent)
	}
	s := c.byID(u.on)
	late := u.sent.Add(u.look.Sub(u.sent) / 2)
	return s != nil && s.LastData().After(late) == o.Backup && (o.Backup || c.rx.flow.isBulk()) && slices.ContainsFunc(c.subs, func(o *sub) bool {
		return o != s && o.isUsable() && !o.isBackup() && o.LastData().After(late)
	})
}

// checkUnheard looks for signs that signals have been heard, and queues those again that seem lost. c.mu is held.
func (c *Conn) checkUnheard(now time.Time) {
	if len(c.signals.unheard) == 0 {
		return
	}
	if c.phase != open || c.shared.Mode != subflow.MPTCP {
		c.signals.unheard = nil
		return
	}
	rest := c.signals.unheard[:0]
	for _, u := range c.signals.unheard {
		switch c.fateOf(now, &u) {
		case unknown:
			rest = append(rest, u)
		case lost:
			c.signalAgain(u.signal)
		}
	}
	clear(c.signals.unheard[len(rest):])
	c.signals.unheard = rest
}

// fate is what has become of a signal.
type fate uint8

const (
	unknown fate = iota
	heard
	lost // as it seems
)

// fateOf judges a signal that has left, and asks the peer about it when that is due.
func (c *Conn) fateOf(now time.Time, u *unheardSignal) fate {
	if !u.look.IsZero() && !now.Before(u.look) {
		if c.goesOn(u) {
			return lost
		}
		u.look = time.Time{}
	}
	switch {
	case u.sub.HasEchoed(u.stamp):
		if u.look.IsZero() {
			return heard
		}
		u.ask, u.again = time.Time{}, time.Time{} // only what it does is still of interest
	case u.sub.down || u.sub.PeerFinTaken() || u.sub.stale || !now.Before(u.again):
		return lost
	case !u.ask.IsZero() && !now.Before(u.ask):
		u.ask = time.Time{}
		u.sub.SendProbe(now)
	}
	return unknown
}

// signalAgain queues a signal that seems lost, as far as it still holds.
func (c *Conn) signalAgain(g signal) {
	g.repeats++
	switch o := g.option.(type) {
	case option.RemoveAddr:
		ids := slices.DeleteFunc(removalIDs(o), c.isInUse)
		if len(ids) == 0 {
			return
		}
		c.signalRemoval(ids, g.repeats)
	case option.Prio:
		s := c.byID(g.on)
		if s == nil || s.LocalBackup != o.Backup || c.waitsFor(g) {
			return
		}
		c.signals.queue = append(c.signals.queue, g)
	}
	c.count(mib.SignalRepeat)
	c.logf("signal seems lost, and is sent again", c.byID(g.on), slog.String("option", g.option.String()))
}

// isInUse reports whether the peer may have learnt an address anew since it was withdrawn: a repetition would
// remove it again. A join of ours whose SYN has no answer yet, as on a path that is silent, tells it nothing.
func (c *Conn) isInUse(id option.AddrID) bool {
	if l := c.byAddrID(id); l == nil || l.announced {
		return true
	}
	return slices.ContainsFunc(c.subs, func(s *sub) bool {
		return s.LocalID == id && !s.down && !s.withdrawn && s.State() > subflow.SynSent
	})
}

// waitsFor reports whether a newer signal waits that says all that g says.
func (c *Conn) waitsFor(g signal) bool {
	return slices.ContainsFunc(c.signals.queue, func(o signal) bool { return supersedes(o, g) })
}
