package subflow

import "time"

// emitRetry is when to go on after Emit failed.
const emitRetry = time.Millisecond

// Segment is a piece of the stream on its way out, handed to Emit and valid only during
// that call.
type Segment struct {
	// Seq is the absolute TCP sequence number of the first byte.
	Seq uint32
	// Payload is the bytes, Len of them; they must not be changed.
	Payload [][]byte
	Len     int
	// Mapping is that of the whole chunk, which may be longer than the segment: a piece and a
	// retransmission carry the original mapping (8684-3.3.1-01).
	Mapping Mapping
	// Entry is the chunk's place in the queue.
	Entry *Entry
	// Retransmit: the bytes were sent before on this subflow.
	Retransmit bool
	// Push: nothing more is queued behind it.
	Push bool
	// TSVal may be set by Emit to the TSval that it sends (RFC 7323), which helps to tell
	// whether a retransmission was needed. 0 means not known.
	TSVal uint32
}

// Run does what is due now: it fires timers, sends what is lost again and sends new data
// as far as window and pace allow. It returns when it wants to be run again; zero means
// that only Place or OnAck can give it work. It may be called at any time.
func (s *Sender) Run(now time.Time) (next time.Time) {
	if s.closed {
		return time.Time{}
	}
	s.fireTimers(now)
	s.transmit(now)
	s.checkIdle()
	return s.nextWake()
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

func (s *Sender) fireTimers(now time.Time) {
	if due(s.rack.at, now) {
		s.detectLosses(now)
	}
	if due(s.probeTime(), now) {
		s.onProbeTime(now)
	}
	if due(s.rtx.deadline(&s.rtt), now) {
		s.onTimeout(now)
	}
}

// probeTime is when a tail loss probe is due: not after a retransmission timeout
// (RFC 8985 section 7.2).
func (s *Sender) probeTime() time.Time {
	at := s.tlp.at
	if rto := s.rtx.deadline(&s.rtt); !at.IsZero() && !rto.IsZero() && rto.Before(at) {
		return rto
	}
	return at
}

func (s *Sender) nextWake() time.Time {
	var next time.Time
	for _, t := range [...]time.Time{s.rack.at, s.tlp.at, s.rtx.deadline(&s.rtt), s.paceAt} {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// transmit sends what is lost, then what is new.
func (s *Sender) transmit(now time.Time) {
	due := s.paceAt
	s.paceAt = time.Time{}
	for {
		again, n := s.board.lost.first, 0
		if again == nil {
			n = s.sendable()
		}
		if again == nil && n == 0 || again != nil && !s.mayRetransmit(again) {
			break
		}
		rate := s.cc.PacingRate()
		if !s.pacer.ready(now, due, rate) {
			s.paceAt = s.pacer.next(rate)
			break
		}
		var err error
		if again != nil {
			err = s.retransmitSome(now, again)
		} else {
			err = s.sendNew(now, n)
		}
		if err != nil {
			s.paceAt = now.Add(emitRetry)
			break
		}
	}
	if s.cc.Window()-s.board.inFlight < s.mss {
		s.cwndLimitedTo = s.nxt + 1
	}
	if s.Unsent() > 0 && s.una == s.nxt && s.windowClosed() && s.rtx.base.IsZero() {
		s.rtx.base = now // to probe the window
	}
}

// sendable returns how many new bytes may leave in one piece now, as far as windows are
// concerned.
func (s *Sender) sendable() int {
	run := s.unsentRun()
	cwnd := s.cc.Window() - s.board.inFlight
	if s.board.inFlight == 0 {
		cwnd = max(cwnd, s.mss) // no controller may stop a subflow
	}
	wnd := s.windowRoom()
	n := min(run, s.Quantum(), cwnd, wnd)
	switch {
	case n <= 0:
		return 0
	case n == run:
		return n
	case n >= s.mss:
		return n - n%s.mss
	case n == wnd && (s.una == s.nxt || n >= s.maxWindow/2):
		// The peer's window is less than a segment: waiting may be for ever (RFC 9293
		// section 3.8.6.2.1).
		return n
	}
	return 0 // a runt now would be followed by another one
}

// mayRetransmit reports whether the congestion window lets r, or a segment of it, leave.
// The first retransmission of an episode always may: it needs no ACK to make room.
func (s *Sender) mayRetransmit(r *record) bool {
	return s.episode.head || s.board.inFlight == 0 ||
		s.cc.Window()-s.board.inFlight >= min(r.n, r.mss)
}

// retransmitSome sends as much of the lost record r again as may leave in one piece.
func (s *Sender) retransmitSome(now time.Time, r *record) error {
	limit := max(min(s.Quantum(), s.cc.Window()-s.board.inFlight), s.mss)
	// A mapping covers one entry, and so must a segment.
	end := min(r.off+uint64(limit), s.queue.find(r.off).end())
	if end < r.end() {
		cut := r.lastBoundaryTo(end)
		if cut == r.off {
			cut = end
		}
		s.board.split(s.board.find(r.off), cut)
	}
	return s.retransmit(now, r)
}

// sendNew sends the next n bytes for the first time. They must be of one entry.
func (s *Sender) sendNew(now time.Time, n int) error {
	r := s.board.newRecord()
	r.off, r.n, r.base, r.mss = s.nxt, n, s.nxt, s.mss
	r.sent = s.stamp(now)
	s.rate.stamp(r, s.una == s.nxt)
	before := s.board.inFlight
	s.nxt += uint64(n)
	s.losses.count(now, s.segments(n), 0)
	s.board.add(r)
	return s.emit(now, r, before)
}

// retransmit sends record r, at most a super-segment of one entry, again.
func (s *Sender) retransmit(now time.Time, r *record) error {
	before := s.board.inFlight
	r.before, r.sent = r.sent, s.stamp(now)
	if r.state == inFlight {
		before -= r.n // it counts once
	}
	s.board.set(r, inFlight)
	r.base, r.mss = r.off, s.mss
	s.rate.stamp(r, false)
	s.episode.head = false
	again := s.segments(r.n)
	s.stats.Retransmits += uint64(again)
	s.losses.count(now, again, 0)
	s.stats.RetransBytes += uint64(r.n)
	return s.emit(now, r, before)
}

// stamp returns the time of a transmission: now, but later than all before.
func (s *Sender) stamp(now time.Time) time.Time {
	if !now.After(s.lastStamp) {
		now = s.lastStamp.Add(time.Nanosecond)
	}
	s.lastStamp = now
	return now
}

// emit hands r to the way out. If that fails the bytes count as sent: recovery will bring
// them.
func (s *Sender) emit(now time.Time, r *record, before int) error {
	e := s.queue.find(r.off)
	from := int(r.off - e.off)
	seg := &s.segment
	*seg = Segment{
		Seq:        s.seqOf(r.off),
		Payload:    e.data.AppendTo(seg.Payload[:0], from, from+r.n),
		Len:        r.n,
		Mapping:    e.Mapping(),
		Entry:      e,
		Retransmit: r.retransmitted(),
		Push:       r.end() == s.queue.end,
	}
	err := s.cfg.Emit(now, seg)
	r.tsVal = seg.TSVal
	rate := s.cc.PacingRate()
	s.cc.OnSend(now, r.n, before)
	s.pacer.spend(r.n, rate)
	if s.rtx.base.IsZero() {
		s.rtx.base = now
	}
	s.scheduleProbe(now)
	return err
}
