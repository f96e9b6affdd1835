package mptcp

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// A path that goes down without a word in mid-transfer holds the stream up for a few round trips only, and what goes on
// then has the whole rate of the other one. The same bytes are sent twice only once.
func TestPathGoesSilent(t *testing.T) {
	for _, tc := range []struct {
		name       string
		congestion congestion.Factory
		backup     bool
		down       int
		stall      time.Duration
	}{
		{"A", congestion.NewBBR, false, 0, 100 * time.Millisecond},
		{"A, full queues", congestion.NewCubic, false, 0, 150 * time.Millisecond},
		{"B", congestion.NewBBR, false, 1, 80 * time.Millisecond},
		{"B, full queues", congestion.NewCubic, false, 1, 150 * time.Millisecond},
		{"A, B is a backup", congestion.NewBBR, true, 0, 200 * time.Millisecond},
		{"A, B is a backup, full queues", congestion.NewCubic, true, 0, 200 * time.Millisecond},
	}[:few(6)] {
		t.Run(tc.name, func(t *testing.T) {
			const size = 16 << 20
			cfg := &Config{Congestion: tc.congestion, PathManager: parallelOrBackup(tc.backup)}
			var before SubflowInfo
			o := upload(t, setup{paths: 2, shapes: []simnet.Shape{shapeA, shapeB}, client: cfg}, size, func(p *pair, c *Conn) {
				p.w.At(p.w.Elapsed()+1900*time.Millisecond, func() {
					before = c.Info().Subflows[tc.down]
					p.links[tc.down].Down()
				})
			})
			require.Less(t, o.client.Subflows[tc.down].Retransmits-before.Retransmits, uint64(50), "a dead path is not filled")
			require.Less(t, o.gaps.longest(1850*time.Millisecond), tc.stall)
			require.EqualValues(t, 1, o.counters["SubflowStale"])
			require.Less(t, o.client.BytesReinjected, uint64(600_000), "a window of the path that died")
			rate, left := shapeB.Rate, float64(size-o.gaps.before(1900*time.Millisecond))
			if tc.down == 1 {
				rate = shapeA.Rate
			}
			needs := time.Duration(left * 8 / float64(rate) * float64(time.Second))
			require.Less(t, o.total, 1900*time.Millisecond+needs*115/100+300*time.Millisecond)
		})
	}
}

// A lost request is sent again on the other path after one and a half round trips.
func TestLostTailGoesElsewhere(t *testing.T) {
	onPair(t, setup{paths: 2, shapes: []simnet.Shape{shapeA, shapeA}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		for range 20 {
			require.Less(t, roundTrip(t, c, s, 1000), 22*time.Millisecond)
		}
		lose := true
		for _, l := range p.links {
			l.There.Through(simnet.DropIf(func(b []byte) bool {
				if !simnet.HasPayload(b) || !lose {
					return false
				}
				lose = false
				return true
			}))
		}
		require.Less(t, roundTrip(t, c, s, 1000), 55*time.Millisecond)
		require.False(t, lose)
		require.EqualValues(t, 1000, c.Info().BytesReinjected)
		require.EqualValues(t, 1, p.client.Counters()["SubflowLate"])
		require.Zero(t, p.client.Counters()["SubflowStale"])
		require.Zero(t, p.server.Counters()["SubflowLate"])
		closeBoth(t, c, s)
	})
}

// roundTrip is the time from sending n bytes until the answer, of one, has come.
func roundTrip(t *testing.T, c, s *Conn, n int) time.Duration {
	t.Helper()
	at := time.Now()
	_, err := c.Write(make([]byte, n))
	require.NoError(t, err)
	_, err = io.ReadFull(s, make([]byte, n))
	require.NoError(t, err)
	_, err = s.Write([]byte{1})
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	return time.Since(at)
}

