package congestion

import (
	"slices"
	"time"
)

// bbrModel is what BBR knows about the path (section 4.1 of the draft).
type bbrModel struct {
	bw maxFilter

	// minRTT is the smallest round-trip time of the last ten seconds, 0 if none is known, and
	// minRTTStamp when it was seen.
	minRTT        time.Duration
	minRTTStamp   time.Time
	minRTTExpired bool

	// delivered is Sample.Delivered of the last ACK. A round trip has passed when
	// something is acknowledged that was sent at or after roundEnd.
	delivered  uint64
	roundEnd   uint64
	roundStart bool // the last ACK began a round

	// heldUntil is the count of delivered bytes up to which what is delivered was sent
	// while BBR itself held back (PROBE_RTT): such samples count as application-limited.
	heldUntil uint64

	acks ackAggregation
}

func (m *bbrModel) init(now time.Time, handshakeRTT time.Duration) {
	m.minRTT = handshakeRTT
	m.minRTTStamp = now
	m.acks.restart(now)
}

// update takes in an ACK: rounds and bandwidth.
func (m *bbrModel) update(s *Sample) {
	m.delivered = s.Delivered
	m.roundStart = s.Acked > 0 && s.PriorDelivered >= m.roundEnd
	if m.roundStart {
		m.roundEnd = s.Delivered
		m.bw.nextRound()
	}
	// A sample from a time without data to send is a lower bound only.
	limited := s.AppLimited || s.PriorDelivered < m.heldUntil
	if s.DeliveryRate > 0 && (!limited || s.DeliveryRate >= m.bandwidth()) {
		m.bw.add(s.DeliveryRate)
	}
}

// holdBack notes that what is sent now is less than the path takes.
func (m *bbrModel) holdBack(inFlight int) { m.heldUntil = m.delivered + uint64(max(inFlight, 0)) }

// updateMinRTT takes in a round-trip time, and notes when the old minimum is too old to be
// believed.
func (m *bbrModel) updateMinRTT(s *Sample) {
	m.minRTTExpired = m.minRTT > 0 && s.Now.Sub(m.minRTTStamp) > bbrMinRTTWindow
	if s.RTT > 0 && (m.minRTT == 0 || s.RTT <= m.minRTT || m.minRTTExpired) {
		m.minRTT = s.RTT
		m.minRTTStamp = s.Now
	}
}

// startRound lets a round trip begin with what is sent from now on.
func (m *bbrModel) startRound() { m.roundEnd = m.delivered }

// bandwidth is the greatest delivery rate of the last ten round trips in bytes/s; 0 if not
// measured.
func (m *bbrModel) bandwidth() float64 { return m.bw.max }

// bdp returns gain times the bandwidth-delay product in bytes; 0 if not measured.
func (m *bbrModel) bdp(gain float64) int {
	return int(min(gain*m.bandwidth()*m.minRTT.Seconds(), maxWindow))
}

// maxFilter is the greatest value of the last len(rounds) rounds that had one. Rounds
// without any, in which the application had little to send, do not age what is known.
type maxFilter struct {
	rounds [10]float64
	now    int // index of the present round
	max    float64
}

func (f *maxFilter) add(v float64) {
	f.rounds[f.now] = max(f.rounds[f.now], v)
	f.max = max(f.max, v)
}

// nextRound ends a round and forgets the oldest one.
func (f *maxFilter) nextRound() {
	if f.rounds[f.now] == 0 {
		return
	}
	f.now = (f.now + 1) % len(f.rounds)
	f.rounds[f.now] = 0
	f.max = slices.Max(f.rounds[:])
}

// ackAggregation measures how much more is acknowledged at once than the bandwidth explains:
// links, offloads and receivers coalesce ACKs, and the window has to cover the silence
// between them.
type ackAggregation struct {
	since time.Time // the epoch's begin
	acked int       // bytes acknowledged in it
	// extra is the greatest excess of this and the last period of ackRounds rounds.
	extra  [2]int
	rounds int
}

// ackRounds is the length of a period in round trips.
const ackRounds = 5

// ackAllowanceTime bounds the allowance to so much time at the bandwidth.
const ackAllowanceTime = 100 * time.Millisecond

func (a *ackAggregation) restart(now time.Time) {
	a.since = now
	a.acked = 0
}

func (a *ackAggregation) update(s *Sample, bandwidth float64, roundStart bool, window int) {
	if roundStart {
		a.rounds++
		if a.rounds > ackRounds {
			a.rounds = 0
			a.extra[1], a.extra[0] = a.extra[0], 0
		}
	}
	if s.Acked <= 0 || bandwidth == 0 {
		return
	}
	expected := bandwidth * s.Now.Sub(a.since).Seconds()
	if float64(a.acked) <= expected {
		// The ACKs have come as fast as the bandwidth says: a new epoch begins.
		a.restart(s.Now)
		expected = 0
	}
	a.acked = min(a.acked+s.Acked, maxWindow)
	excess := min(a.acked-int(expected), window)
	a.extra[0] = max(a.extra[0], excess)
}

// allowance is what the window is to have on top, in bytes.
func (a *ackAggregation) allowance(bandwidth float64) int {
	limit := bandwidth * ackAllowanceTime.Seconds()
	return int(min(float64(max(a.extra[0], a.extra[1])), limit))
}
