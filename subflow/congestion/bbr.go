package congestion

import "time"

// The constants of BBR v1 (draft-cardwell-iccrg-bbr-congestion-control-00).
const (
	// bbrHighGain is 2/ln 2, the smallest gain that doubles the rate in each round trip
	// (section 4.3.2.1).
	bbrHighGain  = 2.885
	bbrDrainGain = 1 / bbrHighGain
	// bbrStartupGain lets the window of a round, twice that of the one before, leave in half a round trip. If it is
	// more than half of what the path holds, its end meets a queue, and the start knows that a round trip earlier
	// than with bbrHighGain.
	bbrStartupGain = 4
	// bbrCwndGain leaves room for delayed and coalesced ACKs (section 4.2.3.2).
	bbrCwndGain = 2
	// bbrMargin keeps the pacing rate a little below the bandwidth, so that queues drain.
	bbrMargin = 0.99
	// bbrMinSegments is the smallest window in segments (section 4.2.3.4).
	bbrMinSegments = 4

	bbrMinRTTWindow     = 10 * time.Second
	bbrProbeRTTDuration = 200 * time.Millisecond
	// bbrProbeRTTGain is the share of the bandwidth-delay product that PROBE_RTT leaves in flight, that of BBR v3
	// (draft-ietf-ccwg-bbr): enough to empty any queue that was made by the sender.
	bbrProbeRTTGain = 0.5

	// The pipe is full when the bandwidth did not grow by a quarter for three rounds
	// (section 4.3.2.2).
	bbrFullGrowth = 1.25
	bbrFullRounds = 3
)

// bbrCycle is the pacing gains of PROBE_BW, each for one min RTT (section 4.3.4.2): ask for
// more, drain what that queued, then cruise.
var bbrCycle = [...]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}

// NewBBR returns BBR v1: it models the path by its greatest delivery rate and its smallest
// round-trip time and sends at that rate, whatever is lost. It is for paths with
// random loss. It wants to be paced.
func NewBBR() Controller { return &bbr{} }

// bbr holds the control: window and pacing rate. The state machine is bbrPhases, the
// measurements are bbrModel.
type bbr struct {
	mss           int
	initialWindow int
	model         bbrModel
	phases        bbrPhases
	recovery      bbrRecovery

	window int     // bytes
	pace   float64 // bytes/s; 0 until anything is known of the round-trip time
	// idle: the sender starts again after idleness; nothing delivered since.
	idle bool
}

// bbrRecovery is what loss recovery does to the window (section 4.2.3.4 of the draft): for
// one round trip no more is sent than is delivered, then the window grows again, and what it
// was before is restored at the end.
type bbrRecovery struct {
	state bbrRecoveryState
	prior int // the window to go back to
}

type bbrRecoveryState uint8

const (
	bbrOpen       bbrRecoveryState = iota
	bbrConserving                  // first round trip of an episode: packet conservation
	bbrRegrowing                   // later ones
)

func (b *bbr) Name() string { return "bbr" }

func (b *bbr) Init(p Params) {
	p = p.withDefaults()
	b.mss = p.MSS
	b.initialWindow = p.InitialWindow
	b.window = p.InitialWindow
	b.model.init(p.Now, p.HandshakeRTT)
	b.phases.init(p.Now)
	if p.HandshakeRTT > 0 {
		// A first sample may be of a few bytes only and says nothing about the path. The rate
		// does not fall below this one before the pipe has been filled (setPace).
		b.pace = b.phases.pacingGain * float64(p.InitialWindow) / p.HandshakeRTT.Seconds()
	}
}

func (b *bbr) OnSend(now time.Time, _, inFlight int) {
	if inFlight > 0 || b.recovery.state != bbrOpen || b.model.delivered == 0 {
		return
	}
	// Restart from idle (section 4.3.4.4): at the estimated rate, there is no queue to fill.
	b.idle = true
	b.model.acks.restart(now)
	switch b.phases.mode {
	case bbrProbeBW:
		b.setPace(1)
	case bbrProbeRTT:
		b.endProbeRTT(now)
	}
}

func (b *bbr) OnAck(s *Sample) {
	m := &b.model
	m.update(s)
	if m.roundStart && b.recovery.state == bbrConserving {
		b.recovery.state = bbrRegrowing
	}
	m.acks.update(s, m.bandwidth(), m.roundStart, b.window)
	b.phases.advance(s, m, b.mss)
	m.updateMinRTT(s)
	if m.minRTTExpired && !b.idle && b.phases.mode != bbrProbeRTT {
		b.saveWindow()
		b.phases.enterProbeRTT()
		b.window = min(b.window, s.PriorInFlight)
	}
	if b.phases.mode == bbrProbeRTT && b.phases.probeRTTDone(s, m, b.probeRTTWindow()) {
		b.endProbeRTT(s.Now)
	}
	m.minRTTExpired = false
	if s.Acked > 0 {
		b.idle = false
	}
	b.setPace(b.phases.pacingGain)
	b.setWindow(s)
}

