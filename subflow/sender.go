package subflow

import (
	"math"
	"time"

	"github.com/gomptcp/gomptcp/internal/rangeset"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/subflow/congestion"
)

const (
	// maxChunk keeps a mapping within the 16 bits of its length.
	maxChunk = 65000
	// minMSS bounds the number of records that a peer can make us keep for each byte.
	minMSS = 88
	// initialSegments is the initial window (RFC 6928).
	initialSegments = 10
	// Chunks are what the pacing rate sends in quantumTime; queueTime of it may wait.
	quantumTime = time.Millisecond
	queueTime   = 2 * time.Millisecond
)

// SenderConfig is what a Sender needs to begin.
type SenderConfig struct {
	// ISS is our initial sequence number: the first payload byte is ISS+1.
	ISS uint32
	// MSS is the payload in bytes of a full wire segment, all options subtracted.
	MSS int
	// MaxBurst is the largest payload in bytes of one Emit (a super-segment). It is MSS on a
	// device without segmentation offload; less counts as MSS.
	MaxBurst int
	// Controller is the subflow's own; Siblings is handed to it.
	Controller congestion.Controller
	Siblings   func([]congestion.Sibling) []congestion.Sibling
	// Now is the present time.
	Now time.Time
	// HandshakeRTT is the round trip of SYN and SYN/ACK, 0 if it was not measured.
	HandshakeRTT time.Duration
	// InitialWindow in bytes; 0 means ten segments.
	InitialWindow int
	// PeerWindow is the peer's window after the handshake in bytes, scaled.
	PeerWindow int
	// NoSACK: the peer did not permit SACK in the handshake (RFC 2018 section 2).
	NoSACK bool
	// Emit sends a segment, in a subflow's own header. It must not call the Sender and must
	// not wait. After an error the segment counts as sent and lost.
	Emit func(now time.Time, s *Segment) error
	// TimedOut, if set, is told of retransmission timeouts before anything is sent again: how
	// many in a row, and the payload of the first segment in question. It may call SetMSS.
	TimedOut func(backoffs, size int)
}

// Sender sends the data of one subflow: it keeps what is placed on it until the
// peer's TCP has acknowledged it, recovers losses (RFC 2018, 6298, 8985), paces, and asks
// its congestion controller for window and rate. It starts no goroutine, sets no timer and
// reads no clock. It is not safe for concurrent use: the connection's lock protects it.
//
// Bytes are counted by 64-bit offsets from the first payload byte; sequence numbers only
// come in through offsetOf and go out through seqOf.
type Sender struct {
	cfg    SenderConfig
	cc     congestion.Controller
	mss    int
	closed bool
	// finished: nothing leaves for the first time any more.
	finished bool

	queue sendQueue
	board scoreboard
	una   uint64 // first offset not acknowledged
	nxt   uint64 // next offset to be sent for the first time
	edge  uint64 // the peer's window ends here
	// maxWindow is the largest window that the peer ever had.
	maxWindow int

	rtt     rttEstimator
	rtx     retransmitTimer
	rack    rack
	tlp     tailProbe
	rate    rateSampler
	losses  lossMeter
	pacer   pacer
	paceAt  time.Time // when the pacer lets more leave; zero: it is not waited for
	episode episode
	// unsettled is what the episode sent again and the peer acknowledged: a DSACK may still
	// tell that it had it before.
	unsettled rangeset.Set[uint64]
	// lostSinceSample counts bytes that the controller has not been told of.
	lostSinceSample int
	// sackSeen: a SACK block has come. Until then duplicate ACKs are counted.
	sackSeen bool
	dupAcks  int
	// cwndLimitedTo: what was sent before this offset filled the congestion window.
	cwndLimitedTo uint64
	// idle: the connection has nothing more to send.
	idle bool

	lastStamp    time.Time // of the newest transmission
	lastProgress time.Time
	stats        SenderCounters

	// Scratch, so that nothing is allocated for each segment or ACK.
	segment Segment
	work    ackWork
	sample  congestion.Sample
}

