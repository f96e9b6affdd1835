package mptcp

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/pathmgr"
)

// laptop is a machine that can be suspended.
type laptop struct {
	clock.Environment
	asleep *atomic.Int64
}

// Asleep implements clock.Sleeper.
func (l laptop) Asleep() time.Duration { return time.Duration(l.asleep.Load()) }

// suspended is a setup whose client is such a machine.
func suspended(s setup) setup {
	s.asleep = new(atomic.Int64)
	return s
}

// Data that could not be delivered, and whose retransmission has been backed off, goes out as soon as
// the machine is awake again, whatever waits: bytes, DATA_FIN.
func TestAwakeWithDataInFlight(t *testing.T) {
	for _, fin := range []bool{false, true} {
		for paths := 1; paths <= 2; paths++ {
			t.Run(fmt.Sprintf("end of stream %v, %d paths", fin, paths), func(t *testing.T) {
				onPair(t, suspended(setup{paths: paths}), func(t *testing.T, p *pair) {
					c, s := p.connectFully(paths)
					for _, l := range p.links {
						l.Down()
					}
					var read <-chan error
					if fin {
						require.NoError(t, c.CloseWrite())
						read = readErr(s)
					} else {
						_, err := c.Write(make([]byte, 1000))
						require.NoError(t, err)
						read = async(func() error {
							_, err := io.ReadFull(s, make([]byte, 1000))
							return err
						})
					}
					time.Sleep(103 * time.Second) // the probes of a standstill have become seldom, and none is due soon
					for _, l := range p.links {
						l.Up()
					}
					p.asleep.Add(int64(time.Hour))
					awake := time.Now()
					require.NoError(t, result(t, read))
					require.Less(t, time.Since(awake), sleepLook+10*delay)
					require.EqualValues(t, 1, p.client.mib.Snapshot()["Resumed"])
				})
			})
		}
	}
}

// On an idle connection the subflows are asked, and those that do not answer make room for new
// ones, which come as soon as the path works. The others stay.
func TestAwakeOnAnotherNetwork(t *testing.T) {
	asleep := new(atomic.Int64)
	onRoutedWith(t, pathmgr.Default, pathmgr.Default, Config{}, asleep, func(t *testing.T, r *routed, c, s *Conn) {
		all, first := subflows(c), c.Info().Subflows[0].ID
		r.links[0][1].Down()
		asleep.Add(int64(time.Minute))
		awake := time.Now()
		eventually(t, func() bool { return established(c) == len(all)/2 }, "the dead subflows go")
		require.Less(t, time.Since(awake), wakeProbes*wakePause+2*sleepLook)
		require.Equal(t, first, c.Info().Subflows[0].ID)
		r.links[0][1].Up()
		eventually(t, func() bool { return established(c) == len(all) }, "new ones")
		require.ElementsMatch(t, all, subflows(c))
		exchange(t, c, s, 1<<20)
	})
}

// A path that was found dead is tried at once after the sleep, however long the pause had become.
func TestAwakeWhileAPathIsWaitedFor(t *testing.T) {
	asleep := new(atomic.Int64)
	onRoutedWith(t, pathmgr.Default, pathmgr.None, Config{}, asleep, func(t *testing.T, r *routed, c, _ *Conn) {
		require.Equal(t, 2, established(c))
		r.links[0][1].Down()
		asleep.Add(int64(time.Minute))
		eventually(t, func() bool { return established(c) == 1 }, "the dead subflow goes")
		eventually(t, func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return time.Until(c.pmAt) > 20*time.Second && c.liveSubs() == 1
		}, "a long pause")
		r.links[0][1].Up()
		asleep.Add(int64(time.Minute))
		awake := time.Now()
		eventually(t, func() bool { return established(c) == 2 }, "a new subflow")
		require.Less(t, time.Since(awake), sleepLook+10*delay)
	})
}

// A pause as any path may have is no sleep. A connection of plain TCP lives through a sleep and
// minutes without a network.
func TestWhatSleepDoesNotEnd(t *testing.T) {
	onPair(t, suspended(setup{paths: 2}), func(t *testing.T, p *pair) {
		p.connectFully(2)
		p.asleep.Add(int64(minSleep - time.Millisecond))
		time.Sleep(time.Minute)
		require.Zero(t, p.client.mib.Snapshot()["Resumed"])
	})
	for _, cfg := range []Config{{DisableMPTCP: true}, {BreakTimeout: -1}} {
		onPair(t, suspended(setup{paths: 1, client: &cfg}), func(t *testing.T, p *pair) {
			c, s := p.connectFully(1)
			p.links[0].Down()
			p.asleep.Add(int64(time.Minute))
			time.Sleep(time.Minute)
			p.links[0].Up()
			exchange(t, c, s, 1<<20)
		})
	}
}

// 8684-3.3.3-10: a connection without paths goes on where it stopped, after any time that
// Config.BreakTimeout allows: at once when the host has a device again, and where it is the peer that was
// away, with the next attempt.
func TestLongBreak(t *testing.T) {
	for side, within := range []time.Duration{20 * delay, 40 * time.Second} {
		onRoutedWith(t, pathmgr.Default, pathmgr.Default, Config{BreakTimeout: time.Hour}, nil, func(t *testing.T, r *routed, c, s *Conn) {
			r.remove(side, 0)
			r.remove(side, 1)
			_, err := c.Write([]byte("there"))
			require.NoError(t, err)
			_, err = s.Write([]byte("back"))
			require.NoError(t, err)
			time.Sleep(50 * time.Minute)
			require.Zero(t, established(c))
			r.add(side, 1) // the last one that went: the peer was told to forget the first
			back := time.Now()
			for end, want := range map[*Conn]string{s: "there", c: "back"} {
				got := make([]byte, len(want))
				_, err := io.ReadFull(end, got)
				require.NoError(t, err)
				require.Equal(t, want, string(got))
			}
			require.Less(t, time.Since(back), within)
		})
	}
}
