package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
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
		p.at = now.Add(first)
		return false
	}
	if now.Before(p.at) {
		return false
	}
	p.n++
	p.at = now.Add(min(first<<min(p.n, 13), maxProbe))
	return true
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
// no ACK for that. Pure ACKs would not do: Linux answers one in 500 ms. c.mu is held.
func (c *Conn) probeDataAck(now time.Time) {
	if !c.dataAckLags() {
		c.tx.dataAck.at = time.Time{} // OnDataAck begins the count anew
		return
	}
	if !c.tx.dataAck.due(now, minDataAckProbe) {
		return
	}
	size := min(dataAckProbeSize<<min(c.tx.dataAck.n-1, 6), maxDataAckProbe)
	n := int(min(c.tx.next.Sub(c.shared.SndUna), int64(size)))
	c.tx.reinject = append(c.tx.reinject, reinjection{dsn: c.shared.SndUna, n: n})
	c.push(now)
	c.runSenders(now)
}

// dataAckLags reports whether the subflows have nothing left to do for bytes that wait for
// their DATA_ACK.
func (c *Conn) dataAckLags() bool {
	if c.shared.Mode != subflow.MPTCP || len(c.tx.reinject) > 0 || !c.shared.SndUna.Less(c.tx.next) {
		return false
	}
	for _, s := range c.subs {
		if s.isUsable() && s.Sender().Queued() > 0 {
			return false
		}
	}
	return true
}