// NewSender returns the sender of a subflow whose handshake has just ended.
func NewSender(cfg *SenderConfig) *Sender {
	s := &Sender{
		cfg:          *cfg,
		cc:           cfg.Controller,
		mss:          max(cfg.MSS, minMSS),
		maxWindow:    max(cfg.PeerWindow, 0),
		lastStamp:    cfg.Now,
		lastProgress: cfg.Now,
	}
	s.edge = uint64(s.maxWindow)
	s.tlp.sampled = true
	if cfg.HandshakeRTT > 0 {
		s.rtt.add(cfg.Now, cfg.HandshakeRTT)
	}
	window := cfg.InitialWindow
	if window <= 0 {
		window = initialSegments * s.mss
	}
	s.cc.Init(congestion.Params{
		Now:           cfg.Now,
		MSS:           s.mss,
		InitialWindow: window,
		HandshakeRTT:  cfg.HandshakeRTT,
		Siblings:      cfg.Siblings,
	})
	return s
}

// seqOf returns the absolute sequence number of an offset.
func (s *Sender) seqOf(off uint64) uint32 { return s.cfg.ISS + 1 + uint32(off) }

// offsetOf returns the offset nearest to the left edge that has the sequence number. It is
// negative for numbers before the first payload byte.
func (s *Sender) offsetOf(n uint32) int64 {
	return int64(s.una) + int64(int32(n-s.seqOf(s.una)))
}

// Quantum is the preferred size of a chunk now in bytes: what about a millisecond of the
// pacing rate sends, at least two segments and at most a burst, in full segments.
func (s *Sender) Quantum() int {
	burst := max(min(s.cfg.MaxBurst, maxChunk)/s.mss, 1)
	if rate := s.cc.PacingRate(); rate > 0 {
		segments := rate * quantumTime.Seconds() / float64(s.mss)
		burst = int(min(max(segments, 2), float64(burst)))
	}
	return burst * s.mss
}

// Room is the number of bytes that may be placed now: what congestion window and peer's
// window leave after all that is in flight, lost or unsent, in full segments. It is less than
// a segment only when nothing is queued and the peer's window is so small. When nothing
// is queued and that window is closed it is one segment, to probe the window with. On a
// paced subflow only little may wait, so that decisions are made late.
func (s *Sender) Room() int { return s.RoomFor(math.MaxInt) }

// RoomFor is Room for the last rest bytes that wait, at least 1: the end of a message, which is less than a segment, may be placed
// where it fits.
func (s *Sender) RoomFor(rest int) int {
	if s.closed || s.finished {
		return 0
	}
	empty := s.Queued() == 0
	unsent := s.Unsent()
	cwnd := s.cc.Window() - s.board.inFlight - s.board.lostBytes - unsent
	if empty {
		if s.windowClosed() {
			return s.mss
		}
		cwnd = max(cwnd, s.mss)
	}
	room := min(cwnd, s.windowRoom()-unsent)
	if rate := s.cc.PacingRate(); rate > 0 {
		wait := max(2*s.Quantum(), int(min(rate*queueTime.Seconds(), 1<<30)))
		room = min(room, wait-unsent)
	}
	if room < s.mss {
		if empty || room >= rest {
			return max(room, 0)
		}
		return 0
	}
	return room - room%s.mss
}

// Place queues a chunk, which must not be empty nor longer than 65535 bytes, and takes over
// its Span: the reference is released when all its bytes are acknowledged, or by Close. It
// takes more than Room, which then waits. Call Run after.
func (s *Sender) Place(now time.Time, c Chunk) {
	if s.closed || s.finished || c.Data.Len() == 0 {
		c.Data.Release()
		return
	}
	if s.Queued() == 0 {
		s.lastProgress = now
	}
	s.idle = false
	s.queue.push(c)
}

// MarkAppLimited says that the connection has nothing more to send: once the queue is
// empty, delivery rates are lower bounds. Place takes it back.
func (s *Sender) MarkAppLimited() {
	s.idle = true
	s.checkIdle()
}

// checkIdle begins an application-limited phase when nothing waits and the window has
// room.
func (s *Sender) checkIdle() {
	if s.idle && s.Unsent() == 0 && s.board.lostBytes == 0 && s.cc.Window()-s.board.inFlight >= s.mss {
		s.rate.markAppLimited(s.board.inFlight)
	}
}

// SetMSS changes the payload size of a full segment in bytes, for what is sent from now on.
func (s *Sender) SetMSS(mss int) {
	s.mss = max(mss, minMSS)
	s.cc.OnMSS(s.mss)
}

// isInFlight reports whether the byte with the sequence number was sent and is not
// acknowledged.
func (s *Sender) isInFlight(n uint32) bool {
	off := s.offsetOf(n)
	return !s.closed && off >= int64(s.una) && off < int64(s.nxt)
}

