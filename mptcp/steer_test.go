package mptcp

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// steerTest is a connection over a near path and, second, another one.
type steerTest struct {
	*told
	t    *testing.T
	c, s *Conn
}

func onSteered(t *testing.T, cfg Config, near, other simnet.Shape, f func(t *testing.T, x *steerTest)) {
	t.Helper()
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
		x := &steerTest{told: newTold(t, w, cfg, Config{}), t: t}
		for i, shape := range []simnet.Shape{near, other} {
			x.links[i].Change(func(s *simnet.Shape) { *s = shape })
		}
		x.c, x.s = x.connect(t)
		x.ask(1000)
		time.Sleep(time.Second)
		f(t, x)
		closeBoth(t, x.c, x.s)
	})
}

// ask has a question answered with n bytes, and returns how long that takes.
func (x *steerTest) ask(n int) time.Duration {
	x.t.Helper()
	began := time.Now()
	sendAll(x.t, x.c, x.s, 100)
	sendAll(x.t, x.s, x.c, n)
	return time.Since(began)
}

// requireRests asserts which subflows rest, by the client and by the server.
func (x *steerTest) requireRests(want ...bool) {
	x.t.Helper()
	time.Sleep(200 * time.Millisecond) // MP_PRIO gets there
	var here, there []bool
	for _, s := range x.c.Info().Subflows {
		require.False(x.t, s.LocalBackup)
		here = append(here, s.Rests)
	}
	for _, s := range x.s.Info().Subflows {
		there = append(there, s.RemoteBackup)
	}
	require.Equal(x.t, want, here)
	require.Equal(x.t, want, there, "the server was told")
}

// requireNoRestInBulk downloads 20 MB and asserts that both subflows may be used meanwhile.
func (x *steerTest) requireNoRestInBulk() {
	x.t.Helper()
	done := async(func() error { _, err := x.s.Write(make([]byte, 20_000_000)); return err })
	half := make([]byte, 10_000_000)
	_, err := io.ReadFull(x.c, half)
	require.NoError(x.t, err)
	x.requireRests(false, false)
	_, err = io.ReadFull(x.c, half)
	require.NoError(x.t, err)
	require.NoError(x.t, <-done)
}

// prios is how often the server was told.
func (x *steerTest) prios() int { return int(x.client.Counters()["MPPrioTx"]) }

var (
	nearPath  = simnet.Shape{Rate: 50 * simnet.Mbps, Delay: 10 * ms, Queue: simnet.Queue{Time: 50 * ms}}
	farPath   = simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 40 * ms, Queue: simnet.Queue{Time: 100 * ms}}
	lossyPath = simnet.Shape{Rate: 50 * simnet.Mbps, Delay: 10 * ms, Queue: simnet.Queue{Time: 50 * ms}, Loss: 0.05}
)

// 8684-3.3.8-03: a far path rests from its SYN on, for answers do better without it, until the peer sends much; then
// both bring it. A second after that it rests again. What we send uses both all the time.
func TestFarPathRests(t *testing.T) {
	onSteered(t, Config{}, nearPath, farPath, func(t *testing.T, x *steerTest) {
		x.requireRests(false, true)
		require.Zero(t, x.prios(), "its SYN has said it")
		before := x.s.Info().Subflows[1].BytesSent
		require.Less(t, x.ask(1_000_000), 270*ms)
		require.Equal(t, before, x.s.Info().Subflows[1].BytesSent)
		x.requireRests(false, true)

		sendAll(t, x.c, x.s, 20_000_000)
		require.Greater(t, x.c.Info().Subflows[1].BytesSent, uint64(2_000_000))
		x.requireRests(false, true)
		require.Zero(t, x.prios())

		x.requireNoRestInBulk()
		require.Greater(t, x.s.Info().Subflows[1].BytesSent, uint64(3_000_000))
		require.Equal(t, 1, x.prios())
		time.Sleep(1500 * ms)
		x.requireRests(false, true)
		require.Equal(t, 2, x.prios())
	})
}

