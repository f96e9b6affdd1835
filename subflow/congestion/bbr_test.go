package congestion

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The first rate comes from initial window and handshake; a first sample of 74 bytes does
// not lower it.
func TestBBRFirstRate(t *testing.T) {
	const rtt = 20 * time.Millisecond
	b := NewBBR()
	b.Init(Params{Now: simStart, MSS: simMSS, InitialWindow: 10 * simMSS, HandshakeRTT: rtt})
	first := b.PacingRate()
	require.InEpsilon(t, bbrStartupGain*10*simMSS/rtt.Seconds(), first, 0.02)
	require.Equal(t, 10*simMSS, b.Window())

	b.OnSend(simStart, 74, 0)
	b.OnAck(&Sample{
		Now: simStart.Add(rtt), Acked: 74, PriorInFlight: 74, RTT: rtt, SRTT: rtt, MinRTT: rtt,
		DeliveryRate: 74 / rtt.Seconds(), Delivered: 74,
	})
	require.Equal(t, first, b.PacingRate())
	require.GreaterOrEqual(t, b.Window(), 10*simMSS)
}

// STARTUP ends at a full pipe, DRAIN empties the queue, PROBE_BW cruises at the rate of
// the path, PROBE_RTT comes every ten seconds and sees the true round-trip time.
func TestBBRPhases(t *testing.T) {
	b := NewBBR().(*bbr)
	p := path{rate: mbit(20), oneWay: 20 * time.Millisecond, queue: 1 << 20}
	s := newSim(b, p, 1)
	seen := map[bbrMode]int{}
	var order []bbrMode
	s.everyAck = func(*Sample) {
		if len(order) == 0 || order[len(order)-1] != b.phases.mode {
			order = append(order, b.phases.mode)
		}
		seen[b.phases.mode]++
	}
	s.run(12 * time.Second)
	require.Equal(t, []bbrMode{bbrStartup, bbrDrain, bbrProbeBW, bbrProbeRTT, bbrProbeBW}, order)
	require.InEpsilon(t, p.rate, b.model.bandwidth(), 0.05)
	require.InEpsilon(t, 40*time.Millisecond, b.model.minRTT, 0.05)
	require.Less(t, s.srtt, 60*time.Millisecond, "no standing queue")
	require.Zero(t, s.drops)
}

// STARTUP does not overflow a queue that holds four fifths of what the path does, loses little in one of a half, and is not
// misled by ACKs that are held back.
func TestBBRStartupWindow(t *testing.T) {
	for _, rate := range []float64{12, 16, 20, 25, 30} {
		long := path{rate: mbit(rate), oneWay: 40 * time.Millisecond}
		holds := long.rate * 0.08
		for _, queue := range []struct {
			part float64
			lost int // in percent of what the path holds
		}{{0.8, 0}, {0.5, 25}} {
			long.queue = int(queue.part * holds)
			s := newSim(NewBBR(), long, 1)
			require.Greater(t, s.run(time.Second), 0.58*long.rate)
			require.LessOrEqual(t, s.drops*simMSS, int(holds)*queue.lost/100, "%v Mbit/s, queue %v", rate, queue.part)
		}
	}

	held := path{rate: mbit(50), oneWay: 5 * time.Millisecond, queue: 200_000, ackHold: 10 * time.Millisecond}
	s := newSim(NewBBR(), held, 1)
	require.Greater(t, s.run(time.Second), 0.9*held.rate)
}

// The path becomes slower, then faster: the rate follows within seconds.
func TestBBRFollowsThePath(t *testing.T) {
	s := newSim(NewBBR(), path{rate: mbit(40), oneWay: 10 * time.Millisecond, queue: 200_000}, 1)
	s.run(5 * time.Second)
	s.path.rate = mbit(10)
	s.run(3 * time.Second)
	require.Greater(t, s.run(3*time.Second), 0.85*mbit(10))
	require.Less(t, s.ctl.PacingRate(), 1.4*mbit(10))
	s.path.rate = mbit(40)
	s.run(5 * time.Second)
	require.Greater(t, s.run(3*time.Second), 0.85*mbit(40))
}

// Phases without data do not lower the estimate.
func TestBBRApplicationLimited(t *testing.T) {
	b := NewBBR().(*bbr)
	s := newSim(b, path{rate: mbit(40), oneWay: 10 * time.Millisecond, queue: 200_000}, 1)
	s.run(2 * time.Second)
	// Now a hundredth of the time only.
	s.pause = func(now time.Time) bool { return now.Sub(simStart)%(500*time.Millisecond) > 5*time.Millisecond }
	s.run(8 * time.Second)
	require.Greater(t, b.model.bandwidth(), 0.8*mbit(40))
	require.Greater(t, b.PacingRate(), 0.7*mbit(40))
}

// Loss makes the window conservative for a round trip; the window of before comes back at the
// end or when it turns out that nothing was lost.
func TestBBRRecoveryAndUndo(t *testing.T) {
	run := func() (*bbr, *simSender, int) {
		b := NewBBR().(*bbr)
		s := newSim(b, path{rate: mbit(40), oneWay: 10 * time.Millisecond, queue: 1 << 20}, 1)
		s.run(2 * time.Second)
		return b, s, b.Window()
	}
	for _, end := range []struct {
		name string
		call func(Controller, time.Time)
	}{
		{"recovered", Controller.OnRecovered},
		{"undone", Controller.OnUndo},
	} {
		t.Run(end.name, func(t *testing.T) {
			b, s, before := run()
			b.OnLoss(s.now, 20*simMSS, 10*simMSS)
			require.Equal(t, 21*simMSS, b.Window())
			end.call(b, s.now)
			require.Equal(t, before, b.Window())

			b, s, before = run()
			rate := b.PacingRate()
			b.OnRTO(s.now, 0)
			require.Equal(t, bbrMinSegments*simMSS, b.Window())
			end.call(b, s.now)
			require.Equal(t, before, b.Window())
			require.Equal(t, rate, b.PacingRate(), "the model of the path stays")
		})
	}
}

func TestMaxFilter(t *testing.T) {
	var f maxFilter
	f.add(10)
	for range 9 {
		f.nextRound()
		f.add(3)
		require.Equal(t, 10.0, f.max)
	}
	f.nextRound()
	f.add(4)
	require.Equal(t, 4.0, f.max)
	for range 20 {
		f.nextRound()
	}
	require.Equal(t, 4.0, f.max, "rounds without a sample do not count")
}

// PROBE_RTT never stops the sending: what was placed on the path would wait, and all that the peer got behind it.
func TestBBRProbeRTTSendsOn(t *testing.T) {
	b := NewBBR().(*bbr)
	s := newSim(b, path{rate: mbit(20), oneWay: 40 * time.Millisecond, queue: 250_000}, 1)
	s.run(2 * time.Second)
	units, sent, longest, least := 0, s.now, time.Duration(0), 1<<30
	s.everyAck = func(a *Sample) {
		if s.nextUnit != units {
			longest = max(longest, s.now.Sub(sent))
			units, sent = s.nextUnit, s.now
		}
		if b.phases.mode == bbrProbeRTT {
			least = min(least, a.InFlight)
		}
	}
	goodput := s.run(10 * time.Second)
	require.Less(t, longest, 10*time.Millisecond)
	require.LessOrEqual(t, least, b.model.bdp(bbrProbeRTTGain), "in flight")
	require.InEpsilon(t, 80*time.Millisecond, b.model.minRTT, 0.02)
	require.Greater(t, goodput, 0.95*mbit(20))
}
