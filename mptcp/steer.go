package mptcp

import (
	"log/slog"
	"time"

	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

// What the peer sends is placed by the peer, and many a peer knows little of its paths: Linux' takes the
// first subflow of its list when nothing is under way, and spreads a small answer to one that delivers it
// last. All that a receiver can do is to ask, with flag B of MP_JOIN and MP_PRIO (RFC 8684 section 3.3.8), that a
// path be left alone for now. We say that such a path rests. Which do is decided in steerpolicy.go; here is how
// the peer is told. Our own data is placed as if nothing had been asked.

// The pauses of steering.
const (
	// steerPause is how long a subflow is left as it is before it rests again, and for how long bulk data is
	// thought to go on when it pauses.
	steerPause = time.Second
	// farOff is a round trip than which few are twice as long.
	farOff = 50 * time.Millisecond
)

// steering is what a connection that steers its peer remembers.
type steering struct {
	on     bool
	demand demand
	usual  uint32        // ID of the subflow on which the newest answer came that was not late
	at     time.Time     // when to look again, zero if nothing is waited for
	paths  []steeredPath // scratch
	subs   []*sub
}

// steered is the same for a subflow.
type steered struct {
	// byHand: its priority was set by the program or the path manager, and is theirs.
	byHand bool
	// rests: the peer was asked to leave it alone, by flag B, which Subflow.LocalBackup has.
	rests bool
	// settled: it was decided at least once whether it rests. Before, one that we opened rests by its SYN.
	settled bool
	told    time.Time // when the peer was last told
}

// steers sets up steering for a new connection: if nobody has priorities of his own.
func (c *Conn) steers(i Intent) {
	m, ok := c.pm.(pathmgr.Steerable)
	c.steering = steering{on: ok && m.Steerable() && c.role == pathmgr.Client && i != Aggregate && !c.host.cfg.NoSteering}
	c.steering.demand.lossWeight = 1
	if i == Interactive {
		c.steering.demand.lossWeight = interactiveLossWeight
	}
}

// restsAtFirst reports whether a subflow that is about to be opened shall rest until its round trip is known: if it
// may well be farther than one that there is, and there is no hurry.
func (c *Conn) restsAtFirst() bool {
	if !c.steering.on || c.steering.demand.isBulk(c.host.clock.Now()) {
		return false
	}
	for _, s := range c.subs {
		if s.isUsable() && !s.isBackup() && s.Sender().MinRTT() > 0 && s.Sender().MinRTT() < farOff {
			return true
		}
	}
	return false
}

// steer looks which paths shall rest, and tells the peer what has changed. c.mu is held.
func (c *Conn) steer(now time.Time) {
	st := &c.steering
	st.at = time.Time{}
	if !st.on || c.phase != open || c.shared.Mode != subflow.MPTCP {
		return
	}
	st.paths, st.subs = st.paths[:0], st.subs[:0]
	for _, s := range c.subs {
		if !s.isUsable() || s.steered.byHand || s.RemoteBackup {
			continue
		}
		snd := s.Sender()
		st.subs = append(st.subs, s)
		st.paths = append(st.paths, steeredPath{
			rtt: snd.MinRTT(), srtt: snd.SRTT(), losses: s.ArrivalLosses(now), // our own queue does not delay the peer
			silent: s.stale || snd.Backoffs() > 0, rests: s.steered.rests, settled: s.steered.settled,
		})
	}
	if len(st.subs) < 2 && !c.anyRests() { // nothing to choose
		return
	}
	st.demand.judge(now, st.paths)
	decide(now, st.paths, &st.demand)
	for i, s := range st.subs {
		c.apply(now, s, &st.paths[i])
	}
	if bulk := st.demand.bulkUntil; now.Before(bulk) {
		c.steerAt(bulk)
	}
}

func (c *Conn) anyRests() bool {
	for _, s := range c.subs {
		if s.steered.rests {
			return true
		}
	}
	return false
}

// steerAt has steer called at a time, or earlier.
func (c *Conn) steerAt(at time.Time) {
	if c.steering.at.IsZero() || at.Before(c.steering.at) {
		c.steering.at = at
	}
}

// apply lets s rest, or ends that.
func (c *Conn) apply(now time.Time, s *sub, p *steeredPath) {
	t := &s.steered
	next := t.told.Add(steerPause)
	switch {
	case p.rests && !t.rests && now.Before(next):
		c.steerAt(next)
		return
	case p.rests == t.rests:
		t.settled = true
		return
	}
	words := "peer may use this path again"
	if p.rests {
		words = "peer is asked to leave this path alone while it sends little"
	}
	c.logf(words, s, slog.Duration("rtt", p.rtt), slog.Float64("loss", p.losses))
	t.rests, t.settled, t.told = p.rests, true, now
	s.LocalBackup = p.rests
	c.signal(signal{option: option.Prio{Backup: p.rests}, on: s.ID, bound: true})
}

// noteAnswer notes n bytes of the peer's stream. What is late was probably lost where answers usually come: a
// peer that knows more than Linux sends it again elsewhere.
func (c *Conn) noteAnswer(now time.Time, f *subflow.Subflow, n int) {
	st := &c.steering
	if !st.demand.arrive(now, n, c.shared.SndUna == c.tx.next) {
		st.usual = f.ID
		return
	}
	if s := c.byID(st.usual); s != nil {
		s.SuspectLoss(now)
	}
}
