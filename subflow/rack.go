package subflow

import "time"

// reoPersist is the number of recoveries for which a reordering window that was widened
// stays so (RFC 8985 section 6.2).
const reoPersist = 16

// rack is the state of RACK loss detection (RFC 8985): what was sent before something that
// has been delivered, and long enough, is lost. The Sender owns it.
type rack struct {
	// The transmission that left last of all delivered, and how long it took.
	sent time.Time
	end  uint64
	rtt  time.Duration
	// at is when the oldest record that may still be reordered is deemed lost; zero: there is
	// none.
	at time.Time

	// reordering was seen on this path.
	reordering bool
	// mult widens the window by minRTT/4 for each round with a DSACK. settle widens it
	// to what was seen of late arrivals, so that adaptation does not depend on the peer's
	// DSACKs. persist is for how many more recoveries both hold.
	mult, persist int
	settle        time.Duration
	// dsackRound is the offset whose acknowledgement ends the round of the last DSACK.
	dsackRound uint64
}

// sentAfter orders transmissions: by time, parts of one super-segment by offset.
func sentAfter(a time.Time, aEnd uint64, b time.Time, bEnd uint64) bool {
	if c := a.Compare(b); c != 0 {
		return c > 0
	}
	return aEnd > bEnd
}

// window is how long a record may be late before it is deemed lost.
func (k *rack) window(e *rttEstimator, hurry bool) time.Duration {
	if !k.reordering && hurry {
		return 0
	}
	return min(max(time.Duration(max(k.mult, 1))*e.minRTT()/4, k.settle), e.srtt)
}

// delivered is told of every transmission that was delivered.
func (k *rack) delivered(now time.Time, sent time.Time, end uint64) {
	if sentAfter(sent, end, k.sent, k.end) {
		k.sent, k.end, k.rtt = sent, end, now.Sub(sent)
	}
}

// late is told of an original transmission that was delivered after one that left later:
// it took d.
func (k *rack) late(d time.Duration) {
	k.reordering = true
	k.persist = reoPersist
	lateness := max(d-k.rtt, 0)
	if wanted := lateness + lateness/4; wanted > k.settle {
		k.settle = wanted
	} else {
		// Forget a single large value within some hundred late arrivals.
		k.settle -= (k.settle - wanted) / 256
	}
}

// dsack is told of a duplicate at the peer.
func (k *rack) dsack(una, nxt uint64) {
	if una < k.dsackRound {
		return // one step a round
	}
	k.dsackRound = nxt
	k.mult = min(max(k.mult, 1)+1, 1000)
	k.persist = reoPersist
}

// recovered is told of the end of a loss episode.
func (k *rack) recovered() {
	if k.persist--; k.persist <= 0 {
		k.mult, k.settle = 1, 0
	}
}

// detectLosses marks what RACK deems lost, tells the controller and returns how many
// bytes that is. It also sets the time to look again.
func (s *Sender) detectLosses(now time.Time) int {
	k := &s.rack
	k.at = time.Time{}
	if s.cfg.NoSACK && !s.sackSeen {
		return 0 // cumulative ACKs alone say nothing about what follows a hole
	}
	hurry := s.episode.kind != noEpisode || s.board.sackedBytes >= dupThresh*s.mss
	allowance := k.rtt + k.window(&s.rtt, hurry)
	total := 0
	for r := s.board.flight.first; r != nil && sentAfter(k.sent, k.end, r.sent, r.end()); {
		next := r.next
		if due := r.sent.Add(allowance); due.After(now) {
			k.at = due
			break
		}
		s.markLost(now, r)
		total += r.n
		r = next
	}
	if total > 0 {
		s.reportLosses(now, total)
	}
	return total
}
