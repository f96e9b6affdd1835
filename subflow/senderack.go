package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/subflow/congestion"
)

// maxSACKBlocks is the number of blocks that fit into a TCP header; more are ignored.
const maxSACKBlocks = 4

// SACKBlock is a block of the SACK option: absolute sequence numbers from Start up to,
// and without, End (RFC 2018 section 3).
type SACKBlock struct{ Start, End uint32 }

// Ack is what a segment of the peer says about our data. All of it is the peer's word and
// is checked.
type Ack struct {
	// Seq is the acknowledgement number. The owner of our FIN takes its sequence number
	// off before: an ACK beyond Sender.SentEnd is ignored.
	Seq uint32
	// Window is the window in bytes, already scaled.
	Window int
	// SACK is the blocks in the order of the option; the first may be a DSACK (RFC 2883).
	SACK []SACKBlock
	// Signal: the segment carries an MPTCP option other than DSS, so it is no duplicate ACK
	// either (8684-3-01).
	Signal bool
	// HasData: the segment carries payload, so it is no duplicate ACK.
	HasData bool
	// HasTS: the segment has timestamps (RFC 7323) and TSEcr is the echo.
	HasTS bool
	TSEcr uint32
}

// AckResult is what an ACK changed. Counts are payload bytes.
type AckResult struct {
	// Delivered is newly known to be at the peer, Acked newly acknowledged cumulatively, Lost
	// deemed lost since the last ACK.
	Delivered, Acked, Lost int
	// Longest is the longest wire segment of what was delivered.
	Longest int
	// TailLost: a tail loss probe has shown that a segment was lost for which nothing else would have told, or
	// its ACK.
	TailLost bool
	// WindowChanged: the right edge of the peer's window moved.
	WindowChanged bool
}

// ackWork is the state of processing one ACK.
type ackWork struct {
	now           time.Time
	ack           *Ack
	priorInFlight int
	priorUna      uint64
	delivered     int
	longest       int
	// rtt is that of the newest record that was sent once and is now delivered.
	rtt     time.Duration
	rttSent time.Time
	// rttDelivered is what rate.delivered was when that record was sent.
	rttDelivered uint64
	// echoRTT is that of a transmission which the ACK echoes although the record was sent again since; 0 if there is none. It
	// is up to 2 ms too long, as timestamps are no finer. Without it a round trip that has become longer than the
	// retransmission timeout would stay unknown, since everything is sent again before its ACK comes. It counts for no more
	// than that timeout: a first ACK may have been lost, and what is echoed is as old as the outage then.
	echoRTT time.Duration
	// filled: the left edge moved over something that was sent again. What lies behind it has
	// waited at the peer for that, and its RTT says nothing.
	filled bool
	// rackSent and rackEnd name the newest transmission that is now delivered.
	rackSent time.Time
	rackEnd  uint64
	// originalAcked: something that the timer deemed lost was delivered without being
	// sent again.
	originalAcked bool
	// earlyEnd is the end of a record whose ACK came too soon after a retransmission to be
	// for that, dsackEnd that of the run of a DSACK; 0 if there is none.
	earlyEnd, dsackEnd uint64
	tailLost           bool
}

// TooOld reports whether an acknowledgment lies so far back that no honest segment which is still
// under way has it: further than the peer's window ever reached (RFC 5961 section 5.2), and further
// than a proxy that acknowledges in the peer's stead may have run ahead of it.
func (s *Sender) TooOld(ack uint32) bool {
	return s.offsetOf(ack) < int64(s.una)-int64(max(s.maxWindow, staleSpan))
}

