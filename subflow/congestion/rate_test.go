package congestion

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The part of the bottleneck that each controller has to fill, in virtual time.
func TestGoodput(t *testing.T) {
	bdp := func(rate float64, rtt time.Duration) int { return int(rate * rtt.Seconds()) }
	for _, c := range []struct {
		name string
		ctl  Factory
		path path
		want float64
	}{
		{"bbr random loss 0.5 %", NewBBR, path{rate: mbit(80), oneWay: 5 * time.Millisecond, queue: 150_000, loss: 0.005}, 0.95},
		{"bbr random loss 2 %", NewBBR, path{rate: mbit(50), oneWay: 10 * time.Millisecond, queue: 150_000, loss: 0.02}, 0.92},
		{"bbr long path", NewBBR, path{rate: mbit(20), oneWay: 60 * time.Millisecond, queue: 300_000}, 0.95},
		{"bbr short queue", NewBBR, path{rate: mbit(20), oneWay: 30 * time.Millisecond, queue: 40_000}, 0.95},
		{"bbr coalesced ACKs", NewBBR, path{rate: mbit(50), oneWay: 5 * time.Millisecond, queue: 200_000, ackHold: 10 * time.Millisecond}, 0.95},
		{"bbr rare ACKs", NewBBR, path{rate: mbit(50), oneWay: 5 * time.Millisecond, queue: 1 << 20, ackHold: 50 * time.Millisecond}, 0.90},
		{"bbr slow path", NewBBR, path{rate: mbit(1), oneWay: 50 * time.Millisecond, queue: 50_000}, 0.90},
		{"cubic one BDP of queue", NewCubic, path{rate: mbit(80), oneWay: 5 * time.Millisecond, queue: bdp(mbit(80), 10*time.Millisecond)}, 0.90},
		{"cubic long path", NewCubic, path{rate: mbit(20), oneWay: 60 * time.Millisecond, queue: bdp(mbit(20), 120*time.Millisecond)}, 0.90},
		{"cubic coalesced ACKs", NewCubic, path{rate: mbit(50), oneWay: 5 * time.Millisecond, queue: 200_000, ackHold: 5 * time.Millisecond}, 0.90},
	} {
		t.Run(c.name, func(t *testing.T) {
			seeds := uint64(1)
			if c.path.loss > 0 {
				seeds = 3
			}
			for seed := range seeds {
				s := newSim(c.ctl(), c.path, seed)
				first := s.run(2*time.Second) / c.path.rate
				got := s.run(20*time.Second) / c.path.rate
				t.Logf("first 2 s %.1f %%, then %.1f %%, drops %d, random losses %d, timeouts %d",
					100*first, 100*got, s.drops, s.losses, s.rtos)
				require.Greater(t, got, c.want)
			}
		})
	}
}
