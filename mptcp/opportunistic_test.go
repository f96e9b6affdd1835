package mptcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// A scheduler that fills a slow path until it holds the peer's whole window does not leave a fast one idle
// for long: that repeats what holds the window up, and the slow path gets less.
func TestOpportunisticRetransmission(t *testing.T) {
	fast := simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 10 * time.Millisecond, Queue: simnet.Queue{Time: 60 * time.Millisecond}}
	slow := fast
	slow.Delay = 160 * time.Millisecond
	const size = 4 << 20
	for _, tc := range []struct {
		name       string
		scheduler  scheduler.Factory
		congestion congestion.Factory
		backup     bool
		window     int
		repeats    bool
		penalties  bool
		atLeast    float64 // Mbit/s
	}{
		{"minrtt", scheduler.MinRTT, congestion.NewCubic, false, 100_000, true, true, 5},
		{"roundrobin", scheduler.RoundRobin, congestion.NewLIA, false, 100_000, true, true, 5},
		{"a controller that takes no penalties", scheduler.MinRTT, congestion.NewBBR, false, 100_000, true, false, 3},
		{"a window that is no limit", scheduler.MinRTT, congestion.NewCubic, false, 0, false, false, 9},
		{"the slow path is a backup", scheduler.MinRTT, congestion.NewCubic, true, 100_000, false, false, 9},
		{"the other path stands by", scheduler.Backup, congestion.NewCubic, false, 30_000, false, false, 9},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := &Config{Scheduler: tc.scheduler, Congestion: tc.congestion, PathManager: parallelOrBackup(tc.backup)}
			s := setup{paths: 2, shapes: []simnet.Shape{fast, slow}, client: cfg, server: &Config{ReceiveBuffer: tc.window}}
			o := upload(t, s, size, func(*pair, *Conn) {})
			require.Equal(t, tc.repeats, o.counters["OpportunisticRetrans"] > 0)
			require.Equal(t, tc.penalties, o.counters["SubflowPenalised"] > 0)
			require.GreaterOrEqual(t, size*8/o.total.Seconds()/1e6, tc.atLeast)
			require.Less(t, o.client.BytesReinjected, uint64(redundantBurst+size/redundantShare))
		})
	}
}
