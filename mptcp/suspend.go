package mptcp

import (
	"log/slog"
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// sleepLook is how often a host with connections looks whether it has been suspended.
	sleepLook = time.Second
	// minSleep is how much sleep counts: less is a pause as any path may have.
	minSleep = 2 * time.Second
	// wakeProbes is how often, and wakePause the time between two, a subflow is asked after
	// its host's sleep whether it works still: long enough for a wireless link to come back.
	wakeProbes, wakePause = 10, time.Second
)

// sleepWatch notices that the machine was suspended. Timers stand still in that time, and so would
// count on as if nothing had been: a retransmission that has been backed off to a minute, or
// the pause before the next attempt at a subflow.
type sleepWatch struct {
	clock  clock.Sleeper // nil: a machine that does not sleep
	timer  clock.Timer   // runs while there are connections
	asleep time.Duration // at the last look
}

// watchSleep begins to look, unless that is done already. h.mu is held.
func (h *Host) watchSleep() {
	w := &h.sleep
	if w.clock == nil || w.timer != nil {
		return
	}
	w.asleep = w.clock.Asleep()
	w.timer = h.clock.AfterFunc(sleepLook, h.lookForSleep)
}

// stopSleepWatch ends the looking. h.mu is held.
func (h *Host) stopSleepWatch() {
	if h.sleep.timer != nil {
		h.sleep.timer.Stop()
		h.sleep.timer = nil
	}
}

// lookForSleep tells the connections if the machine has slept since the last look.
func (h *Host) lookForSleep() {
	h.mu.Lock()
	w := &h.sleep
	if h.closed || len(h.conns) == 0 {
		w.timer = nil
		h.mu.Unlock()
		return
	}
	total := w.clock.Asleep()
	slept := total - w.asleep
	w.asleep = total
	w.timer.Reset(sleepLook)
	var conns []*Conn
	if slept >= minSleep {
		conns = h.connList()
	}
	h.mu.Unlock()
	if slept < minSleep {
		return
	}
	h.mib.Add(mib.Resumed)
	for _, c := range conns {
		c.resumed(slept)
	}
}

// resumed: the machine has slept, and what came in that time is lost. Everything that waits is
// tried at once, and each subflow is asked whether it works still: NATs may have forgotten it, the
// peer may have given it up. c.mu is not held.
func (c *Conn) resumed(slept time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == dead || c.phase == fastClosing {
		return
	}
	now := c.host.clock.Now()
	c.logf("awake again", nil, slog.Duration("slept", slept))
	for _, s := range c.subs {
		if !s.talks() {
			continue
		}
		s.Sender().RetryNow(now)
		if c.shared.Mode == subflow.MPTCP && c.host.cfg.BreakTimeout >= 0 {
			c.askIfAlive(now, s, wakeProbes, wakePause)
		} else {
			s.SendProbe(now) // it has no other, so that silence is to be borne
		}
	}
	c.tx.window.hurry(now)
	c.tx.dataAck.hurry(now)
	if c.shared.DataFinPending {
		c.tx.finAt = now
	}
	c.tell(pathmgr.Resumed{})
	c.service(now)
}

// hurry makes the next probe due, if there is one, and the pauses after it short again.
func (p *probe) hurry(now time.Time) {
	if !p.at.IsZero() {
		p.at, p.n = now, 0
	}
}
