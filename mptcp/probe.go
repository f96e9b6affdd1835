package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// minWindowProbe is how long a closed window is waited for before it is probed.
	minWindowProbe = 200 * time.Millisecond
	// minDataAckProbe is how long a DATA_ACK may lag behind the ACKs of all subflows.
	minDataAckProbe = 10 * time.Millisecond
	// maxProbe bounds the time between probes of either kind.
	maxProbe = 60 * time.Second
	// dataAckProbeSize is how much is sent again at first, and maxDataAckProbe later.
	dataAckProbeSize, maxDataAckProbe = 1 << 10, 64 << 10
	// maxMildProbes is how often the peer is only asked for its DATA_ACK, where sending bytes
	// again would rule out a fallback; a minute or more.
	maxMildProbes = 12
)

// probe repeats something with growing distance for as long as a condition holds.
type probe struct {
	at time.Time // of the next one; zero: the condition does not hold
	n  int       // how many there were
}

func (p *probe) reset() { *p = probe{} }

// due notes that the condition holds and reports whether a probe is due.
func (p *probe) due(now time.Time, first time.Duration) bool {
	if p.at.IsZero() {
		p.at = now.Add(p.pause(first))
		return false
	}
	if now.Before(p.at) {
		return false
	}
	p.n++
	p.at = now.Add(p.pause(first))
	return true
}

func (p *probe) pause(first time.Duration) time.Duration {
	return min(first<<min(p.n, 13), maxProbe)
}

// probeWindow asks a peer whose window is closed whether it still is; the update may have
// been lost (RFC 9293 section 3.8.6.1, at connection level). c.mu is held.
func (c *Conn) probeWindow(now time.Time) {
	closed := c.tx.next.Less(c.tx.buf.End()) && c.tx.edge.LessEq(c.tx.next)
	if !closed || len(c.tx.reinject) > 0 || c.shared.SndUna.Less(c.tx.next) {
		c.tx.window.reset()
		return
	}
	if !c.tx.window.due(now, minWindowProbe) {
		return
	}
	c.host.mib.Add(mib.WinProbe)
	for _, s := range c.subs {
		if s.isUsable() {
			s.SendProbe(now)
		}
	}
}

// probeDataAck sends the first bytes without DATA_ACK again when every subflow has had its
// ACK for them: a middlebox may have acknowledged them, the peer may have dropped them
// (8684-3.3.6-03), or, as Linux does while its reader is busy, moved them on late and sent
// no ACK for that. Pure ACKs would not do: Linux answers one in 500 ms.
//
// A proxy that acknowledges early has them under way still, and what is sent again is a
// burden there: so another subflow is preferred that is no backup, twice the usual lag is
// waited for, and the time between probes grows until a DATA_ACK comes for bytes that no probe
// has helped. c.mu is held.
func (c *Conn) probeDataAck(now time.Time) {
	p := &c.tx.dataAck
	if !c.dataAckLags() {
		p.at = time.Time{}
		return
	}
	if !p.due(now, max(minDataAckProbe, 2*c.tx.dataLag)) {
		return
	}
	if s := c.only(); s != nil && !s.MayRepeat(c.tx.mildProbes >= maxMildProbes) {
		c.probeMildly(now, s)
		return
	}
	size := min(dataAckProbeSize<<min(p.n-1, 6), maxDataAckProbe)
	n := int(min(c.tx.next.Sub(c.shared.SndUna), int64(size)))
	r := reinjection{dsn: c.shared.SndUna, n: n}
	for _, s := range c.subs {
		if holder := c.tx.placed.newest(r.dsn).sub; s.ID != holder && s.works() && !s.isBackup() {
			r.from = holder
		}
	}
	c.tx.probedAt = now
	c.tx.reinject = append(c.tx.reinject, r)
	c.push(now)
	c.runSenders(now)
}

// probeMildly asks for the DATA_ACK by an ACK that wants an answer. If the answers never have
// one the path removes options (8684-3.7-05).
func (c *Conn) probeMildly(now time.Time, s *sub) {
	if c.tx.mildProbes++; c.tx.mildProbes <= maxMildProbes {
		s.SendProbe(now)
		return
	}
	c.tx.mildProbes = 0
	c.host.mib.Add(mib.DSSCorruptionReset)
	c.OnReset(now, s.Subflow, &subflow.ResetError{Reason: option.ReasonMiddlebox, Text: "no DATA_ACK any more"})
}

// noteDataAck lets go of what is acknowledged up to ack. If no probe was sent since the last
// of it was placed, for the first time, that tells how long a DATA_ACK takes; else it is not
// known what it answers.
func (c *Conn) noteDataAck(now time.Time, ack seq.DSN) {
	last, ok := c.tx.placed.ack(ack)
	c.tx.dataAck.at = time.Time{}
	if !ok || last.again || !last.at.After(c.tx.probedAt) {
		return
	}
	c.tx.dataAck.n = 0
	for _, s := range c.subs {
		if s.ID != last.sub || s.Sender() == nil {
			continue
		}
		lag := max(0, now.Sub(last.at)-s.Sender().Snapshot().SRTT)
		c.tx.dataLag = max(lag, c.tx.dataLag-(c.tx.dataLag-lag)/8)
	}
}

// dataAckLags reports whether the subflows have nothing left to do for bytes that wait for
// their DATA_ACK.
func (c *Conn) dataAckLags() bool {
	if c.shared.Mode != subflow.MPTCP || len(c.tx.reinject) > 0 || !c.shared.SndUna.Less(c.tx.next) {
		return false
	}
	for _, s := range c.subs {
		// What a stale subflow holds has been sent elsewhere.
		if s.isUsable() && s.Sender().Queued() > 0 && !(s.stale && c.hasOther(s)) {
			return false
		}
	}
	return true
}

// only is the subflow that is usable, if there is just one.
func (c *Conn) only() *sub {
	var only *sub
	for _, s := range c.subs {
		if s.isUsable() {
			if only != nil {
				return nil
			}
			only = s
		}
	}
	return only
}