// When the near path works no more, the peer hears at once that it may use the other.
func TestFarPathIsWokenBySilence(t *testing.T) {
	onSteered(t, Config{}, nearPath, farPath, func(t *testing.T, x *steerTest) {
		x.requireRests(false, true)
		x.links[0].Down()
		require.Less(t, x.ask(1000), 2*time.Second)
		require.False(t, x.c.Info().Subflows[1].Rests)
		x.links[0].Up()
		for range 10 {
			time.Sleep(time.Second)
			x.ask(1000)
		}
		x.requireRests(false, true)
	})
}

// A path that loses rests beside one as near that does not, from the first loss on, and
// only one message says so; for bulk data both are used.
func TestLossyPathRests(t *testing.T) {
	onSteered(t, Config{}, lossyPath, nearPath, func(t *testing.T, x *steerTest) {
		x.requireRests(false, false)
		require.Equal(t, 1, x.prios(), "the second one is as near as the first")
		slow := 0
		for range 400 {
			if x.ask(1000) > 30*ms {
				slow++
			}
		}
		require.LessOrEqual(t, slow, 4, "one in ten would be")
		x.requireRests(true, false)
		require.Equal(t, 2, x.prios())

		x.requireNoRestInBulk()
	})
}

// A question that is answered on the path it was asked on, and stays unanswered, is no sign of a loss when the server
// is slow.
func TestSlowServerIsNoLoss(t *testing.T) {
	onSteered(t, Config{}, nearPath, nearPath, func(t *testing.T, x *steerTest) {
		for i := range 100 {
			sendAll(t, x.c, x.s, 100)
			time.Sleep(time.Duration(i%10) * 30 * ms)
			sendAll(t, x.s, x.c, 1000)
		}
		require.LessOrEqual(t, x.prios(), 8, "not for each of a hundred")
	})
}

// Where somebody has said what he wants, or does not want this, nothing is said to the peer.
func TestNoSteering(t *testing.T) {
	for name, cfg := range map[string]Config{
		"turned off":          {NoSteering: true},
		"aggregate":           {Intent: Aggregate},
		"fullmesh":            {PathManager: pathmgr.Fullmesh},
		"ports":               {PathManager: pathmgr.NDiffPorts(2)},
		"none of our default": {PathManager: func() pathmgr.Manager { return plainManager{pathmgr.Default()} }},
	} {
		t.Run(name, func(t *testing.T) {
			onSteered(t, cfg, nearPath, farPath, func(t *testing.T, x *steerTest) {
				x.ask(100_000)
				x.requireRests(false, false)
				require.Zero(t, x.prios())
			})
		})
	}
}

// plainManager hides all but the Manager.
type plainManager struct{ pathmgr.Manager }

// The program has the last word.
func TestSteeringGivesWay(t *testing.T) {
	onSteered(t, Config{}, nearPath, farPath, func(t *testing.T, x *steerTest) {
		x.requireRests(false, true)
		require.NoError(t, x.c.SetBackup(2, false))
		x.ask(100_000)
		x.requireRests(false, false)
		require.Equal(t, 1, x.prios())
		require.NoError(t, x.c.SetBackup(2, true))
		time.Sleep(200 * ms)
		sendAll(t, x.s, x.c, 20_000_000)
		require.Equal(t, 2, x.prios())
		info := x.c.Info().Subflows[1]
		require.True(t, info.LocalBackup)
		require.False(t, info.Rests)

		id, err := x.c.AddSubflow(context.Background(), netip.MustParseAddr("10.0.2.1"), netip.AddrPort{}, false)
		require.NoError(t, err)
		require.NoError(t, x.c.SetBackup(2, false))
		x.ask(1000)
		x.requireRests(false, false, false)
		require.Equal(t, uint32(3), id)
	})
}
