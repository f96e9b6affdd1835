package congestion

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// liaFlow is a subflow of the vectors: window in bytes, round-trip time.
type liaFlow struct {
	window float64
	rtt    time.Duration
}

// coupledFlows makes LIA controllers in congestion avoidance that see each other.
func coupledFlows(mss int, flows []liaFlow) []*lia {
	all := make([]*lia, len(flows))
	for i, f := range flows {
		l := NewLIA().(*lia)
		l.Init(Params{Now: simStart, MSS: mss, HandshakeRTT: f.rtt, Siblings: func(buf []Sibling) []Sibling {
			for j, o := range all {
				if j != i {
					buf = append(buf, Sibling{Window: o.CoupledWindow(), SRTT: o.srtt, MSS: o.mss})
				}
			}
			return buf
		}})
		l.window, l.curve.ssthresh = f.window, f.window
		all[i] = l
	}
	return all
}

// 6356-3-02, -06, T-L1..T-L4: alpha and the increase for an ACK of one segment.
func TestLIAVectors(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		flows     []liaFlow
		alpha     float64
		increases []float64
	}{
		"T-L1": {[]liaFlow{{14600, 100 * ms}, {14600, 100 * ms}}, 0.5, []float64{36.5, 36.5}},
		"T-L2": {[]liaFlow{{29200, 20 * ms}, {14600, 100 * ms}}, 1.239669, []float64{60.3306, 60.3306}},
		"T-L3": {[]liaFlow{{14600, 50 * ms}}, 1, []float64{146}},
		"T-L4": {[]liaFlow{{14600, 10 * ms}, {146000, 200 * ms}}, 4.888889, []float64{64.8889, 14.6}},
	} {
		for i, want := range c.increases {
			l := coupledFlows(1460, c.flows)[i]
			before := l.window
			l.OnAck(&Sample{Now: simStart, Acked: 1460, SRTT: c.flows[i].rtt, Delivered: 1460, CwndLimited: true})
			require.InEpsilon(t, c.alpha, l.alpha, 1e-6, name)
			require.InEpsilon(t, want, l.window-before, 1e-5, "%s, subflow %d", name, i+1)
		}
	}
}

// 6356-3-03: an increase is a byte at least.
func TestLIAIncreaseIsAByte(t *testing.T) {
	l := coupledFlows(1000, []liaFlow{{500e6, time.Second}, {500e6, time.Second}})[0]
	l.OnAck(&Sample{Now: simStart, Acked: 1000, SRTT: time.Second, CwndLimited: true})
	require.InDelta(t, 500e6+1, l.window, 1e-3)
}

// 6356-3-01, -05: a loss halves one window only, and in recovery the subflow counts with what
// is aimed at.
func TestLIALoss(t *testing.T) {
	flows := coupledFlows(1000, []liaFlow{{100_000, 50 * time.Millisecond}, {60_000, 50 * time.Millisecond}})
	flows[0].OnLoss(simStart, 99_000, 1000)
	require.Equal(t, 60_000, flows[1].Window())
	require.Equal(t, 50_000, flows[0].CoupledWindow())
	require.NotEqual(t, 50_000, flows[0].Window(), "PRR comes down in steps")
	flows[1].OnAck(&Sample{Now: simStart, Acked: 1000, SRTT: 50 * time.Millisecond, CwndLimited: true})
	require.EqualValues(t, 50_000, flows[1].rest)
	flows[0].OnRecovered(simStart)
	require.Equal(t, 50_000, flows[0].Window())
}

// 6356-4.1-03: alpha is worked out once for each round trip, and at losses.
func TestLIAAlphaOncePerRound(t *testing.T) {
	flows := coupledFlows(1000, []liaFlow{{100_000, 50 * time.Millisecond}, {100_000, 50 * time.Millisecond}})
	l := flows[0]
	ack := func(delivered, prior uint64) {
		l.OnAck(&Sample{Now: simStart, Acked: 1000, SRTT: 50 * time.Millisecond, Delivered: delivered, PriorDelivered: prior, CwndLimited: true})
	}
	ack(1000, 0)
	require.InDelta(t, 0.5, l.alpha, 0.001)
	flows[1].window = 1000
	ack(2000, 0)
	require.InDelta(t, 0.5, l.alpha, 0.001, "the same round")
	ack(3000, 1000)
	require.InDelta(t, 1, l.alpha, 0.02, "the next one")
	flows[1].window = 100_000
	l.OnLoss(simStart, 99_000, 1000)
	l.OnRecovered(simStart)
	ack(4000, 1000)
	require.Less(t, l.alpha, 0.8, "after a loss at once")
}

// 6356-3-06: alone, LIA is a plain TCP: a segment for each round trip, and half after a loss.
func TestLIAAlone(t *testing.T) {
	a := newAckClock(NewLIA(), 50*time.Millisecond)
	for range 4 {
		a.round()
	}
	before := a.ctl.Window()
	a.lose()
	require.InDelta(t, before/2, a.ctl.Window(), simMSS)
	start := float64(a.ctl.Window()) / simMSS
	for range 40 {
		a.round()
	}
	require.InEpsilon(t, start+40, float64(a.ctl.Window())/simMSS, 0.05)
}

// Without siblings and without round-trip times nothing goes wrong.
func TestLIAKnowsNothing(t *testing.T) {
	l := NewLIA().(*lia)
	l.Init(Params{Siblings: func(buf []Sibling) []Sibling { return append(buf, Sibling{}, Sibling{Window: 1}) }})
	l.curve.ssthresh = l.window
	l.OnAck(&Sample{Now: simStart, Acked: 1, CwndLimited: true})
	require.Positive(t, l.Window())
	l.OnAck(&Sample{Now: simStart, Acked: 1, SRTT: time.Millisecond, CwndLimited: true})
	require.Positive(t, l.alpha)
}
