package congestion

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ackClock feeds a controller with ACKs that a sender which always fills its window would
// see on a path of constant round-trip time.
type ackClock struct {
	ctl       Controller
	now       time.Time
	rtt       time.Duration
	delivered uint64
}

func newAckClock(ctl Controller, rtt time.Duration) *ackClock {
	a := &ackClock{ctl: ctl, now: simStart, rtt: rtt}
	ctl.Init(Params{Now: a.now, MSS: simMSS, InitialWindow: 10 * simMSS, HandshakeRTT: rtt})
	return a
}

// round acknowledges one window, segment by segment, over one round trip.
func (a *ackClock) round() {
	segments := max(a.ctl.Window()/simMSS, 1)
	begin := a.delivered
	for range segments {
		a.now = a.now.Add(a.rtt / time.Duration(segments))
		a.ack(begin, simMSS, true)
	}
}

func (a *ackClock) ack(prior uint64, bytes int, limited bool) {
	a.delivered += uint64(bytes)
	w := a.ctl.Window()
	a.ctl.OnAck(&Sample{
		Now: a.now, Acked: bytes, PriorInFlight: w, InFlight: w - bytes, RTT: a.rtt, SRTT: a.rtt, MinRTT: a.rtt,
		Delivered: a.delivered, PriorDelivered: prior, CwndLimited: limited,
	})
}

// lose has one segment lost and recovered within a round trip.
func (a *ackClock) lose() {
	a.ctl.OnLoss(a.now, a.ctl.Window()-simMSS, simMSS)
	a.now = a.now.Add(a.rtt)
	a.ctl.OnRecovered(a.now)
}

// The window follows W_cubic(t) = C*(t-K)^3 + W_max of RFC 9438 section 4.2 from the reduction
// through the plateau and beyond.
func TestCubicCurve(t *testing.T) {
	a := newAckClock(NewCubic(), 100*time.Millisecond)
	for range 6 {
		a.round() // slow start: 10, 20, ... 640 segments
	}
	require.Equal(t, 640*simMSS, a.ctl.Window())
	wMax := float64(a.ctl.Window()) / simMSS
	a.lose()
	require.InDelta(t, wMax*0.7, float64(a.ctl.Window())/simMSS, 1)

	k := math.Cbrt(wMax * 0.3 / 0.4)
	begin := a.now
	for a.now.Sub(begin).Seconds() < k+8 {
		a.round()
		x := a.now.Sub(begin).Seconds() - k
		want := 0.4*x*x*x + wMax
		require.InEpsilon(t, want, float64(a.ctl.Window())/simMSS, 0.03, "t = %v", a.now.Sub(begin))
	}
	require.Greater(t, float64(a.ctl.Window())/simMSS, wMax, "the curve passes its plateau")
}

// On a short path CUBIC is slower than Reno, and the Reno-friendly window takes over: with
// alpha = 3*(1-b)/(1+b) segments for each round trip (section 4.3).
func TestCubicRenoFriendly(t *testing.T) {
	a := newAckClock(NewCubic(), 2*time.Millisecond)
	for range 4 {
		a.round()
	}
	a.lose()
	start := float64(a.ctl.Window()) / simMSS
	const rounds = 40
	for range rounds {
		a.round()
	}
	require.InEpsilon(t, start+rounds*3*0.3/1.7, float64(a.ctl.Window())/simMSS, 0.05)
}

// Fast convergence (section 4.7): a loss below the last plateau lowers the next one.
func TestCubicFastConvergence(t *testing.T) {
	c := NewCubic().(*cubic)
	a := newAckClock(c, 100*time.Millisecond)
	for range 4 {
		a.round()
	}
	first := c.window
	a.lose()
	require.Equal(t, first, c.curve.wMax)
	second := c.window
	a.lose()
	require.InDelta(t, second*0.85, c.curve.wMax, 1)
}

