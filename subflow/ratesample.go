package subflow

import "time"

// rateStamp is the state of delivery when a record left, kept with it until it is
// delivered.
type rateStamp struct {
	delivered   uint64
	deliveredAt time.Time
	firstSentAt time.Time
	appLimited  bool
	lump        uint32 // the number of the lump that was being delivered
}

const (
	// keptLumps is how many lumps are remembered: those of the longest that make up a round trip of 640 ms.
	keptLumps = 64
	// minLump and maxLump bound how long a lump may last.
	minLump, maxLump = 250 * time.Microsecond, 10 * time.Millisecond
)

// lump is what was delivered within an eighth of a round trip. Where ACKs come in one go, because the path or this machine
// has held them up, data leaves while they are being processed: counted from then on, the rest of them would look as if
// the path had delivered it in the round trip that follows.
type lump struct {
	end       time.Time
	delivered uint64 // at the end
}

// rateSampler measures the rate at which data arrives at the peer
// (draft-cheng-iccrg-delivery-rate-estimation). The Sender owns it.
type rateSampler struct {
	delivered   uint64    // bytes delivered, ever
	deliveredAt time.Time // when that count last rose
	firstSentAt time.Time // when the newest delivered record left: the next send interval begins
	// limitedUntil: what left before delivered passes it was limited by the application,
	// not by the network; 0 if it is not.
	limitedUntil uint64
	last         float64 // bytes/s, the newest usable sample

	lumps    [keptLumps]lump // a ring
	lump     uint32          // the number of the present one
	begun    time.Time       // when that began
	lumpTime time.Duration   // how long one may last

	// newest is the record delivered by the present ACK that left last.
	newest struct {
		valid bool
		sent  time.Time
		end   uint64
		stamp rateStamp
	}
}

// stamp is called when a record leaves; idle says that nothing was outstanding.
func (s *rateSampler) stamp(r *record, idle bool) {
	if idle {
		s.firstSentAt, s.deliveredAt = r.sent, r.sent
		s.beginLump(r.sent)
	}
	r.rate = rateStamp{
		delivered:   s.delivered,
		deliveredAt: s.deliveredAt,
		firstSentAt: s.firstSentAt,
		appLimited:  s.limitedUntil != 0,
		lump:        s.lump,
	}
}

// beginLump begins a lump in which nothing was delivered yet.
func (s *rateSampler) beginLump(now time.Time) {
	s.lump++
	s.begun = now
	s.lumps[s.lump%keptLumps] = lump{end: now, delivered: s.delivered}
}

// markAppLimited begins a phase whose samples are lower bounds only: until all that is in
// flight now is delivered.
func (s *rateSampler) markAppLimited(inFlight int) {
	s.limitedUntil = max(s.delivered+uint64(inFlight), 1)
}

// deliver counts r as delivered. An ambiguous record may have been delivered by an
// earlier transmission than its stamp tells of: it gives no sample.
func (s *rateSampler) deliver(now time.Time, r *record, ambiguous bool) {
	if now.Sub(s.begun) > max(s.lumpTime, minLump) {
		s.beginLump(now)
	}
	s.delivered += uint64(r.n)
	s.deliveredAt = now
	l := &s.lumps[s.lump%keptLumps]
	l.end, l.delivered = now, s.delivered
	if ambiguous {
		return
	}
	n := &s.newest
	if !n.valid || sentAfter(r.sent, r.end(), n.sent, n.end) {
		n.valid, n.sent, n.end, n.stamp = true, r.sent, r.end(), r.rate
	}
}

// sample ends an ACK: the rate in bytes/s (0: none), whether the application limited it, and
// what delivered was when the newest delivered record left.
func (s *rateSampler) sample(minRTT time.Duration) (rate float64, appLimited bool, prior uint64) {
	if s.limitedUntil != 0 && s.delivered > s.limitedUntil {
		s.limitedUntil = 0
	}
	n := &s.newest
	if !n.valid {
		return 0, false, 0
	}
	n.valid = false
	s.firstSentAt = n.sent
	sendTime := n.sent.Sub(n.stamp.firstSentAt)
	ackTime := s.deliveredAt.Sub(n.stamp.deliveredAt)
	// The longer of the two intervals: neither a burst of ACKs nor one of sends may make
	// the rate look higher than it is. Below the smallest RTT it is noise.
	interval := max(sendTime, ackTime)
	if interval <= 0 || interval < minRTT {
		return 0, n.stamp.appLimited, n.stamp.delivered
	}
	rate = float64(s.delivered-n.stamp.delivered) / interval.Seconds()
	// Schedulers are shown this: of a short transfer, which may be one lump, it says more.
	if !n.stamp.appLimited || rate > s.last {
		s.last = rate
	}
	s.lumpTime = min(minRTT/8, maxLump)
	if l := &s.lumps[n.stamp.lump%keptLumps]; s.lump-n.stamp.lump < keptLumps && s.deliveredAt.After(l.end) {
		rate = min(rate, float64(s.delivered-l.delivered)/s.deliveredAt.Sub(l.end).Seconds())
	}
	return rate, n.stamp.appLimited, n.stamp.delivered
}
