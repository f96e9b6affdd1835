package simnet_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// A router behind the client's link has a smaller MTU from some time on, and says so: the
// transfer hardly notices, in both directions and through a NAT that translates the message.
func TestPathMTUDiscovery(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
			var story bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&story, &slog.HandlerOptions{Level: slog.LevelDebug}))
			p := newPair(t, w, &mptcp.Config{Checksum: checksum, Logger: logger}, simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 10 * time.Millisecond})
			l := p.links[0]
			shift := simnet.ShiftSequence{By: 1 << 20, ByBack: 1 << 30}
			l.There.Through(shift.There)
			l.Back.Through(shift.Back)
			c, s := p.connect(t)
			for i, mtu := range []int{1400, 600} {
				w.At(time.Duration(i+1)*200*time.Millisecond, func() {
					l.Change(func(s *simnet.Shape) { s.MTU, s.TellTooBig = mtu, true })
				})
			}
			done := make(chan time.Duration)
			go func() { done <- stream(t, s, c, 2<<20) }()
			took := max(stream(t, c, s, 2<<20), <-done)
			t.Log(took, l.There, l.Back)
			require.Less(t, took, 1500*time.Millisecond, "0.9 s at the full rate of long segments")
			for _, h := range []*mptcp.Host{p.client, p.server} {
				require.EqualValues(t, 2, h.Counters()["PathMTULowered"])
				require.Zero(t, h.Counters()["PathMTUBlackHole"])
			}
			require.Contains(t, story.String(), `msg="path MTU lowered"`)
		})
	}
}

// The same without a word: the transfer stops for some timeouts, then goes on.
func TestPathMTUBlackHole(t *testing.T) {
	simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		p := newPair(t, w, nil, simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 10 * time.Millisecond})
		c, s := p.connect(t)
		w.At(200*time.Millisecond, func() { p.links[0].Change(func(s *simnet.Shape) { s.MTU = 1300 }) })
		took := stream(t, c, s, 4<<20)
		t.Log(took, p.links[0].There)
		require.Less(t, took, 6*time.Second)
		require.EqualValues(t, 1, p.client.Counters()["PathMTUBlackHole"])
	})
}