// What paths that work do, and peers that are slow to acknowledge, does not make them suspect.
func TestNoFalseAlarm(t *testing.T) {
	bulk := func(t *testing.T, p *pair, c, s *Conn) { stream(t, c, s, 4<<20, 1) }
	ask := func(t *testing.T, p *pair, c, s *Conn) {
		for i := range 100 {
			roundTrip(t, c, s, 100+i*50)
			time.Sleep(time.Duration(i%7) * 20 * time.Millisecond)
		}
	}
	thoughtful := func(t *testing.T, p *pair, c, s *Conn) { // the server thinks between request and answer
		for i := range 100 {
			_, err := c.Write(make([]byte, 1000))
			require.NoError(t, err)
			_, err = io.ReadFull(s, make([]byte, 1000))
			require.NoError(t, err)
			time.Sleep(time.Duration(i%5) * 60 * time.Millisecond)
			_, err = s.Write([]byte{1})
			require.NoError(t, err)
			_, err = io.ReadFull(c, make([]byte, 1))
			require.NoError(t, err)
		}
	}
	trickle := func(t *testing.T, p *pair, c, s *Conn) { // no answers at all
		done := async(func() error { _, err := io.ReadFull(s, make([]byte, 200*700)); return err })
		for range 200 {
			_, err := c.Write(make([]byte, 700))
			require.NoError(t, err)
			time.Sleep(15 * time.Millisecond)
		}
		require.NoError(t, result(t, done))
	}
	bloat := simnet.Shape{Rate: 5 * simnet.Mbps, Delay: 10 * time.Millisecond, Queue: simnet.Queue{Time: 500 * time.Millisecond}}
	jitter := simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 20 * time.Millisecond, Jitter: 20 * time.Millisecond, Queue: simnet.Queue{Time: 50 * time.Millisecond}}
	lossy := simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 20 * time.Millisecond, Loss: 0.01, Queue: simnet.Queue{Time: 50 * time.Millisecond}}
	for _, tc := range []struct {
		name   string
		shapes []simnet.Shape
		hold   time.Duration // the peer holds ACKs back for so long
		do     func(t *testing.T, p *pair, c, s *Conn)
	}{
		{"bulk", []simnet.Shape{shapeA, shapeB}, 0, bulk},
		{"bulk, the queue grows to 500 ms", []simnet.Shape{bloat, shapeB}, 0, bulk},
		{"bulk, both queues grow", []simnet.Shape{bloat, bloat}, 0, bulk},
		{"bulk, jitter", []simnet.Shape{jitter, shapeA}, 0, bulk},
		{"bulk, ACKs held back for 40 ms", []simnet.Shape{shapeA, shapeB}, 40 * time.Millisecond, bulk},
		{"bulk, ACKs held back for 200 ms", []simnet.Shape{shapeA, shapeA}, 200 * time.Millisecond, bulk},
		{"requests", []simnet.Shape{shapeA, shapeB}, 0, ask},
		{"requests, ACKs held back for 40 ms", []simnet.Shape{shapeA, shapeA}, 40 * time.Millisecond, ask},
		{"requests, ACKs held back for 200 ms", []simnet.Shape{shapeA, shapeA}, 200 * time.Millisecond, ask},
		{"requests, jitter", []simnet.Shape{jitter, jitter}, 40 * time.Millisecond, ask},
		{"a server that thinks", []simnet.Shape{shapeA, shapeA}, 40 * time.Millisecond, thoughtful},
		{"a server that thinks, another second path", []simnet.Shape{shapeA, shapeB}, 40 * time.Millisecond, thoughtful},
		{"trickle", []simnet.Shape{shapeA, shapeB}, 0, trickle},
		{"trickle, ACKs held back for 40 ms", []simnet.Shape{shapeA, shapeA}, 40 * time.Millisecond, trickle},
		{"trickle, jitter", []simnet.Shape{jitter, shapeB}, 0, trickle},
		{"bulk, losses", []simnet.Shape{lossy, lossy}, 0, bulk},
	} {
		for name, cc := range map[string]congestion.Factory{"bbr": congestion.NewBBR, "cubic": congestion.NewCubic} {
			t.Run(tc.name+", "+name, func(t *testing.T) {
				cfg := &Config{Congestion: cc}
				onPair(t, setup{paths: 2, shapes: tc.shapes, client: cfg, server: cfg}, func(t *testing.T, p *pair) {
					c, s := p.connectFully(2)
					for _, l := range p.links {
						if tc.hold > 0 {
							l.Back.Through(holdAcks(tc.hold))
						}
					}
					tc.do(t, p, c, s)
					i, n := c.Info(), p.client.Counters()
					require.Zero(t, n["SubflowStale"])
					require.LessOrEqual(t, n["SubflowLate"], uint64(3), "until it is known how long ACKs are held back")
					require.Less(t, i.BytesReinjected, i.BytesAcked/50+5000)
					_ = c.Close()
					_ = s.Close()
				})
			})
		}
	}
}

