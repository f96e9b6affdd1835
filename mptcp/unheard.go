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
	// unheardWait is how long it is waited for a sign that the peer has got a signal, or three round trips
	// if that is more, until it is asked for one; for that answer it is waited as long. Linux
	// answers one such question in 500 ms. Each repetition waits twice as long.
	unheardWait = time.Second
	// maxSignalRepeats is how often a signal is sent again.
	maxSignalRepeats = 3
	// maxUnheard bounds the signals that are remembered.
	maxUnheard = 64
)

// unheardSignal is a REMOVE_ADDR or MP_PRIO that has left, but of which there is no sign that the peer has
// got it: nothing answers them (an ADD_ADDR is echoed), and TCP does not repeat the ACK that carried it.
// A sign is that the peer echoes the timestamp of that ACK, or of a later segment. Where the subflow
// ends or goes silent before, or there is none in time, it is sent again; to hear it twice does no
// harm.
type unheardSignal struct {
	signal
	sub   *sub
	stamp uint32
	ask   time.Time // when the peer is asked for a sign; zero: it was
	again time.Time // when it is sent again
}

// noteSent remembers a signal that has left on s, unless that has no timestamps to tell. c.mu is held.
func (c *Conn) noteSent(now time.Time, g signal, s *sub) {
	stamp, ok := s.Stamp(now)
	if !ok || g.repeats == maxSignalRepeats || len(c.signals.unheard) == maxUnheard {
		return
	}
	if _, ok := g.option.(option.Prio); ok {
		c.signals.unheard = slices.DeleteFunc(c.signals.unheard, func(u unheardSignal) bool { return supersedes(g, u.signal) })
	}
	wait := max(unheardWait, 3*s.Sender().Snapshot().SRTT) << g.repeats
	c.signals.unheard = append(c.signals.unheard, unheardSignal{signal: g, sub: s, stamp: stamp, ask: now.Add(wait), again: now.Add(2 * wait)})
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
	var lost []signal
	c.signals.unheard = slices.DeleteFunc(c.signals.unheard, func(u unheardSignal) bool {
		switch {
		case u.sub.HasEchoed(u.stamp):
			return true
		case u.sub.down || u.sub.PeerFinTaken() || u.sub.stale || !now.Before(u.again):
			lost = append(lost, u.signal)
			return true
		}
		return false
	})
	for i := range c.signals.unheard {
		if u := &c.signals.unheard[i]; !u.ask.IsZero() && !now.Before(u.ask) {
			u.ask = time.Time{}
			u.sub.SendProbe(now)
		}
	}
	for _, g := range lost {
		c.signalAgain(g)
	}
}

// signalAgain queues a signal that seems lost, as far as it still holds.
func (c *Conn) signalAgain(g signal) {
	g.repeats++
	switch o := g.option.(type) {
	case option.RemoveAddr:
		ids := slices.DeleteFunc(removalIDs(o), func(id option.AddrID) bool {
			l := c.byAddrID(id)
			return l == nil || l.known
		})
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

// waitsFor reports whether a newer signal waits that says all that g says.
func (c *Conn) waitsFor(g signal) bool {
	return slices.ContainsFunc(c.signals.queue, func(o signal) bool { return supersedes(o, g) })
}
