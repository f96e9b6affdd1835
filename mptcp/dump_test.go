package mptcp

import (
	"fmt"
	"strings"
)

// dump tells the state of a connection, for tests that hang.
func (c *Conn) dump() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.host.clock.Now()
	var b strings.Builder
	base, rbase := c.shared.LocalIDSN.Add(1), c.rx.first
	fmt.Fprintf(&b, "%v phase=%d mode=%d err=%v\n", c, c.phase, c.shared.Mode, c.err)
	fmt.Fprintf(&b, " tx una=%d next=%d end=%d edge=%d finAsked=%v finAcked=%v reinject=%v placed=%v timer in %v\n",
		c.shared.SndUna.Sub(base), c.tx.next.Sub(base), c.tx.buf.End().Sub(base), c.tx.edge.Sub(base), c.tx.finAsked, c.tx.finAcked,
		c.tx.reinject, len(c.tx.placed.list)-c.tx.placed.head, c.timerAt.Sub(now))
	fmt.Fprintf(&b, " rx nxt=%d read=%d eof=%v fin=%v reading=%v shown=%d holes=%d aside=%d\n", c.shared.RcvNxt.Sub(rbase), c.rx.read.Sub(rbase), c.rx.eof, c.rx.finKnown, c.rx.reading,
		c.shared.Advertised.Sub(rbase), c.rx.got.Len(), len(c.rx.aside.runs))
	for _, s := range c.subs {
		fmt.Fprintf(&b, "  sub %d %v %v down=%v stale=%v accounted=%d read=%d next in %v head=%+v\n", s.ID, s.key, s.State(), s.down, s.stale,
			s.Accounted().Sub(s.ReadStart()), s.position().Sub(s.ReadStart()), s.next.Sub(now), s.ReadableAt(s.position(), 1<<20))
		if s.Sender() != nil {
			fmt.Fprintf(&b, "    finSent=%v finAcked=%v peerFin=%v ep=%v\n", s.FinSent(), s.FinAcked(), s.PeerFinTaken(), s.ep != nil)
			fmt.Fprintf(&b, "    room=%d quantum=%d %+v\n", s.Sender().Room(), s.Sender().Quantum(), s.Sender().Snapshot())
		}
	}
	return b.String()
}
