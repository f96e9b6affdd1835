package mptcp

import (
	"syscall"
	"time"

	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// thirdRTO is when the third packet of a join is sent again (8684-3.2-16).
	thirdRTO = time.Second
	// maxThirds is how often.
	maxThirds = 5
	// minFinRTO and maxFinRTO bound the time between copies of DATA_FIN.
	minFinRTO, maxFinRTO = 200 * time.Millisecond, 60 * time.Second
	// loneFins is how often DATA_FIN is sent to a peer that has never sent a DSS, before FIN
	// is tried.
	loneFins = 4
)

// service does whatever is due: places and sends data, repeats what needs repeating, and
// sets the timer. It is called after anything that may have changed what can be done.
// c.mu is held.
func (c *Conn) service(now time.Time) {
	switch c.phase {
	case dead:
		return
	case fastClosing:
		c.serviceFastClose(now)
		return
	}
	c.checkEstablished()
	if c.dueTimers(now); c.phase == dead {
		return
	}
	c.checkStale(now)
	for c.push(now) {
		c.runSenders(now)
	}
	if !c.waiting() {
		for _, s := range c.subs {
			if s.isUsable() {
				s.Sender().MarkAppLimited()
			}
		}
	}
	c.runSenders(now)
	c.endStream(now)
	if c.rx.ackDue {
		c.rx.ackDue = false
		c.ackAll(now)
	}
	c.probeWindow(now)
	c.probeDataAck(now)
	c.probeStandstill(now)
	c.watchMute(now)
	c.knock(now)
	c.repeatAnnouncements(now)
	c.steer(now)
	c.checkUnheard(now)
	c.sendSignals(now)
	c.probeLiveness(now)
	c.keepAlive(now)
	c.arm(now)
}

// ackAll sends DATA_ACK and window on every subflow: which of them reach the peer is not
// known.
func (c *Conn) ackAll(now time.Time) {
	for _, s := range c.subs {
		if s.talks() {
			s.SendAck(now)
		}
	}
}

func (c *Conn) runSenders(now time.Time) {
	for _, s := range c.subs {
		if s.talks() {
			s.next = s.Sender().Run(now)
		}
	}
}

// endStream sends DATA_FIN when all before it has been placed, and again until it is
// acknowledged; for plain TCP it sends FIN when all has been acknowledged.
func (c *Conn) endStream(now time.Time) {
	if !c.tx.finAsked || c.tx.finAcked || c.waiting() {
		return
	}
	if c.shared.Mode != subflow.MPTCP {
		c.endPlain()
		return
	}
	if !c.shared.DataFinPending {
		c.shared.DataFin, c.shared.DataFinPending = c.tx.buf.End(), true
		c.shared.SndEnd = c.shared.DataFin.Add(1)
		c.tx.finAt = now
	}
	s := c.best()
	if s == nil {
		c.tx.finAt = time.Time{} // as soon as there is a subflow
		return
	}
	if now.Before(c.tx.finAt) {
		return
	}
	s.SendDataFin(now)
	for _, o := range c.subs {
		if c.tx.finTries > 0 && o != s && o.talks() {
			o.SendDataFin(now) // the best path may be dead
		}
	}
	wait := min(max(minFinRTO, 2*s.Sender().Snapshot().SRTT)<<min(c.tx.finTries, 10), maxFinRTO)
	c.tx.finTries++
	c.tx.finAt = now.Add(wait)
	if c.tx.finTries == loneFins && c.neverAnswered(s) {
		s.loneFin = true
		c.act(s.closeWrite)
	}
}

// neverAnswered reports whether s is the client's first subflow and nothing has come on it
// that shows that the server speaks MPTCP: perhaps it has never seen our third packet's option,
// and is plain TCP. Then only a FIN ends the stream; it closes nothing that is needed, since
// only the DATA_FIN is outstanding (8684-3.3.3-06).
func (c *Conn) neverAnswered(s *sub) bool {
	return c.shared.Mode == subflow.MPTCP && !c.shared.PeerConfirmed && s.Kind == subflow.Initial && s.Role == subflow.Opener
}