// When nothing comes on any path for a while, as when a machine pauses, no path is to blame.
func TestAllPathsPause(t *testing.T) {
	onPair(t, setup{paths: 2, shapes: []simnet.Shape{shapeA, shapeB}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		paused := false
		var waiting []func()
		for _, l := range p.links {
			l.Back.Through(func(p *simnet.Passage, b []byte) {
				if paused {
					waiting = append(waiting, func() { p.Forward(b) })
					return
				}
				p.Forward(b)
			})
		}
		for i := range 20 {
			at := p.w.Elapsed() + time.Duration(100+i*150)*time.Millisecond
			p.w.At(at, func() { paused = true })
			p.w.At(at+time.Duration(20+i*3)*time.Millisecond, func() {
				paused = false
				for _, f := range waiting {
					f()
				}
				waiting = nil
			})
		}
		stream(t, c, s, 16<<20, 1)
		require.Zero(t, p.client.Counters()["SubflowStale"])
		require.LessOrEqual(t, p.client.Counters()["RescuedBytes"], uint64(16<<20)/100)
		closeBoth(t, c, s)
	})
}

// We have not run for a while: what has come meanwhile is read before a path is called silent.
func TestSilenceAfterLag(t *testing.T) {
	onPair(t, setup{paths: 2, shapes: []simnet.Shape{shapeA, shapeA}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		for range 20 {
			roundTrip(t, c, s, 1000)
		}
		for _, l := range p.links {
			l.Down()
		}
		_, err := c.Write(make([]byte, 1000))
		require.NoError(t, err)
		c.mu.Lock()
		now := c.host.clock.Now()
		c.timerAt = now.Add(20 * time.Millisecond)
		c.checkStale(now.Add(50 * time.Millisecond))
		blind, early := c.blindUntil, c.subs[0].suspect || c.subs[1].suspect
		next := c.subs[0].silenceAt(now.Add(50 * time.Millisecond))
		c.timerAt = blind
		c.checkStale(blind.Add(20 * time.Millisecond)) // late again
		suspects := []bool{c.subs[0].suspect, c.subs[1].suspect}
		c.timerAt = time.Time{}
		c.mu.Unlock()
		require.Equal(t, now.Add(50*time.Millisecond+lagPause), blind)
		require.False(t, early)
		require.Equal(t, blind, next, "it looks again then")
		require.ElementsMatch(t, []bool{true, false}, suspects, "the one that holds the bytes is suspect")
		for _, l := range p.links {
			l.Up()
		}
		_, err = io.ReadFull(s, make([]byte, 1000))
		require.NoError(t, err)
		closeBoth(t, c, s)
	})
}

// A path that only pauses is used again as soon as it goes on; what was sent elsewhere meanwhile is what the
// other path has taken in that time.
func TestPathPauses(t *testing.T) {
	onPair(t, setup{paths: 2, shapes: []simnet.Shape{shapeA, shapeB}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		at := p.w.Elapsed() + time.Second
		var before, after SubflowInfo
		var sent uint64
		p.w.At(at, func() {
			before = c.Info().Subflows[0]
			p.links[0].Change(func(s *simnet.Shape) { s.Rate = simnet.Stalled })
		})
		p.w.At(at+80*time.Millisecond, func() { p.links[0].Change(func(s *simnet.Shape) { s.Rate = shapeA.Rate }) })
		p.w.At(at+200*time.Millisecond, func() { after, sent = c.Info().Subflows[0], c.Info().BytesReinjected })
		stream(t, c, s, 16<<20, 1)
		require.Equal(t, "established", after.State)
		require.InDelta(t, before.Retransmits, after.Retransmits, 10, "only what the queue has no place for")
		require.Greater(t, after.BytesSent-before.BytesSent, uint64(50e6/8*0.08))
		require.NotZero(t, sent)
		require.Less(t, sent, uint64(20e6/8*0.1), "50 ms of B's rate, and its window")
		closeBoth(t, c, s)
	})
}
