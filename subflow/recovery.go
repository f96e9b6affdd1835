package subflow

import "time"

// dupThresh is the number of later segments that must have arrived before a segment is
// deemed lost without waiting, on a path without reordering (RFC 5681).
const dupThresh = 3

// maxUnsettled bounds the ranges kept to recognise DSACKs.
const maxUnsettled = 256

// episodeKind says what recovery is under way.
type episodeKind uint8

const (
	// noEpisode: nothing is known to be lost, or only since.
	noEpisode episodeKind = iota
	// lossEpisode: fast recovery.
	lossEpisode
	// timeoutEpisode: recovery after a retransmission timeout.
	timeoutEpisode
)

// episode is a recovery: from the first loss until all that was outstanding then is
// acknowledged. It also keeps the books on whether the losses were real: the episode is
// undone when every byte that it marked lost turns out to have arrived without its
// retransmission. These books stay open after the end, until the next episode begins. The
// Sender owns it.
type episode struct {
	kind episodeKind
	// id counts episodes; it marks the records of this one.
	id uint64
	// until is the offset whose acknowledgement ends it.
	until uint64
	// reported: the controller knows of it.
	reported bool
	// head: nothing has been retransmitted yet, and the first one may exceed the window.
	head bool
	// marked counts bytes marked lost, spurious those of them that were not.
	marked, spurious int
}

func (s *Sender) begin(kind episodeKind) {
	s.episode = episode{kind: kind, id: s.episode.id + 1, until: s.nxt, head: true}
	s.unsettled.Clear()
}

// markLost deems a record in flight lost, which begins an episode if none is under way.
// reportLosses is to be called after the last one.
func (s *Sender) markLost(now time.Time, r *record) {
	if s.episode.kind == noEpisode {
		s.begin(lossEpisode)
	}
	s.board.set(r, lost)
	s.countLost(now, r.n)
	s.claim(r)
}

// countLost counts n bytes deemed lost.
func (s *Sender) countLost(now time.Time, n int) {
	s.stats.Lost += uint64(n)
	s.losses.count(now, 0, s.segments(n))
}

// claim enters a record into the books of the episode.
func (s *Sender) claim(r *record) {
	r.episode = s.episode.id
	s.episode.marked += r.n
}

// reportLosses tells the controller of n bytes just marked lost: at once if they begin
// an episode, and with the next sample.
func (s *Sender) reportLosses(now time.Time, n int) {
	s.lostSinceSample += n
	if s.episode.kind == lossEpisode && !s.episode.reported {
		s.episode.reported = true
		s.cc.OnLoss(now, s.board.inFlight, n)
	}
}

// enterTimeout deems all in flight lost (RFC 6298 section 5; RFC 8985 section 6.3). What the
// peer has SACKed stays so, unless it shows that it took that back.
func (s *Sender) enterTimeout(now time.Time) {
	before := s.board.inFlight
	s.dropReneged()
	if s.episode.kind == timeoutEpisode {
		s.episode.until, s.episode.head = s.nxt, true
	} else {
		s.begin(timeoutEpisode)
	}
	for i := range s.board.recs.len() {
		switch r := s.board.recs.at(i); r.state {
		case inFlight:
			s.markLost(now, r)
		case lost:
			// Move it as well: the list gets into the order of the stream.
			s.board.set(r, lost)
			s.claim(r)
		}
	}
	s.rack.at = time.Time{}
	s.tlp.end = 0
	s.cc.OnRTO(now, before)
}

// dropReneged returns to the lost what the peer must have taken back: a run at the
// first byte not acknowledged cannot be SACKed still (RFC 2018 section 8).
func (s *Sender) dropReneged() {
	if s.board.recs.len() == 0 || s.board.recs.at(0).state != sacked {
		return
	}
	for i := range s.board.recs.len() {
		if r := s.board.recs.at(i); r.state == sacked {
			r.base, r.mss, r.episode = r.off, s.mss, 0
			s.board.set(r, lost)
		}
	}
}

// settle books a record of the episode that was delivered: it was not lost if it was not sent
// again, or too recently for the answer to be to that; else only a DSACK can tell.
func (s *Sender) settle(r *record, original bool) {
	switch {
	case r.episode == 0 || r.episode != s.episode.id:
	case original:
		s.episode.spurious += r.n
	case s.unsettled.Len() < maxUnsettled:
		s.unsettled.Add(r.off, r.end())
	}
}

// settleDSACK books a run of bytes that the peer got twice.
func (s *Sender) settleDSACK(from, to uint64) {
	for i := 0; i < s.unsettled.Len(); i++ {
		r := s.unsettled.Range(i)
		if lo, hi := max(r.Start, from), min(r.End, to); lo < hi {
			s.episode.spurious += int(hi - lo)
		}
	}
	s.unsettled.Sub(from, to)
}

// undoIfSpurious takes the episode back if its losses have all turned out to be none.
func (s *Sender) undoIfSpurious(now time.Time, w *ackWork) {
	e := &s.episode
	// Data sent once and deemed lost by the timer has arrived: the timer was wrong
	// (RFC 5682 section 3). Without SACK it may have waited at the peer for what was lost.
	wrongTimeout := e.kind == timeoutEpisode && w.originalAcked && !s.cfg.NoSACK
	if !wrongTimeout && (e.marked == 0 || e.spurious < e.marked) {
		return
	}
	s.stats.SpuriousRecoveries++
	s.losses.count(now, 0, -s.segments(e.marked))
	e.marked, e.spurious = 0, 0
	s.unsettled.Clear()
	if e.kind == timeoutEpisode {
		s.unmark()
		// What was sent again may not have been what arrived: it proves nothing about the rest.
		s.rack.sent, s.rack.end = time.Time{}, 0
	}
	e.kind = noEpisode
	s.cc.OnUndo(now)
}

// unmark puts all that waits for retransmission back in flight, at its place in the
// order of sending.
func (s *Sender) unmark() {
	b := &s.board
	for r := b.lost.first; r != nil; r = b.lost.first {
		b.leave(r)
		r.state, r.episode = inFlight, 0
		b.inFlight += r.n
		at := b.flight.last
		for at != nil && sentAfter(at.sent, at.end(), r.sent, r.end()) {
			at = at.prev
		}
		b.flight.insertAfter(at, r)
	}
}

// endEpisode ends the episode when all that was outstanding at its beginning is
// acknowledged.
func (s *Sender) endEpisode(now time.Time) {
	e := &s.episode
	if e.kind == noEpisode || s.una < e.until {
		return
	}
	e.kind = noEpisode
	s.rack.recovered()
	s.cc.OnRecovered(now)
	if s.board.lostBytes == 0 {
		return
	}
	// Losses among what was sent since the episode began are another one.
	s.begin(lossEpisode)
	for r := s.board.lost.first; r != nil; r = r.next {
		s.claim(r)
	}
	s.reportLosses(now, 0)
}
