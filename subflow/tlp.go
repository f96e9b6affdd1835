package subflow

import "time"

const (
	// maxAckDelay is how long a peer may hold back an ACK, as long as it has not shown
	// what it does.
	maxAckDelay = 200 * time.Millisecond
	// probeSlack covers timers, here and at the peer.
	probeSlack = 2 * time.Millisecond
)

// tailProbe is the state of tail loss probes (RFC 8985 section 7): when the last
// segments of a flight are lost nothing tells RACK, so something is sent to be told. The
// Sender owns it.
type tailProbe struct {
	at time.Time // when to probe; zero: not at all
	// end is the offset after the outstanding probe, 0 if there is none; again says that
	// it sent old bytes again.
	end   uint64
	again bool
	size  int // of what it sent again, in bytes
	// sampled: an RTT has been measured since the last probe.
	sampled bool
	// ackDelay is how long the peer holds back the ACK of a lone segment; known says that
	// it was measured.
	ackDelay time.Duration
	known    bool
}

// observeDelay learns that the peer held back the ACK of a lone segment for d.
func (t *tailProbe) observeDelay(d time.Duration) {
	if d = max(d, 0); t.known && d < t.ackDelay {
		t.ackDelay -= (t.ackDelay - d) / 8
	}
	t.known = true
	t.atLeast(d)
}

// atLeast learns that the peer may hold back an ACK for d.
func (t *tailProbe) atLeast(d time.Duration) { t.ackDelay = max(t.ackDelay, min(d, maxAckDelay)) }

// expectedDelay is how long the peer is expected to hold back the ACK of a lone segment.
func (t *tailProbe) expectedDelay() time.Duration {
	if !t.known {
		return maxAckDelay
	}
	return t.ackDelay
}

// scheduleProbe sets the time of the next probe after new data or progress
// (RFC 8985 section 7.2).
func (s *Sender) scheduleProbe(now time.Time) {
	s.tlp.at = time.Time{}
	if s.mayProbe() {
		s.tlp.at = now.Add(s.probeTimeout())
	}
}

// mayProbe is wider than RFC 8985, which leaves recovery to the retransmission timer: on
// a lossy path the last retransmission is as easily lost as the last segment. As long as
// RACK has a time to look again, or there is something to send, no probe is needed.
func (s *Sender) mayProbe() bool {
	return s.board.inFlight > 0 && s.board.lostBytes == 0 && s.rack.at.IsZero() &&
		s.episode.kind != timeoutEpisode && s.rtx.backoffs == 0 && !s.windowClosed() &&
		s.una >= s.tlp.end && s.tlp.sampled
}

func (s *Sender) probeTimeout() time.Duration {
	if s.rtt.srtt == 0 {
		return initialRTO
	}
	d := 2*s.rtt.srtt + probeSlack
	if s.board.inFlight <= s.mss {
		d += s.tlp.expectedDelay()
	}
	return d
}

// onProbeTime sends a probe: new data if there is any, else the last segment again
// (RFC 8985 section 7.3). Either may exceed the congestion window by one segment.
func (s *Sender) onProbeTime(now time.Time) {
	s.tlp.at = time.Time{}
	if !s.mayProbe() {
		return
	}
	t := &s.tlp
	t.sampled = false
	s.stats.TLPs++
	if n := min(s.mss, s.unsentRun(), s.windowRoom()); n > 0 {
		s.sendNew(now, n)
		t.again = false
	} else {
		i := s.board.recs.len() - 1
		for s.board.recs.at(i).state != inFlight {
			i--
		}
		if r := s.board.recs.at(i); r.n > r.mss {
			s.board.split(i, r.lastBoundaryTo(r.end()-1))
			i++
		}
		r := s.board.recs.at(i)
		s.retransmit(now, r)
		t.again, t.size = true, r.n
	}
	t.end = s.nxt
	s.rtx.base = now
}

// endProbe looks at what an ACK says about the outstanding probe (RFC 8985 section 7.4) and
// reports whether the probe has repaired a loss that nothing else tells of.
func (s *Sender) endProbe(w *ackWork) bool {
	t := &s.tlp
	switch {
	case t.end == 0 || s.una < t.end:
		return false
	case !t.again, w.dsackEnd == t.end, w.earlyEnd == t.end:
		// An ACK that was only late would have come before the one that tells of the probe.
		w.tailLost = t.again && s.una > w.priorUna
		if t.again && s.board.inFlight == 0 {
			t.ackDelay = maxAckDelay // the peer had the data and was only slow to say so
		}
		t.end = 0
		return false
	case s.una > t.end:
		t.end = 0
		w.tailLost = true
		return s.episode.kind == noEpisode
	}
	return false
}