// setPace sets the pacing rate to gain times the bandwidth. Until the pipe has been
// filled the rate only rises: the samples so far are of what was sent, not of the path.
func (b *bbr) setPace(gain float64) {
	bw := b.model.bandwidth()
	if bw == 0 {
		return
	}
	if rate := gain * bw * bbrMargin; b.phases.filled || rate > b.pace {
		b.pace = rate
	}
}

// setWindow moves the window towards its target by what was delivered.
func (b *bbr) setWindow(s *Sample) {
	probing := b.phases.mode == bbrProbeRTT
	if target := b.probeRTTWindow(); probing && b.window > target {
		// Half of what is delivered leaves again: if nothing did until the window is that small, what was placed on
		// this path would wait, and so would all behind it.
		b.window = max(b.window-s.Lost-s.Acked/2, target)
		return
	}
	b.window -= s.Lost
	if b.recovery.state == bbrConserving {
		b.window = max(b.window, s.InFlight+s.Acked)
	} else {
		b.grow(s.Acked)
	}
	b.window = min(max(b.window, b.minWindow()), maxWindow)
	if probing {
		b.window = min(b.window, b.probeRTTWindow())
	}
}

func (b *bbr) grow(acked int) {
	target := b.target()
	switch {
	case b.phases.filled:
		b.window = min(b.window+acked, target)
	case b.window < target || b.model.delivered < uint64(b.initialWindow):
		b.window += acked
	}
}

// target is the window that the model asks for: gain times the bandwidth-delay product, and
// what the sender, the receiver and the path hold back to move it in one piece.
func (b *bbr) target() int {
	bdp := b.model.bdp(b.phases.cwndGain)
	if bdp == 0 {
		return b.initialWindow
	}
	target := bdp + 3*b.quantum()
	if b.phases.filled {
		target += b.model.acks.allowance(b.model.bandwidth())
	}
	return target
}

// quantum is the size of a burst of the sender, about a millisecond of the rate.
func (b *bbr) quantum() int {
	return min(max(int(b.pace/1000), 2*b.mss), 64<<10)
}

func (b *bbr) minWindow() int { return bbrMinSegments * b.mss }

// probeRTTWindow is what PROBE_RTT leaves in flight.
func (b *bbr) probeRTTWindow() int { return max(b.model.bdp(bbrProbeRTTGain), b.minWindow()) }

// saveWindow remembers the window before recovery or PROBE_RTT reduce it.
func (b *bbr) saveWindow() {
	if b.recovery.state == bbrOpen && b.phases.mode != bbrProbeRTT {
		b.recovery.prior = b.window
	} else {
		b.recovery.prior = max(b.recovery.prior, b.window)
	}
}

func (b *bbr) restoreWindow() { b.window = max(b.window, b.recovery.prior) }

func (b *bbr) endProbeRTT(now time.Time) {
	if b.phases.probeRTTOver(now) {
		b.model.minRTTStamp = now
		b.restoreWindow()
		b.phases.leaveProbeRTT(now)
	}
}

func (b *bbr) OnLoss(_ time.Time, inFlight, _ int) {
	b.saveWindow()
	b.recovery.state = bbrConserving
	b.model.startRound()
	b.window = max(inFlight+b.mss, b.minWindow())
}

// OnRTO leaves a window for a few segments: all that was in flight is lost, and the path may be dead.
func (b *bbr) OnRTO(_ time.Time, _ int) {
	b.saveWindow()
	b.recovery.state = bbrRegrowing
	b.phases.refill()
	b.model.startRound()
	b.window = b.minWindow()
}

func (b *bbr) OnRecovered(time.Time) {
	if b.recovery.state != bbrOpen {
		b.recovery.state = bbrOpen
		b.restoreWindow()
	}
}

// OnUndo restores the window. The pause was not the path's, so the search for a full pipe
// begins anew if it was still going on.
func (b *bbr) OnUndo(time.Time) {
	b.recovery.state = bbrOpen
	b.phases.refill()
	b.restoreWindow()
}

func (b *bbr) OnMSS(mss int) {
	b.mss = max(mss, 1)
	b.window = max(b.window, b.minWindow())
}

func (b *bbr) Window() int { return b.window }

func (b *bbr) PacingRate() float64 { return b.pace }