// OnAck processes the acknowledgement, SACK blocks and window of a segment of the peer,
// whether it carries data or not. Call Run after.
func (s *Sender) OnAck(now time.Time, a *Ack) AckResult {
	ack := s.offsetOf(a.Seq)
	if s.closed || ack > int64(s.nxt) || ack < 0 || ack < int64(s.una)-int64(s.maxWindow) {
		return AckResult{}
	}
	w := &s.work
	*w = ackWork{now: now, ack: a, priorInFlight: s.board.inFlight, priorUna: s.una}
	current := ack >= int64(s.una)
	if current {
		s.ackTo(w, uint64(ack))
	}
	s.readSACK(w, uint64(ack))
	s.estimate(w)

	s.undoIfSpurious(now, w)
	s.endEpisode(now)
	s.detectLosses(now)
	s.recoverWithoutSACK(w)
	s.reactToProbe(w)

	res := AckResult{Delivered: w.delivered, Longest: w.longest, Acked: int(s.una - w.priorUna), Lost: s.lostSinceSample, TailLost: w.tailLost}
	s.tellController(w)
	if current {
		res.WindowChanged = s.updateWindow(now, max(a.Window, 0))
	}
	s.restartTimers(w)
	return res
}

// ackTo moves the left edge.
func (s *Sender) ackTo(w *ackWork, ack uint64) {
	b := &s.board
	few := b.sackedBytes == 0 && int(ack-s.una) <= 2*s.mss
	var oldest time.Time
	for b.recs.len() > 0 && b.recs.at(0).off < ack {
		r := b.recs.at(0)
		if r.end() > ack {
			b.split(0, ack)
		}
		if few = few && !r.retransmitted(); few {
			s.learnDelay(w.now, r, ack, oldest)
		}
		oldest = earliest(oldest, r.sent)
		w.filled = w.filled || r.state != sacked && r.retransmitted()
		s.deliver(w, r, r.off == s.una)
		b.dropFirst()
	}
	s.una = ack
	s.queue.ackTo(ack)
}

// learnDelay learns from an ACK for two segments at most how long the peer holds ACKs back. r is one of what it
// acknowledges, oldest is when the one before left, if there is one.
func (s *Sender) learnDelay(now time.Time, r *record, ack uint64, oldest time.Time) {
	switch {
	case r.end() != ack:
	case !oldest.IsZero():
		s.tlp.atLeast(r.sent.Sub(oldest)) // the ACK has waited for r
	case r.off == s.una && ack == s.nxt && r.n <= s.mss:
		s.tlp.observeDelay(now.Sub(r.sent) - s.rtt.srtt)
	}
}

// readSACK processes the SACK blocks, of an ACK that may be old.
func (s *Sender) readSACK(w *ackWork, ack uint64) {
	blocks := w.ack.SACK
	blocks = blocks[:min(len(blocks), maxSACKBlocks)]
	for i, blk := range blocks {
		from, to := s.offsetOf(blk.Start), s.offsetOf(blk.End)
		if from < 0 || from >= to || to > int64(s.nxt) {
			continue
		}
		if i == 0 && (to <= int64(ack) || len(blocks) > 1 && s.within(from, to, blocks[1])) {
			s.readDSACK(w, uint64(from), uint64(to))
			continue
		}
		if to > int64(s.una) {
			s.sackSeen = true
			s.sack(w, uint64(max(from, int64(s.una))), uint64(to), i == 0)
		}
	}
}

func (s *Sender) within(from, to int64, blk SACKBlock) bool {
	return from >= s.offsetOf(blk.Start) && to <= s.offsetOf(blk.End)
}

// readDSACK notes that the peer got a run twice.
func (s *Sender) readDSACK(w *ackWork, from, to uint64) {
	s.stats.DSACKs++
	s.sackSeen = true
	w.dsackEnd = to
	s.settleDSACK(from, to)
	if !s.tlp.again || to != s.tlp.end { // a probe says nothing about reordering
		s.rack.dsack(s.una, s.nxt)
	}
}

