package mptcp

import (
	"math"
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/sendbuf"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/subflow"
)

// runt is a chunk that is not worth a segment of its own while others are under way.
const runt = 1400

// push places waiting bytes on subflows, first those that have to be sent again, as long
// as the scheduler finds one that may take a chunk. It reports whether it placed any.
func (c *Conn) push(now time.Time) bool {
	placed := false
	for {
		chunk, kind := c.nextChunk(now)
		if chunk.n == 0 {
			return placed
		}
		req := scheduler.Request{
			Now: now, Size: chunk.n, Waiting: int(c.tx.buf.End().Sub(c.tx.next)),
			SendWindow: max(0, int(c.tx.edge.Sub(c.tx.next))), Unacked: int(c.tx.next.Sub(c.shared.SndUna)),
		}
		if kind != fresh {
			req.Reinjection, req.ReinjectionOf, req.Opportunistic = true, c.toAvoid(chunk.from), kind == blocking
		}
		rest := math.MaxInt
		if kind == fresh {
			rest = req.Waiting
		}
		if !c.snapshotPaths(now, rest) {
			return placed
		}
		c.tx.picked = c.sched.Pick(req, c.tx.paths, c.tx.picked[:0])
		n := c.place(now, chunk, kind != fresh)
		if n == 0 {
			return placed
		}
		placed = true
		c.advance(now, chunk, kind, n)
		c.steering.demand.ask(now)
		if c.tx.wide.sent(now, c.tx.next) {
			c.shared.WideDSN = true
		}
	}
}

// toAvoid is the subflow that bytes which subflow id was given shall not be placed on again: id,
// or 0 when there is no other that works. They would wait for one for ever, and all behind
// them too.
func (c *Conn) toAvoid(id uint32) uint32 {
	for _, s := range c.subs {
		if s.ID != id && s.works() {
			return id
		}
	}
	return 0
}

// chunkKind says why bytes are placed.
type chunkKind uint8

const (
	fresh     chunkKind = iota // for the first time
	again                      // they were placed before, and have to be again
	suspected                  // they were placed before, and may not come, see rescue.go
	blocking                   // they were placed before, and hold up the window, see opportunistic.go
)

// nextChunk returns the bytes to be placed next.
func (c *Conn) nextChunk(now time.Time) (reinjection, chunkKind) {
	for len(c.tx.reinject) > 0 {
		r := &c.tx.reinject[0]
		if skip := c.shared.SndUna.Sub(r.dsn); skip > 0 {
			cut := int(min(skip, int64(r.n)))
			r.dsn, r.n = r.dsn.Add(cut), r.n-cut
		}
		if r.n > 0 {
			return *r, again
		}
		c.tx.reinject = c.tx.reinject[1:]
	}
	if r, ok := c.nextRescue(); ok {
		return r, suspected
	}
	unsent, window := c.tx.buf.End().Sub(c.tx.next), c.tx.edge.Sub(c.tx.next)
	if window < runt && window < unsent && c.shared.SndUna.Less(c.tx.next) {
		if r, ok := c.nextBlocking(now); ok {
			return r, blocking
		}
		return reinjection{}, fresh // the window will open further (RFC 9293 section 3.8.6.2.1)
	}
	return reinjection{dsn: c.tx.next, n: int(max(min(unsent, window, sendbuf.BlockSize), 0))}, fresh
}

