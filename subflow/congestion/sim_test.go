package congestion

import (
	"math/rand/v2"
	"time"
)

// path is a bottleneck with a drop-tail queue, a delay each way, and loss behind the queue.
type path struct {
	rate    float64       // bytes/s
	oneWay  time.Duration // without queueing
	queue   int           // bytes
	loss    float64       // probability for a packet
	ackHold time.Duration // ACKs wait for the next multiple of this: coalescing
}

func mbit(n float64) float64 { return n * 1e6 / 8 }

const simMSS = 1400

// simPacket is one transmission of a unit of data.
type simPacket struct {
	unit           int
	sent           time.Time
	ackAt          time.Time // zero: it got lost
	priorDelivered uint64
	deliveredAt    time.Time // of the delivery before it was sent
	firstSent      time.Time
	appLimited     bool
}

// simSender is a minimal sender that always has data and knows of each loss as soon as a
// packet sent later is acknowledged. It has no sequence numbers on a wire; unit is the
// index of a segment's payload.
type simSender struct {
	ctl  Controller
	path path
	rng  *rand.Rand
	now  time.Time

	linkFree time.Time // when the bottleneck has sent all it holds
	flight   []simPacket
	lost     []int // units to send again
	nextUnit int
	done     map[int]bool
	cumAck   int

	inFlight    int
	delivered   uint64
	deliveredAt time.Time
	firstSent   time.Time
	nextSend    time.Time
	srtt        time.Duration
	minRTT      time.Duration
	recovering  bool
	recoverTo   int
	cwndLimited bool
	// limitedUntil is the count of delivered bytes up to which samples are
	// application-limited.
	limitedUntil uint64

	// pause stops the sending of data in a time range, if set.
	pause func(now time.Time) bool
	// everyAck is called after each OnAck, if set.
	everyAck func(s *Sample)

	drops, losses, rtos int
	lastAck             time.Time
}

var simStart = time.Unix(1_700_000_000, 0)

func newSim(ctl Controller, p path, seed uint64) *simSender {
	s := &simSender{ctl: ctl, path: p, rng: rand.New(rand.NewPCG(seed, 7)), now: simStart, done: map[int]bool{}}
	s.linkFree, s.nextSend, s.lastAck, s.deliveredAt = s.now, s.now, s.now, s.now
	ctl.Init(Params{Now: s.now, MSS: simMSS, InitialWindow: 10 * simMSS, HandshakeRTT: 2 * p.oneWay})
	return s
}

// run lets time pass and returns the goodput in bytes/s of what was delivered in it.
func (s *simSender) run(d time.Duration) float64 {
	end := s.now.Add(d)
	before := s.delivered
	for s.now.Before(end) {
		s.step(end)
	}
	return float64(s.delivered-before) / d.Seconds()
}

// step sends what may be sent now and moves time to the next event.
func (s *simSender) step(end time.Time) {
	for s.mayTransmit() {
		s.transmit()
	}
	next := end
	if s.mayLater() && s.nextSend.After(s.now) && s.nextSend.Before(next) {
		next = s.nextSend
	}
	if at, ok := s.nextAck(); ok && at.Before(next) {
		next = at
	}
	if rto := s.lastAck.Add(max(200*time.Millisecond, 2*s.srtt)); s.inFlight > 0 && rto.Before(next) {
		next = rto
		s.now = next
		s.timeout()
		return
	}
	if s.pause != nil && next.Sub(s.now) > time.Millisecond {
		next = s.now.Add(time.Millisecond)
	}
	s.now = next
	s.receive()
}

func (s *simSender) mayLater() bool {
	if s.pause != nil && s.pause(s.now) {
		s.limitedUntil = s.delivered + uint64(s.inFlight)
		return false
	}
	if s.inFlight+simMSS > s.ctl.Window() {
		s.cwndLimited = true
		return s.inFlight == 0
	}
	return true
}

func (s *simSender) mayTransmit() bool { return s.mayLater() && !s.nextSend.After(s.now) }

