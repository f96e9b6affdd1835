package congestion

import "time"

// bbrMode is the state of BBR's state machine (section 3.4 of the draft).
type bbrMode uint8

const (
	bbrStartup  bbrMode = iota // double the rate until the pipe is full
	bbrDrain                   // take out the queue that this made
	bbrProbeBW                 // cruise, and ask for more now and then
	bbrProbeRTT                // send less for a moment to see the true round-trip time
)

// bbrPhases is the state machine and the two gains it sets.
type bbrPhases struct {
	mode                 bbrMode
	pacingGain, cwndGain float64

	// STARTUP: the pipe is full when full did not grow for fullRounds rounds. strained: meanwhile there was a
	// queue, or a loss. window is the gain of the window as long as there is no queue.
	filled     bool
	full       float64 // bytes/s
	fullRounds int
	strained   bool
	window     float64
	queue      riseDetector

	// PROBE_BW: the index into bbrCycle, and when that phase began.
	cycle      int
	cycleStart time.Time
	random     uint64

	// PROBE_RTT: when it may end; zero until what is in flight has fallen to its window. A
	// round trip has to pass as well.
	probeUntil time.Time
	probeRound bool
}

func (p *bbrPhases) init(now time.Time) {
	// The time of the start spreads the cycles of flows and repeats in virtual time.
	p.random = uint64(now.UnixNano())
	p.startup()
}

// startup begins STARTUP with the window of BBR v3 (draft-ietf-ccwg-bbr): the high gain would end it with
// nearly two bandwidth-delay products of queue.
func (p *bbrPhases) startup() {
	p.window = bbrCwndGain
	p.queue = riseDetector{}
	p.enter(bbrStartup, bbrStartupGain, p.window)
}

func (p *bbrPhases) enter(mode bbrMode, pacing, cwnd float64) {
	p.mode, p.pacingGain, p.cwndGain = mode, pacing, cwnd
}

// advance moves the machine by what an ACK told.
func (p *bbrPhases) advance(s *Sample, m *bbrModel, mss int) {
	p.checkFull(s, m)
	switch p.mode {
	case bbrStartup:
		p.watchQueue(s, m)
		if p.filled {
			p.enter(bbrDrain, bbrDrainGain, p.cwndGain)
		}
	case bbrDrain:
		if s.InFlight <= m.bdp(1) {
			p.enterProbeBW(s.Now)
		}
	case bbrProbeBW:
		if p.cycleOver(s, m, mss) {
			p.setCycle((p.cycle+1)%len(bbrCycle), s.Now)
		}
	}
}

// checkFull looks once each round whether the bandwidth still grows. Rounds in which the
// application held back say nothing.
func (p *bbrPhases) checkFull(s *Sample, m *bbrModel) {
	p.strained = p.strained || s.Lost > 0
	if p.filled || !m.roundStart || s.AppLimited {
		return
	}
	p.strained = p.strained || p.queue.rising
	if bw := m.bandwidth(); bw >= p.full*bbrFullGrowth {
		p.full = bw
		p.fullRounds, p.strained = 0, false
		return
	}
	p.fullRounds++
	if p.fullRounds == bbrFullRounds && !p.strained && p.window < bbrHighGain {
		// Nothing queues: it is ACKs held back that the window is too small for.
		p.window = bbrHighGain
		p.fullRounds = 0
	}
	p.filled = p.fullRounds >= bbrFullRounds
}

// watchQueue lets the window grow slowly while there is a queue: it holds more than the path does already, and what comes
// back was sent with half of it. If something is lost then, the queue is full.
func (p *bbrPhases) watchQueue(s *Sample, m *bbrModel) {
	if m.roundStart {
		p.queue.nextRound()
	}
	if s.RTT > 0 {
		p.queue.add(s.Now, s.RTT)
	}
	if p.queue.rising {
		p.enter(bbrStartup, bbrFullGrowth, bbrFullGrowth)
		p.filled = p.filled || s.Lost > 0
	} else {
		p.enter(bbrStartup, bbrStartupGain, p.window)
	}
}

// refill begins the search for a full pipe anew, if it is not over.
func (p *bbrPhases) refill() {
	p.full = 0
	p.fullRounds = 0
}

// enterProbeBW begins at any phase of the cycle but the draining one, so that flows do not
// move in step.
func (p *bbrPhases) enterProbeBW(now time.Time) {
	p.enter(bbrProbeBW, 1, bbrCwndGain)
	p.random = p.random*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
	cycle := int(p.random>>33) % (len(bbrCycle) - 1)
	if cycle > 0 {
		cycle++ // leave out phase 1
	}
	p.setCycle(cycle, now)
}

func (p *bbrPhases) setCycle(i int, now time.Time) {
	p.cycle = i
	p.cycleStart = now
	p.pacingGain = bbrCycle[i]
}

// cycleOver reports whether the present phase of PROBE_BW has done its work: each lasts a
// min RTT; the one that asks for more goes on until that is in flight or something is lost,
// the draining one ends early when the queue is gone.
func (p *bbrPhases) cycleOver(s *Sample, m *bbrModel, mss int) bool {
	full := s.Now.Sub(p.cycleStart) > m.minRTT
	switch {
	case p.pacingGain > 1:
		return full && (s.Lost > 0 || s.PriorInFlight+mss >= m.bdp(p.pacingGain))
	case p.pacingGain < 1:
		return full || s.PriorInFlight <= m.bdp(1)
	default:
		return full
	}
}

func (p *bbrPhases) enterProbeRTT() {
	p.enter(bbrProbeRTT, 1, 1)
	p.probeUntil = time.Time{}
	p.probeRound = false
}

// probeRTTDone reports whether no more than window has been in flight for long enough.
func (p *bbrPhases) probeRTTDone(s *Sample, m *bbrModel, window int) bool {
	m.holdBack(s.InFlight)
	if p.probeUntil.IsZero() {
		if s.InFlight <= window {
			p.probeUntil = s.Now.Add(bbrProbeRTTDuration)
			m.startRound()
		}
		return false
	}
	p.probeRound = p.probeRound || m.roundStart
	return p.probeRound && p.probeRTTOver(s.Now)
}

func (p *bbrPhases) probeRTTOver(now time.Time) bool {
	return !p.probeUntil.IsZero() && !now.Before(p.probeUntil)
}

func (p *bbrPhases) leaveProbeRTT(now time.Time) {
	if p.filled {
		p.enterProbeBW(now)
	} else {
		p.startup()
	}
}