// snapshotPaths fills tx.paths with the subflows that can take data, of which the last rest bytes wait; it reports
// whether there are any.
func (c *Conn) snapshotPaths(now time.Time, rest int) bool {
	c.tx.paths, c.tx.pathSubs = c.tx.paths[:0], c.tx.pathSubs[:0]
	room := 0
	for _, s := range c.subs {
		if !s.Usable() {
			continue
		}
		st := s.Sender().Snapshot()
		p := scheduler.Path{
			ID: s.ID, Local: s.Local, Remote: s.Remote, Backup: s.RemoteBackup, LocalBackup: s.standsBy(), Stale: s.stale || s.suspect || s.isDoubted(),
			SRTT: st.SRTT, RTTVar: st.RTTVar, MinRTT: st.MinRTT, Carried: st.Carried, Cwnd: st.Cwnd, InFlight: st.InFlight, Unsent: st.Unsent,
			Room: s.Sender().RoomFor(rest), DeliveryRate: st.DeliveryRate, PacingRate: st.PacingRate, MSS: s.MSS(),
			Sent: st.BytesSent, Lost: st.Lost, Retransmits: st.Retransmits, LossRatio: s.Sender().LossRatio(now),
			LastProgress: s.Sender().LastProgress(), OldestSent: s.Sender().OldestSent(),
		}
		room += p.Room
		c.tx.paths = append(c.tx.paths, p)
		c.tx.pathSubs = append(c.tx.pathSubs, s)
	}
	c.avoidBlocked()
	return room > 0
}

// avoidBlocked takes the room for a window probe from subflows whose window is closed, unless
// all are: what is placed there waits while the others go on (8684-3.3.5-03).
func (c *Conn) avoidBlocked() {
	open := slices.ContainsFunc(c.tx.pathSubs, func(s *sub) bool { return !s.stale && !s.Sender().Blocked(false) })
	for i, s := range c.tx.pathSubs {
		if open && s.Sender().Blocked(false) {
			c.tx.paths[i].Room = 0
		}
	}
}

// place gives the chunk to the picked subflows and returns how many of its bytes all of
// them took.
func (c *Conn) place(now time.Time, chunk reinjection, again bool) int {
	n := chunk.n
	for _, i := range c.tx.picked {
		s := c.tx.pathSubs[i].Sender()
		n = min(n, s.Quantum(), c.tx.paths[i].Room)
	}
	if len(c.tx.picked) == 0 || n <= 0 {
		return 0
	}
	for _, i := range c.tx.picked {
		s := c.tx.pathSubs[i]
		s.Sender().Place(now, subflow.Chunk{DSN: chunk.dsn, Data: c.tx.buf.Span(chunk.dsn, n), Reinjection: again})
		c.tx.placed.add(placedChunk{dsn: chunk.dsn, n: n, sub: s.ID, again: again, at: now})
	}
	return n
}

// advance notes that the first n bytes of the chunk were placed.
func (c *Conn) advance(now time.Time, chunk reinjection, kind chunkKind, n int) {
	switch kind {
	case suspected:
		c.rescuedSome(chunk, n)
		return
	case blocking:
		c.repeated(now, chunk, n)
		return
	case again:
		r := &c.tx.reinject[0]
		r.dsn, r.n = r.dsn.Add(n), r.n-n
		c.tx.reinjects += uint64(n)
		return
	}
	c.tx.next = c.tx.next.Add(n)
	c.shared.SndEnd = c.shared.SndEnd.Max(c.tx.next)
}

// OnDataAck implements subflow.Owner.
func (c *Conn) OnDataAck(now time.Time, f *subflow.Subflow, ack seq.DSN, window int) {
	edge := ack.Add(window)
	if fin := c.shared.DataFin; c.shared.DataFinPending && ack == fin.Add(1) {
		c.shared.DataFinPending = false
		c.finConfirmed()
		ack = fin
	} else if c.tx.finAcked {
		ack = ack.Min(c.tx.buf.End())
	}
	if c.tx.edge.Less(edge) {
		c.tx.edge = edge
		c.tx.window.reset()
	}
	ack = ack.Min(c.tx.next) // on plain TCP the same bytes may have been acknowledged twice, see fallback
	if c.shared.SndUna.Less(ack) {
		c.tx.mildProbes = 0
		c.tx.redundancy.earn(int(ack.Sub(c.shared.SndUna)), int(c.tx.next.Sub(c.shared.SndUna)))
		c.shared.SndUna = ack
		c.tx.buf.Ack(ack)
		c.noteDataAck(now, ack)
		c.tx.cond.Broadcast()
	}
}

// waiting reports whether bytes wait to be placed.
func (c *Conn) waiting() bool {
	return len(c.tx.reinject) > 0 || c.tx.next.Less(c.tx.buf.End())
}