// sack marks the whole wire segments of a run as received. first says that it is the
// option's first block, which tells of the latest arrival.
func (s *Sender) sack(w *ackWork, from, to uint64, first bool) {
	b := &s.board
	for i := b.find(from); i < b.recs.len() && b.recs.at(i).off < to; i++ {
		r := b.recs.at(i)
		lo, hi := r.firstBoundaryFrom(from), r.lastBoundaryTo(to)
		if r.state == sacked || lo >= hi {
			continue
		}
		if lo > r.off {
			b.split(i, lo)
			i++
			r = b.recs.at(i)
		}
		if hi < r.end() {
			b.split(i, hi)
		}
		s.deliver(w, r, first)
		b.set(r, sacked)
		i = b.mergeSacked(i)
	}
}

// deliver notes that record r is at the peer. arrived says that the ACK was caused by it,
// rather than telling of it late.
func (s *Sender) deliver(w *ackWork, r *record, arrived bool) {
	if r.state == sacked {
		return
	}
	w.delivered += r.n
	w.longest = max(w.longest, min(r.n, r.mss))
	early := r.retransmitted() && s.tooSoon(w, r)
	if !early && (w.rackEnd == 0 || sentAfter(r.sent, r.end(), w.rackSent, w.rackEnd)) {
		w.rackSent, w.rackEnd = r.sent, r.end()
	}
	switch {
	case early:
		w.earlyEnd = r.end()
		s.noteOrder(w.now, r.before, r.end())
		if s.echoesEarlier(w, r) {
			w.echoRTT = min(w.now.Sub(r.sent)+time.Duration(r.tsVal-w.ack.TSEcr+1)*time.Millisecond, s.rtt.rto())
		}
	case !r.retransmitted():
		if w.rtt == 0 || r.sent.After(w.rttSent) {
			w.rtt, w.rttSent, w.rttDelivered = max(w.now.Sub(r.sent), 1), r.sent, r.rate.delivered
		}
		if arrived {
			s.noteOrder(w.now, r.sent, r.end())
		}
	}
	unneeded := r.state == lost && !r.retransmitted()
	if unneeded && r.episode == s.episode.id {
		w.originalAcked = true
	}
	s.settle(r, early || unneeded)
	s.rate.deliver(w.now, r, early)
}

// tooSoon reports whether the ACK of r, which was sent again, is for an earlier
// transmission: its answer is there in less than a round trip (RFC 8985 section 6.2), or
// echoes an earlier timestamp (RFC 3522).
func (s *Sender) tooSoon(w *ackWork, r *record) bool {
	minRTT := s.rtt.minRTT()
	return w.now.Sub(r.sent) < minRTT-minRTT/8 || s.echoesEarlier(w, r)
}

// echoesEarlier reports whether the ACK of r, which was sent again, echoes an earlier transmission. Only the one that moves
// the left edge over r does for sure.
func (s *Sender) echoesEarlier(w *ackWork, r *record) bool {
	return r.off == s.una && w.ack.HasTS && r.tsVal != 0 && int32(w.ack.TSEcr-r.tsVal) < 0 &&
		s.offsetOf(w.ack.Seq) >= int64(r.end())
}

// noteOrder looks whether something sent later arrived before.
func (s *Sender) noteOrder(now, sent time.Time, end uint64) {
	if sentAfter(s.rack.sent, s.rack.end, sent, end) {
		s.rack.late(now.Sub(sent))
	}
}

// estimate updates RTT, RACK and the state of delivery.
func (s *Sender) estimate(w *ackWork) {
	switch {
	case w.filled:
		w.rtt = w.echoRTT
	case w.rtt > 0:
		s.rtt.carry(int(s.rate.delivered - w.rttDelivered))
	}
	if w.rtt > 0 {
		s.rtt.add(w.now, w.rtt)
	}
	if w.rackEnd != 0 {
		s.tlp.sampled = true
		s.rack.delivered(w.now, w.rackSent, w.rackEnd)
	}
}