// resendLonger queues again, without taking it for congestion, what is in flight from
// sequence number n on, which must be in flight, in longer segments than are sent now.
func (s *Sender) resendLonger(n uint32) {
	off := uint64(s.offsetOf(n))
	b := &s.board
	for i := b.find(off); i < b.recs.len(); i++ {
		r := b.recs.at(i)
		if r.state != inFlight || min(r.n, r.mss) <= s.mss {
			continue
		}
		if r.off < off {
			if cut := r.lastBoundaryTo(off); cut > r.off {
				b.split(i, cut)
				continue
			}
		}
		b.set(r, lost)
	}
}

// Close lets go of all that is queued. The Sender does nothing after; what it has counted
// stays to be read.
func (s *Sender) Close() {
	s.closed = true
	s.queue.ackTo(s.queue.end)
	s.queue.end = s.nxt
	s.board = scoreboard{}
}

// Finish stops new data for good, because a FIN takes the next sequence number: what was
// placed and not yet sent stays behind. What was sent is still retransmitted.
func (s *Sender) Finish() { s.finished = true }

// Blocked reports whether the peer's window is closed on this subflow, which was probed and
// answered so at least once if probed.
func (s *Sender) Blocked(probed bool) bool {
	return s.windowClosed() && (s.rtx.probes > 0 || !probed)
}

// windowClosed reports whether the peer takes nothing at all.
func (s *Sender) windowClosed() bool { return s.edge <= s.una }

// windowRoom is what the peer's window leaves for new bytes.
func (s *Sender) windowRoom() int {
	if s.edge <= s.nxt || s.finished {
		return 0
	}
	return int(s.edge - s.nxt)
}

// unsentRun is the number of unsent bytes in the entry that is to be sent next.
func (s *Sender) unsentRun() int {
	if s.nxt == s.queue.end {
		return 0
	}
	return int(s.queue.find(s.nxt).end() - s.nxt)
}

// SentEnd is the sequence number of the next byte to be sent for the first time.
func (s *Sender) SentEnd() uint32 { return s.seqOf(s.nxt) }

// AckedEnd is the sequence number of the first byte that is not acknowledged.
func (s *Sender) AckedEnd() uint32 { return s.seqOf(s.una) }

// BytesSent is the number of payload bytes sent, each counted once.
func (s *Sender) BytesSent() uint64 { return s.nxt }

// BytesAcked is the number of payload bytes acknowledged cumulatively.
func (s *Sender) BytesAcked() uint64 { return s.una }

// Placed is the number of payload bytes placed, which is the offset of the next one.
func (s *Sender) Placed() uint64 { return s.queue.end }

// Tail is the longest run of bytes that were placed last and have consecutive DSNs: the first
// one's and the one after the last.
func (s *Sender) Tail() (from, to seq.DSN) {
	t := s.queue.tail
	return t.dsn, t.dsn.Add(t.n)
}

// Drained reports whether everything placed is sent and acknowledged.
func (s *Sender) Drained() bool { return s.una == s.queue.end || s.finished && s.una == s.nxt }

// Unsent is the number of bytes placed and not yet sent.
func (s *Sender) Unsent() int {
	if s.finished {
		return 0
	}
	return int(s.queue.end - s.nxt)
}

// InFlight is the number of bytes sent and neither acknowledged, nor SACKed, nor lost.
func (s *Sender) InFlight() int { return s.board.inFlight }

// Queued is the number of bytes placed and not yet cumulatively acknowledged.
func (s *Sender) Queued() int { return int(s.queue.end - s.una) }

// LastProgress is when the peer last acknowledged something new or answered a probe of its
// window, or when the queue was last empty and something was placed.
func (s *Sender) LastProgress() time.Time { return s.lastProgress }

// OldestSent is when the oldest segment left, for the last time, that is not acknowledged cumulatively; zero if there is none.
func (s *Sender) OldestSent() time.Time {
	if s.board.recs.len() == 0 {
		return time.Time{}
	}
	return s.board.recs.at(0).sent
}

// Backoffs is the number of retransmission timeouts, or of probes of a closed window, in a
// row to which the peer has not answered. The last probe does not count yet.
func (s *Sender) Backoffs() int { return max(s.rtx.backoffs, s.rtx.unanswered-1) }
