package mptcp

import (
	"fmt"
	"io"
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