func (s *simSender) transmit() {
	unit := s.nextUnit
	if len(s.lost) > 0 {
		unit, s.lost = s.lost[0], s.lost[1:]
	} else {
		s.nextUnit++
	}
	if s.inFlight == 0 {
		s.firstSent, s.deliveredAt, s.lastAck = s.now, s.now, s.now
	}
	s.ctl.OnSend(s.now, simMSS, s.inFlight)
	p := simPacket{
		unit: unit, sent: s.now, priorDelivered: s.delivered, deliveredAt: s.deliveredAt, firstSent: s.firstSent,
		appLimited: s.limitedUntil > 0 && s.delivered <= s.limitedUntil,
	}
	s.inFlight += simMSS
	if rate := s.ctl.PacingRate(); rate > 0 {
		s.nextSend = laterOf(s.nextSend, s.now.Add(-time.Millisecond)).Add(seconds(simMSS / rate))
	}
	s.linkFree = laterOf(s.linkFree, s.now)
	if backlog := s.linkFree.Sub(s.now).Seconds() * s.path.rate; int(backlog)+simMSS > s.path.queue {
		s.drops++
	} else {
		s.linkFree = s.linkFree.Add(seconds(simMSS / s.path.rate))
		if s.rng.Float64() < s.path.loss {
			s.losses++
		} else {
			p.ackAt = s.linkFree.Add(2 * s.path.oneWay)
			if hold := s.path.ackHold; hold > 0 {
				p.ackAt = p.ackAt.Truncate(hold).Add(hold)
			}
		}
	}
	s.flight = append(s.flight, p)
}

func (s *simSender) nextAck() (time.Time, bool) {
	for i := range s.flight {
		if !s.flight[i].ackAt.IsZero() {
			return s.flight[i].ackAt, true
		}
	}
	return time.Time{}, false
}

// receive handles all that is acknowledged now as one ACK.
func (s *simSender) receive() {
	newest := -1
	for i := range s.flight {
		if p := &s.flight[i]; !p.ackAt.IsZero() && !p.ackAt.After(s.now) {
			newest = i
		}
	}
	if newest < 0 {
		return
	}
	sample := Sample{Now: s.now, PriorInFlight: s.inFlight, CwndLimited: s.cwndLimited}
	for i := range newest + 1 {
		p := &s.flight[i]
		s.inFlight -= simMSS
		if p.ackAt.IsZero() {
			s.lost = append(s.lost, p.unit)
			sample.Lost += simMSS
			continue
		}
		s.done[p.unit] = true
		sample.Acked += simMSS
	}
	for s.done[s.cumAck] {
		delete(s.done, s.cumAck)
		s.cumAck++
	}
	s.takeSample(&sample, s.flight[newest])
	s.flight = s.flight[newest+1:]
	sample.InFlight = s.inFlight
	if s.recovering && s.cumAck >= s.recoverTo {
		s.recovering = false
		s.ctl.OnRecovered(s.now)
	}
	if sample.Lost > 0 && !s.recovering {
		s.recovering = true
		s.recoverTo = s.nextUnit
		s.ctl.OnLoss(s.now, s.inFlight, sample.Lost)
	}
	sample.InRecovery = s.recovering
	s.ctl.OnAck(&sample)
	s.cwndLimited = false
	if s.everyAck != nil {
		s.everyAck(&sample)
	}
}

// takeSample fills in round-trip time and delivery rate (draft-cheng-iccrg-delivery-rate-
// estimation): the slower of the rates of sending and of delivery.
func (s *simSender) takeSample(sample *Sample, p simPacket) {
	s.delivered += uint64(sample.Acked)
	s.lastAck = s.now
	sample.RTT = s.now.Sub(p.sent)
	if s.minRTT == 0 || sample.RTT < s.minRTT {
		s.minRTT = sample.RTT
	}
	if s.srtt == 0 {
		s.srtt = sample.RTT
	}
	s.srtt += (sample.RTT - s.srtt) / 8
	interval := max(s.now.Sub(p.deliveredAt), p.sent.Sub(p.firstSent))
	if interval >= s.minRTT {
		sample.DeliveryRate = float64(s.delivered-p.priorDelivered) / interval.Seconds()
	}
	s.deliveredAt, s.firstSent = s.now, p.sent
	sample.SRTT, sample.MinRTT = s.srtt, s.minRTT
	sample.Delivered, sample.PriorDelivered = s.delivered, p.priorDelivered
	sample.AppLimited = p.appLimited
}

func (s *simSender) timeout() {
	s.rtos++
	for _, p := range s.flight {
		s.lost = append(s.lost, p.unit)
	}
	s.flight = s.flight[:0]
	s.inFlight = 0
	s.lastAck = s.now
	s.recovering = true
	s.recoverTo = s.nextUnit
	s.ctl.OnRTO(s.now, 0)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
