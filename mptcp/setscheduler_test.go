package mptcp

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/scheduler"
)

// lazy places nothing.
type lazy struct{}

func (lazy) Name() string                                                { return "lazy" }
func (lazy) Pick(_ scheduler.Request, _ []scheduler.Path, p []int) []int { return p }

// The scheduler changes while bytes wait; what the old one kept back is sent by the new one, and the
// connection's own comes back with nil.
func TestSetScheduler(t *testing.T) {
	onPair(t, setup{paths: 2, client: &Config{Scheduler: scheduler.Backup}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		require.Equal(t, "backup", c.Info().Scheduler)
		second := func() uint64 { return c.Info().Subflows[1].BytesSent }
		before := second()
		send := func(n int) {
			got := async(func() error {
				_, err := io.ReadFull(s, make([]byte, n))
				return err
			})
			_, err := c.Write(make([]byte, n))
			require.NoError(t, err)
			require.NoError(t, result(t, got))
		}
		send(1 << 20)
		require.Equal(t, before, second(), "all on the first")

		c.SetScheduler(func() scheduler.Scheduler { return lazy{} })
		_, err := c.Write(make([]byte, 100))
		require.NoError(t, err)
		require.Equal(t, c.Info().BytesWritten, c.Info().BytesSent+100, "kept back")
		c.SetScheduler(scheduler.RoundRobin)
		_, err = io.ReadFull(s, make([]byte, 100))
		require.NoError(t, err)

		send(1 << 20)
		require.Greater(t, second(), before)
		c.SetScheduler(nil)
		require.Equal(t, "backup", c.Info().Scheduler)
		closeBoth(t, c, s)
		c.SetScheduler(nil) // of a connection that is over: nothing happens
	})
}
