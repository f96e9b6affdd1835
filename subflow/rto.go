package subflow

import "time"

const (
	initialRTO = time.Second            // RFC 6298 (2.1)
	minRTO     = 200 * time.Millisecond // below RFC 6298's second, as all stacks do
	maxRTO     = 60 * time.Second       // RFC 6298 (2.5)
	// minRTTWindow is for how long at least a smallest RTT is remembered.
	minRTTWindow = 10 * time.Second
)

// rttEstimator smooths round-trip times (RFC 6298) and remembers the smallest one. The
// Sender owns it.
type rttEstimator struct {
	srtt, rttvar time.Duration // 0: no sample yet
	// carried is how many bytes were delivered in each of the round trips of srtt, smoothed as that is.
	carried int
	// The smallest RTT of the present window and of the one before it.
	min, lastMin time.Duration
	windowStart  time.Time
}

// carry takes in what was delivered in a round trip; add takes in how long that took.
func (e *rttEstimator) carry(bytes int) {
	if e.carried == 0 {
		e.carried = bytes
	}
	e.carried += (bytes - e.carried) / 8
}

func (e *rttEstimator) add(now time.Time, rtt time.Duration) {
	rtt = max(rtt, time.Microsecond)
	if e.srtt == 0 {
		e.srtt, e.rttvar = rtt, rtt/2
		e.min, e.lastMin, e.windowStart = rtt, rtt, now
		return
	}
	e.rttvar += ((e.srtt - rtt).Abs() - e.rttvar) / 4
	e.srtt += (rtt - e.srtt) / 8
	if now.Sub(e.windowStart) >= minRTTWindow {
		e.lastMin, e.min, e.windowStart = e.min, rtt, now
	}
	e.min = min(e.min, rtt)
}

// minRTT is the smallest RTT of the last 10 to 20 s, 0 if there is none.
func (e *rttEstimator) minRTT() time.Duration { return min(e.min, e.lastMin) }

// rto is the retransmission timeout without backoff. The margin over the smoothed RTT is
// at least minRTO: peers delay ACKs, and with a sample for each ACK the variance
// falls too fast to cover that.
func (e *rttEstimator) rto() time.Duration {
	if e.srtt == 0 {
		return initialRTO
	}
	return min(e.srtt+max(4*e.rttvar, minRTO), maxRTO)
}

// retransmitTimer is when to do something about silence: a retransmission timeout
// (RFC 6298 section 5), or a probe of a closed window (RFC 9293 section 3.8.6.1).
// The Sender owns it.
type retransmitTimer struct {
	// base is when the timer was last restarted; zero: not running.
	base time.Time
	// backoffs counts timeouts in a row without progress, probes those of a closed window.
	backoffs, probes int
	// unanswered counts the probes since the peer's last ACK.
	unanswered int
}

// deadline is when the timer fires; zero: it does not run.
func (t *retransmitTimer) deadline(e *rttEstimator) time.Time {
	if t.base.IsZero() {
		return time.Time{}
	}
	d := e.rto()
	for i := t.backoffs + t.probes; i > 0 && d < maxRTO; i-- {
		d *= 2
	}
	return t.base.Add(min(d, maxRTO))
}

// onTimeout does what the retransmission timer asks for.
func (s *Sender) onTimeout(now time.Time) {
	s.rtx.base = now
	s.tlp.at = time.Time{}
	switch {
	case s.windowClosed():
		s.rtx.probes++
		s.rtx.unanswered++
		s.sendWindowProbe(now)
	default:
		s.rtx.backoffs++
		s.stats.RTOs++
		if r := s.board.recs; s.cfg.TimedOut != nil && r.len() > 0 {
			s.cfg.TimedOut(s.rtx.backoffs, min(r.at(0).n, r.at(0).mss))
		}
		s.enterTimeout(now)
	}
}

// RetryNow takes the silence so far for nobody's fault, since the host slept: if something waits for an
// acknowledgment the retransmission timer fires now, and its pauses are short again.
func (s *Sender) RetryNow(now time.Time) {
	if s.closed || s.rtx.base.IsZero() {
		return
	}
	s.rtx.backoffs, s.rtx.probes, s.rtx.unanswered = 0, min(s.rtx.probes, 1), 0
	s.onTimeout(now)
}

// RetryOnce sends again at once what the retransmission timer waits for, since something has come on the path. The
// timer's pauses stay as long as they are until there is progress: whatever comes, the peer may not have got our data.
func (s *Sender) RetryOnce(now time.Time) {
	if s.closed || s.rtx.base.IsZero() {
		return
	}
	backoffs := s.rtx.backoffs
	s.onTimeout(now)
	s.rtx.backoffs = backoffs
}

// sendWindowProbe sends the first byte that is not acknowledged: again, or for the first
// time and beyond the closed window.
func (s *Sender) sendWindowProbe(now time.Time) {
	if s.una == s.nxt {
		if s.Unsent() > 0 {
			s.sendNew(now, 1)
		}
		return
	}
	s.dropReneged()
	s.cutFirst()
	s.retransmit(now, s.board.recs.at(0))
}

// cutFirst makes the first record at most one segment long.
func (s *Sender) cutFirst() {
	r := s.board.recs.at(0)
	if cut := min(r.firstBoundaryFrom(r.off+1), r.off+uint64(s.mss)); cut < r.end() {
		s.board.split(0, cut)
	}
}