func TestCubicTimeout(t *testing.T) {
	a := newAckClock(NewCubic(), 100*time.Millisecond)
	for range 4 {
		a.round()
	}
	before := a.ctl.Window()
	a.ctl.OnRTO(a.now, 0)
	require.Equal(t, simMSS, a.ctl.Window())
	a.ctl.OnRTO(a.now, 0) // again: the threshold is not reduced twice
	for range 20 {
		a.round()
		if a.ctl.Window() > before*7/10-simMSS {
			break
		}
	}
	a.ctl.OnRecovered(a.now)
	w := a.ctl.Window()
	require.InDelta(t, before*7/10, w, 10*simMSS, "slow start up to the threshold")
	a.round()
	require.Less(t, a.ctl.Window(), w+w/4, "and no further")
}

// A spurious episode leaves no trace: the window is that of a twin without it.
func TestCubicUndo(t *testing.T) {
	for _, c := range []struct {
		name    string
		episode func(a *ackClock)
	}{
		{"loss", func(a *ackClock) { a.ctl.OnLoss(a.now, a.ctl.Window()/2, a.ctl.Window()/2) }},
		{"timeout", func(a *ackClock) { a.ctl.OnRTO(a.now, 0) }},
		{"loss, then timeout", func(a *ackClock) {
			a.ctl.OnLoss(a.now, a.ctl.Window()-simMSS, simMSS)
			a.ctl.OnRTO(a.now, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, twin := newAckClock(NewCubic(), 50*time.Millisecond), newAckClock(NewCubic(), 50*time.Millisecond)
			for _, x := range []*ackClock{a, twin} {
				for range 5 {
					x.round()
				}
				x.lose()
				for range 20 {
					x.round()
				}
			}
			c.episode(a)
			require.Less(t, a.ctl.Window(), twin.ctl.Window())
			a.now = a.now.Add(3 * time.Second)
			a.ctl.OnUndo(a.now)
			require.Equal(t, twin.ctl.Window(), a.ctl.Window())
			for range 60 {
				a.round()
				twin.round()
			}
			require.InEpsilon(t, twin.ctl.Window(), a.ctl.Window(), 0.01, "the curve goes on where it was")
			a.ctl.OnUndo(a.now)
			require.InEpsilon(t, twin.ctl.Window(), a.ctl.Window(), 0.01, "there is nothing left to undo")
		})
	}
}

// A penalty halves the window, which then grows as after a loss; within a recovery there is none, and no
// undo takes it back.
func TestPenalty(t *testing.T) {
	for _, c := range []Controller{NewCubic(), NewLIA()} {
		a := newAckClock(c, 50*time.Millisecond)
		for range 5 {
			a.round()
		}
		w := c.Window()
		c.(Penalised).OnPenalty(a.now)
		require.InDelta(t, w/2, c.Window(), simMSS)
		c.OnUndo(a.now)
		require.InDelta(t, w/2, c.Window(), simMSS)
		a.round()
		require.Less(t, c.Window(), w*3/4, "no slow start")
		a.ctl.OnLoss(a.now, c.Window()-simMSS, simMSS)
		w = c.Window()
		c.(Penalised).OnPenalty(a.now)
		require.Equal(t, w, c.Window())
	}
	_, ok := NewBBR().(Penalised)
	require.False(t, ok)
}

// The window grows only while it is used (RFC 9438 section 5.8), and time without use does not
// count on the curve.
func TestCubicApplicationLimited(t *testing.T) {
	a := newAckClock(NewCubic(), 100*time.Millisecond)
	for range 5 {
		a.round()
	}
	a.lose()
	a.round()
	w := a.ctl.Window()
	for range 100 {
		a.now = a.now.Add(a.rtt)
		a.ack(a.delivered, simMSS, false)
	}
	require.Equal(t, w, a.ctl.Window())
	a.now = a.now.Add(time.Minute)
	a.ctl.OnSend(a.now, simMSS, 0)
	a.round()
	require.Less(t, a.ctl.Window(), w*5/4)
}

// HyStart++ (RFC 9406) leaves slow start when round trips get longer, without a loss.
func TestHystart(t *testing.T) {
	a := newAckClock(NewCubic(), 50*time.Millisecond)
	for range 4 {
		a.round()
	}
	for range 12 {
		a.rtt += 8 * time.Millisecond
		a.round()
	}
	w := a.ctl.Window()
	require.Less(t, w, 10*simMSS<<8)
	a.round()
	require.Less(t, a.ctl.Window(), w*3/2, "slow start is over")

	steady := newAckClock(NewCubic(), 50*time.Millisecond)
	for range 8 {
		steady.round()
	}
	require.Equal(t, 10*simMSS<<8, steady.ctl.Window(), "no rise, no exit")
}

// Slow start sees the queue that the end of a round makes, and not only when the window has doubled twice more.
func TestHystartSeesQueueOfPacedRound(t *testing.T) {
	s := newSim(NewCubic(), path{rate: mbit(50), oneWay: 10 * time.Millisecond, queue: int(mbit(50) / 20)}, 1)
	s.run(time.Second)
	require.Zero(t, s.drops, "50 ms of queue for 20 ms of round trip")
	require.Greater(t, s.delivered, uint64(5_500_000), "of 6.25 MB that the link takes meanwhile")
}

// A pause of the machine delays many ACKs, all at once, and is no queue: slow start goes on.
func TestHystartPause(t *testing.T) {
	a := newAckClock(NewCubic(), 20*time.Millisecond)
	for range 3 {
		a.round()
	}
	begin, rtt := a.delivered, a.rtt
	a.rtt += 15 * time.Millisecond
	for range 60 {
		a.now = a.now.Add(10 * time.Microsecond)
		a.ack(begin, simMSS, true)
	}
	a.rtt = rtt
	for range 20 {
		a.now = a.now.Add(100 * time.Microsecond)
		a.ack(begin, simMSS, true)
	}
	require.Equal(t, 10*simMSS<<4, a.ctl.Window())
	a.round()
	require.Equal(t, 10*simMSS<<5, a.ctl.Window())
}

// In recovery no ACK lets more than a small burst go, and at the end about ssthresh is in flight.
func TestCubicRecoveryHasNoBursts(t *testing.T) {
	s := newSim(NewCubic(), path{rate: mbit(50), oneWay: 10 * time.Millisecond, queue: 125_000, loss: 0.001}, 1)
	recoveries := 0
	s.everyAck = func(ack *Sample) {
		if ack.InRecovery {
			recoveries++
			require.LessOrEqual(t, s.ctl.Window()-ack.InFlight, 10*simMSS)
		}
	}
	s.run(10 * time.Second)
	require.Greater(t, recoveries, 100)
}

// Proportional rate reduction (RFC 6937): with a small loss one segment leaves for each
// 1/0.7 delivered; after a large one what is in flight grows back as in slow start.
func TestPRR(t *testing.T) {
	const ssthresh = 70 * simMSS
	p := prr{flight: 100 * simMSS}
	inFlight := 99 * simMSS
	for acks := 1; inFlight > ssthresh; acks++ {
		inFlight -= simMSS
		if w := int(p.window(&Sample{Acked: simMSS, InFlight: inFlight}, ssthresh, simMSS)); w >= inFlight+simMSS {
			inFlight += simMSS
			p.sent += simMSS
		}
		require.InDelta(t, 0.7*float64(acks), float64(p.sent)/simMSS, 2)
		require.LessOrEqual(t, acks, 100)
	}

	p = prr{flight: 100 * simMSS}
	inFlight = 20 * simMSS
	for range 10 {
		inFlight -= simMSS
		w := int(p.window(&Sample{Acked: simMSS, InFlight: inFlight}, ssthresh, simMSS))
		require.Equal(t, inFlight+2*simMSS, w)
		p.sent += w - inFlight
		inFlight = w
	}
}