// recoverWithoutSACK is what is left of RFC 6582 for a peer that cannot send a SACK block:
// the third duplicate ACK, and each ACK for a part during recovery, mark one segment.
func (s *Sender) recoverWithoutSACK(w *ackWork) {
	advanced := s.una != w.priorUna
	duplicate := !advanced && !w.ack.HasData && !w.ack.Signal && s.board.inFlight > 0 &&
		s.offsetOf(w.ack.Seq) == int64(s.una) && s.una+uint64(max(w.ack.Window, 0)) == s.edge
	switch {
	case advanced:
		s.dupAcks = 0
	case duplicate:
		s.dupAcks++
	}
	if !s.cfg.NoSACK || s.sackSeen || s.board.recs.len() == 0 {
		return
	}
	partial := advanced && s.episode.kind == lossEpisode
	third := duplicate && s.dupAcks == dupThresh && s.episode.kind == noEpisode
	if r := s.board.recs.at(0); (partial || third) && r.state == inFlight && !r.retransmitted() {
		s.cutFirst()
		s.markLost(w.now, r)
		s.reportLosses(w.now, r.n)
	}
}

// reactToProbe treats a loss that a tail loss probe has repaired as an episode of its own.
func (s *Sender) reactToProbe(w *ackWork) {
	if s.endProbe(w) {
		s.countLost(w.now, s.tlp.size)
		s.cc.OnLoss(w.now, s.board.inFlight, s.mss)
		s.cc.OnRecovered(w.now)
	}
}

func (s *Sender) tellController(w *ackWork) {
	rate, appLimited, prior := s.rate.sample(s.rtt.minRTT())
	if w.delivered == 0 && s.lostSinceSample == 0 {
		return
	}
	s.sample = congestion.Sample{
		Now:            w.now,
		Acked:          w.delivered,
		Lost:           s.lostSinceSample,
		PriorInFlight:  w.priorInFlight,
		InFlight:       s.board.inFlight,
		RTT:            w.rtt,
		SRTT:           s.rtt.srtt,
		MinRTT:         s.rtt.minRTT(),
		DeliveryRate:   rate,
		AppLimited:     appLimited,
		Delivered:      s.rate.delivered,
		PriorDelivered: prior,
		InRecovery:     s.episode.kind != noEpisode,
		CwndLimited:    w.priorUna < s.cwndLimitedTo,
	}
	s.lostSinceSample = 0
	s.cc.OnAck(&s.sample)
}

// updateWindow takes the peer's window and reports whether its edge moved.
func (s *Sender) updateWindow(now time.Time, window int) bool {
	wasClosed, was := s.windowClosed(), s.edge
	s.edge = s.una + uint64(window)
	s.maxWindow = max(s.maxWindow, window)
	if s.rtx.probes > 0 {
		s.lastProgress = now // the peer answers our probes
	}
	s.rtx.unanswered = 0
	if wasClosed && !s.windowClosed() {
		s.reopen(now)
	}
	return s.edge != was
}

// reopen ends the probing of a closed window.
func (s *Sender) reopen(now time.Time) {
	probed := s.rtx.probes > 0
	s.rtx.probes = 0
	if s.una == s.nxt {
		s.rtx.base = time.Time{}
		return
	}
	s.rtx.base = now
	if first := s.board.recs.at(0); probed && first.state == inFlight {
		// The probe was refused, which is no sign of congestion: send it again at once.
		s.board.set(first, lost)
	}
}

// restartTimers after progress (RFC 6298 section 5.3; RFC 8985 section 7.2). A SACK counts as
// progress: while they come in RACK finds what is lost.
func (s *Sender) restartTimers(w *ackWork) {
	if w.delivered == 0 && s.una == w.priorUna {
		return
	}
	s.lastProgress = w.now
	s.rtx.backoffs = 0
	s.rtx.base = w.now
	if s.una == s.nxt {
		s.rtx.base = time.Time{}
	}
	s.scheduleProbe(w.now)
}
