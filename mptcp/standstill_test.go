package mptcp

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// Paths that come back after a silence of some seconds, without a word, carry data again in a fraction of a
// second, though the retransmission timers have backed off; whichever it is.
func TestReturnFromStandstill(t *testing.T) {
	for paths := 1; paths <= 2; paths++ {
		for back := range paths {
			t.Run(fmt.Sprintf("path %d of %d", back+1, paths), func(t *testing.T) {
				onPair(t, setup{paths: paths}, func(t *testing.T, p *pair) {
					c, s := p.connectFully(paths)
					for _, silence := range []time.Duration{time.Second, 3 * time.Second, 5 * time.Second} {
						for _, l := range p.links {
							l.Down()
						}
						sent := make([]byte, 100_000)
						_, err := c.Write(sent)
						require.NoError(t, err)
						time.Sleep(silence)
						p.links[back].Up()
						returned := time.Now()
						_, err = io.ReadFull(s, sent)
						require.NoError(t, err)
						require.Less(t, time.Since(returned), 450*time.Millisecond)
						for _, l := range p.links {
							l.Up()
						}
						time.Sleep(30 * time.Second)
					}
				})
			})
		}
	}
}

// The same holds for one path while another works.
func TestReturnBesideAnotherPath(t *testing.T) {
	for _, silence := range []time.Duration{3 * time.Second, 200 * time.Millisecond, time.Second, 5 * time.Second}[:few(4)] {
		t.Run(silence.String(), func(t *testing.T) {
			onPair(t, setup{paths: 2, shapes: []simnet.Shape{shapeA, shapeB}}, func(t *testing.T, p *pair) {
				c, s := p.connectFully(2)
				failed := readErr(s)
				stop := writeErr(c)
				time.Sleep(2 * time.Second)
				p.links[0].Down()
				time.Sleep(silence)
				require.Equal(t, "stale", c.Info().Subflows[0].State)
				p.links[0].Up()
				returned, before := time.Now(), c.Info().Subflows[0].BytesSent
				eventually(t, func() bool { return c.Info().Subflows[0].BytesSent > before+500_000 }, "it carries data")
				require.Less(t, time.Since(returned), 700*time.Millisecond)
				require.Equal(t, "established", c.Info().Subflows[0].State)
				require.NoError(t, c.Abort())
				require.Error(t, result(t, stop))
				require.Error(t, result(t, failed))
			})
		})
	}
}

// The longer a path makes no progress the rarer are the probes, down to one in 10 s. What comes from the peer, such as what
// it sends again since our ACKs are lost, makes them no more frequent.
func TestProbesGetRarer(t *testing.T) {
	for _, deaf := range []bool{true, false} {
		onPair(t, setup{paths: 1}, func(t *testing.T, p *pair) {
			c, _ := p.connectFully(1)
			p.links[0].There.Through(dropAll)
			if deaf {
				p.links[0].Back.Through(dropAll)
			}
			probes := func() int {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.subs[0].standstill.probes
			}
			_, err := c.Write(make([]byte, 1000))
			require.NoError(t, err)
			time.Sleep(time.Minute)
			require.InDelta(t, 67, probes(), 2, "20 in 6 s, 20 in 12 s, 20 in 24 s and some")
			time.Sleep(2 * time.Minute)
			before := probes()
			time.Sleep(time.Minute)
			require.InDelta(t, 6, probes()-before, 1, "one in 9.6 s, later in 10")
			require.NoError(t, c.Abort())
		})
	}
}

// A path on which probes are answered and data gets lost carries no more data than one retransmission for each probe.
func TestPathForProbesOnly(t *testing.T) {
	slow := simnet.Shape{Rate: 2 * simnet.Mbps, Delay: 10 * time.Millisecond, Queue: simnet.Queue{Time: 50 * time.Millisecond}}
	onPair(t, setup{paths: 2, shapes: []simnet.Shape{slow, slow}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		failed, stop := readErr(s), writeErr(c)
		time.Sleep(time.Second)
		var data atomic.Int64
		p.links[0].There.Through(simnet.DropIf(func(b []byte) bool {
			if simnet.HasPayload(b) {
				data.Add(1)
			}
			return simnet.HasPayload(b)
		}))
		time.Sleep(time.Second)
		data.Store(0)
		time.Sleep(20 * time.Second)
		require.Less(t, data.Load(), int64(50), "20 in 6 s, and 23 more")
		require.NoError(t, c.Abort())
		require.Error(t, result(t, stop))
		require.Error(t, result(t, failed))
	})
}
