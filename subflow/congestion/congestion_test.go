package congestion

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestByName(t *testing.T) {
	require.Equal(t, []string{"bbr", "cubic", "lia"}, Names())
	for _, n := range Names() {
		f, ok := ByName(n)
		require.True(t, ok)
		require.Equal(t, n, f().Name())
	}
	_, ok := ByName("vegas")
	require.False(t, ok)
}

func TestNoAllocation(t *testing.T) {
	for _, name := range Names() {
		f, _ := ByName(name)
		a := newAckClock(f(), 20*time.Millisecond)
		s := Sample{Acked: simMSS, Lost: 1, InRecovery: true, RTT: a.rtt, SRTT: a.rtt, DeliveryRate: 1e6, CwndLimited: true}
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			s.Now = s.Now.Add(time.Millisecond)
			s.Delivered += simMSS
			a.ctl.OnSend(s.Now, simMSS, 0)
			a.ctl.OnAck(&s)
			a.ctl.OnLoss(s.Now, simMSS, simMSS)
			a.ctl.OnRecovered(s.Now)
			a.ctl.OnUndo(s.Now)
		}), name)
	}
}

// Whatever is called in whatever order with whatever numbers, window and rate stay sane.
func TestAnyOrder(t *testing.T) {
	for _, name := range Names() {
		f, _ := ByName(name)
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 3))
			ctl := f()
			p := Params{Now: simStart}
			if seed%2 == 0 {
				p.HandshakeRTT = time.Duration(rng.Int64N(1e9))
			}
			ctl.Init(p)
			now := simStart
			for range 2000 {
				now = now.Add(time.Duration(rng.Int64N(1e8)))
				n := rng.IntN(1 << rng.IntN(24))
				switch rng.IntN(9) {
				case 0:
					ctl.OnSend(now, n, rng.IntN(2)*n)
				case 1:
					ctl.OnLoss(now, n, n/2)
				case 2:
					ctl.OnRecovered(now)
				case 3:
					ctl.OnUndo(now)
				case 4:
					ctl.OnRTO(now, n)
				case 5:
					ctl.OnMSS(rng.IntN(9000))
				default:
					ctl.OnAck(&Sample{
						Now: now, Acked: n, Lost: rng.IntN(2) * n / 3, InFlight: n, PriorInFlight: 2 * n,
						RTT: time.Duration(rng.Int64N(1e9)), SRTT: time.Duration(rng.Int64N(1e9)), DeliveryRate: rng.Float64() * 1e10,
						Delivered: rng.Uint64(), PriorDelivered: rng.Uint64(), CwndLimited: rng.IntN(2) == 0, AppLimited: rng.IntN(2) == 0,
					})
				}
				if w, rate := ctl.Window(), ctl.PacingRate(); w < 1 || int64(w) > 2*maxWindow || !(rate >= 0 && rate < 1e20) {
					t.Fatalf("%s: window %d, rate %v", name, w, rate)
				}
			}
		}
	}
}