func (c *Conn) endPlain() {
	for _, s := range c.liveList() { // the end of the stream may end subflows
		switch {
		case s.Sender() == nil:
		case s.FinAcked():
			c.finConfirmed()
		case s.Sender().Drained() && !s.finAsked:
			s.finAsked = true
			c.act(s.closeWrite)
		}
	}
}

// best is the subflow for what is not data: usable, not stale, with the least RTT. It is
// nil if there is none.
func (c *Conn) best() *sub {
	var best *sub
	var rtt time.Duration
	for _, s := range c.subs {
		if !s.talks() {
			continue
		}
		st := s.Sender().Snapshot()
		if best == nil || best.stale && !s.stale || best.stale == s.stale && st.SRTT < rtt {
			best, rtt = s, st.SRTT
		}
	}
	return best
}

// dueTimers handles what has its time.
func (c *Conn) dueTimers(now time.Time) {
	due := func(at time.Time) bool { return !at.IsZero() && !now.Before(at) }
	switch {
	case due(c.closeAt):
		c.abortSubs(nil)
		if !c.tx.finAcked {
			c.fail(ErrNotConfirmed)
		} else {
			c.die()
		}
		return
	case due(c.breakAt) && c.phase == finished:
		c.die() // the peer has not come back for our last DATA_ACK
		return
	case due(c.breakAt):
		c.fail(noPath(c.lostBy))
		return
	}
	if due(c.pmAt) {
		c.pmAt = time.Time{}
		c.tell(pathmgr.Timer{})
	}
	for _, s := range c.liveList() {
		s.Tick(now)
	}
	for _, s := range c.subs {
		if !s.down && due(s.giveUpAt) {
			c.subDown(s, syscall.ETIMEDOUT)
			return
		}
		if s.down || !due(s.thirdAt) {
			continue
		}
		if s.State() != subflow.PreEstablished {
			s.thirdAt = time.Time{}
			continue
		}
		if s.thirds++; s.thirds > maxThirds {
			c.OnReset(now, s.Subflow, &subflow.ResetError{Reason: option.ReasonMiddlebox, Text: "third packet not answered"})
			return
		}
		s.SendAck(now)
		s.thirdAt = now.Add(thirdRTO << s.thirds)
	}
}

// arm sets the timer for the next thing to do.
func (c *Conn) arm(now time.Time) {
	at := c.nextTime(now)
	if at.IsZero() || !c.timerAt.IsZero() && !at.Before(c.timerAt) {
		return // the timer will look again when it fires
	}
	c.timerAt = at
	wait := max(at.Sub(now), 0)
	if c.timer == nil {
		c.timer = c.host.clock.AfterFunc(wait, c.timerFired)
	} else {
		c.timer.Reset(wait)
	}
}

// nextTime is when there is something to do after now, zero if that is not known.
func (c *Conn) nextTime(now time.Time) (at time.Time) {
	if c.phase == fastClosing {
		return c.fastClose.at // nothing else is served any more
	}
	add := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	add(c.closeAt)
	add(c.breakAt)
	add(c.pmAt)
	add(c.tx.window.at)
	add(c.tx.dataAck.at)
	add(c.signals.at)
	add(c.steering.at)
	for i := range c.signals.unheard {
		u := &c.signals.unheard[i]
		add(u.ask)
		add(u.again)
		add(u.look)
	}
	for _, l := range c.locals {
		add(l.again)
	}
	if c.shared.DataFinPending && !c.waiting() {
		add(c.tx.finAt)
	}
	for _, s := range c.subs {
		if !s.down {
			add(s.next)
			add(s.thirdAt)
			add(s.giveUpAt)
			add(s.aliveAt)
			add(s.liveness.at)
			add(s.mute.at)
			add(s.knocking.at)
			add(s.standstill.at)
			add(s.Wake())
			add(s.silenceAt(now))
		}
	}
	return at
}

func (c *Conn) timerFired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.host.clock.Now()
	c.noteLag(now)
	c.timerAt = time.Time{}
	c.service(now)
}
