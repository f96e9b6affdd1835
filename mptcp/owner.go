package mptcp

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

// maxHoles bounds the gaps in the data sequence space: a peer with a few subflows has a few
// for each, and one that makes them on purpose shall not make us keep and search many.
const maxHoles = 1 << 16

var errTooManyHoles = errors.New("too many gaps in the peer's data")

var errClosedByPeer = errors.New("closed by the peer in mid-stream")

// OnTCPEstablished implements subflow.Owner.
func (c *Conn) OnTCPEstablished(now time.Time, f *subflow.Subflow) {
	s := c.byFlow(f)
	s.readPos, s.hasPos = s.ReadStart(), true
	s.giveUpAt = time.Time{}
	c.shared.Joined = c.shared.Joined || f.Kind == subflow.Join
	if f.Kind == subflow.Join && f.Role == subflow.Opener {
		s.thirdAt = now.Add(thirdRTO)
	}
}

// OnUsable implements subflow.Owner.
func (c *Conn) OnUsable(now time.Time, f *subflow.Subflow) {
	s := c.byFlow(f)
	s.thirdAt = time.Time{}
	if f.Role == subflow.Responder && c.liveSubs() > c.host.cfg.MaxSubflows {
		// Others have completed their handshakes since its SYN came.
		c.host.mib.Add(mib.MPJoinRejected)
		c.OnReset(now, f, &subflow.ResetError{Reason: option.ReasonProhibited, Transient: true, Text: "Config.MaxSubflows reached"})
		return
	}
	s.settle()
	c.logUp(s)
	s.upAt = now
	if l := c.byAddrID(s.LocalID); l != nil {
		l.addrWorks(now)
	}
	c.breakAt = time.Time{}
	s.startKeepAlive(now)
	if c.phase == finished {
		c.sayLastWord(s)
	}
	if f.Kind == subflow.Join {
		if f.Role == subflow.Responder {
			c.host.mib.Add(mib.MPJoinAckRx)
		}
		c.takePlace(s)
		c.tell(s.upEvent())
		s.instead = replacement{}
		return
	}
	if f.Role == subflow.Opener {
		c.learnBlackhole(now, f)
	}
	c.rx.first, c.rx.read, c.shared.Advertised = c.shared.RcvNxt, c.shared.RcvNxt, c.shared.RcvNxt
	if c.phase == handshaking {
		c.phase = open
		close(c.dialed)
	}
	c.tx.edge = c.tx.edge.Max(c.shared.SndUna.Add(f.PeerWindow()))
	c.wake()
}

// OnMapped implements subflow.Owner.
func (c *Conn) OnMapped(now time.Time, f *subflow.Subflow, dsn seq.DSN, n int) {
	if c.phase == fastClosing {
		return // no data is accepted any more (RFC 8684 section 3.5)
	}
	c.noteAnswer(now, f, n)
	end := dsn.Add(n)
	if dsn.Less(c.shared.RcvNxt) || c.rx.got.Len() > 0 {
		c.noteCopies(f, dsn, end)
	}
	if c.shared.RcvNxt.Less(dsn) {
		if c.rx.got.Len() == 0 {
			c.rx.movedAt = now
		}
		if c.rx.got.Add(dsn, end); c.rx.got.Len() > maxHoles {
			c.fail(errTooManyHoles)
		}
		return
	}
	if end.LessEq(c.shared.RcvNxt) {
		return // came twice
	}
	before := c.shared.RcvNxt
	c.shared.RcvNxt = end
	if c.rx.got.Len() > 0 {
		c.shared.RcvNxt = c.rx.got.ContiguousFrom(end)
		c.rx.got.TrimBelow(c.shared.RcvNxt)
	}
	c.rx.movedAt = now
	c.rx.flow.add(now, int(c.shared.RcvNxt.Sub(before)))
	c.checkDataFin()
	c.arrived()
}

// arrived: bytes, or the end of the stream, can be read.
func (c *Conn) arrived() {
	if c.rx.closed {
		c.drainSoon()
	}
	c.rx.cond.Broadcast()
}

// OnDataFin implements subflow.Owner.
func (c *Conn) OnDataFin(_ time.Time, _ *subflow.Subflow, dsn seq.DSN) {
	if c.phase == fastClosing {
		return
	}
	c.rx.ackDue = true
	if c.rx.finKnown || dsn.Less(c.shared.RcvNxt) {
		return // again, or nonsense
	}
	c.rx.fin, c.rx.finKnown = dsn, true
	c.checkDataFin()
}

// checkDataFin takes the peer's DATA_FIN when all before it has come (8684-3.3.3-04).
func (c *Conn) checkDataFin() {
	if !c.rx.finKnown || c.rx.eof || c.shared.RcvNxt != c.rx.fin {
		return
	}
	c.shared.RcvNxt = c.rx.fin.Add(1)
	c.rx.eof, c.rx.ackDue = true, true
	c.logf("peer's stream has ended", nil)
	c.arrived()
	c.checkFinished()
}

// OnPeerFin implements subflow.Owner.
func (c *Conn) OnPeerFin(now time.Time, f *subflow.Subflow) {
	s := c.byFlow(f)
	if s == nil || c.phase == fastClosing {
		return
	}
	if c.neverAnswered(s) {
		if f.FallBack(now, "FIN without any DSS before"); s.down {
			return
		}
	}
	if s.Plain() {
		c.rx.eof = true
		c.logf("peer's stream has ended", s)
		c.arrived()
		c.checkFinished()
		return
	}
	// A FIN ends its subflow only (8684-3.3.3-01); what it carries for us goes elsewhere.
	if c.phase == open {
		f.SetClosing()
		c.reinjectFrom(s.ID)
	}
	c.act(func() { s.closeWrite() })
}

// OnOption implements subflow.Owner.
func (c *Conn) OnOption(now time.Time, f *subflow.Subflow, o option.Option) {
	switch o := o.(type) {
	case option.FastClose:
		c.fastCloseIn(f, o)
	case option.AddAddr:
		c.addAddrIn(f, o)
	case option.RemoveAddr:
		c.removeAddrIn(now, o)
	case option.Prio:
		c.prioIn(f, o)
	case option.Fail:
		c.logf("peer reports a wrong checksum (MP_FAIL)", c.byFlow(f), slog.Uint64("dsn", uint64(o.DSN)))
	}
}

// OnReset implements subflow.Owner.
func (c *Conn) OnReset(_ time.Time, f *subflow.Subflow, why *subflow.ResetError) {
	s := c.byFlow(f)
	if s == nil {
		return
	}
	s.SetResetOption(option.Reset{Reason: why.Reason, Transient: why.Transient})
	c.resetSub(s, why)
}

// resetSub ends a subflow with a RST. What it has acknowledged at the data level does not
// come again, so the endpoint is aborted only when that has been read; the peer is told at
// once. c.mu is held.
func (c *Conn) resetSub(s *sub, why error) {
	c.subDown(s, why)
	switch {
	case s.ep == nil:
		s.abortLater = true
		s.SendReset(c.host.clock.Now())
		c.dropEndpoint(s)
	case s.Sender() == nil || slices.Contains(c.subs, s):
		// Nor does an endpoint send a RST whose SYN is not answered (8684-3.2-12, -13).
		s.SendReset(c.host.clock.Now())
	}
}

// OnPathMTU implements subflow.Owner.
func (c *Conn) OnPathMTU(_ time.Time, f *subflow.Subflow) {
	c.logf("long segments vanish on this path", c.byFlow(f), slog.Int("mtu", f.PathMTU()))
}
