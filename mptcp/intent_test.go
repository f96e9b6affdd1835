package mptcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
)

// What an intent stands for, and what replaces it.
func TestIntentChooses(t *testing.T) {
	for _, c := range []struct {
		name       string
		host       Config
		conn       *ConnConfig
		sched, man string
	}{
		{"nothing said", Config{}, nil, "earliest", "default"},
		{"balanced", Config{Intent: Balanced}, &ConnConfig{}, "earliest", "default"},
		{"handover", Config{Intent: Handover}, nil, "backup", "backup"},
		{"interactive", Config{Intent: Interactive}, nil, "redundanttail", "default"},
		{"aggregate", Config{Intent: Aggregate}, nil, "earliest", "default"},
		{"the connection's", Config{Intent: Handover}, &ConnConfig{Intent: Interactive}, "redundanttail", "default"},
		{"the connection has none", Config{Intent: Handover}, &ConnConfig{}, "backup", "backup"},
		{"another scheduler", Config{Intent: Handover, Scheduler: scheduler.MinRTT}, nil, "minrtt", "backup"},
		{"another manager", Config{Intent: Interactive, PathManager: pathmgr.Manual}, nil, "redundanttail", "manual"},
		{"the host's choice gives way", Config{Scheduler: scheduler.MinRTT, PathManager: pathmgr.Manual}, &ConnConfig{Intent: Handover}, "backup", "backup"},
		{"the connection's choice", Config{}, &ConnConfig{Intent: Handover, Scheduler: scheduler.BLEST, PathManager: pathmgr.None}, "blest", "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := NewHost(&c.host)
			require.NoError(t, err)
			defer h.Close()
			conn, err := h.register(pathmgr.Client)
			require.NoError(t, err)
			conn.configure(c.conn)
			require.Equal(t, c.sched, conn.sched.Name())
			require.Equal(t, c.man, conn.pm.Name())
			require.NoError(t, conn.Close())
		})
	}
}

func TestIntentNames(t *testing.T) {
	for _, name := range IntentNames() {
		i, ok := IntentByName(name)
		require.True(t, ok)
		require.Equal(t, name, i.String())
	}
	require.Equal(t, "balanced", Intent(0).String())
	_, ok := IntentByName("nosuch")
	require.False(t, ok)
	require.Equal(t, "unknown", Intent(99).String())

	_, err := NewHost(&Config{Intent: 99})
	require.ErrorContains(t, err, "Config.Intent is 99")
	h, err := NewHost(nil)
	require.NoError(t, err)
	defer h.Close()
	_, err = h.DialWith(t.Context(), "tcp", "10.0.0.1:1", &ConnConfig{Intent: 99})
	require.ErrorContains(t, err, "ConnConfig.Intent is 99")
	_, err = h.ListenWith("tcp", ":1", &ConnConfig{Intent: 99})
	require.ErrorContains(t, err, "ConnConfig.Intent is 99")
}

// sentOn is what has left on each subflow, in the order of opening.
func sentOn(c *Conn) (bytes []uint64) {
	for _, s := range c.Info().Subflows {
		bytes = append(bytes, s.BytesSent)
	}
	return bytes
}

// rise is what has left on each subflow while do ran.
func rise(c *Conn, do func()) []uint64 {
	before := sentOn(c)
	do()
	now := sentOn(c)
	for i := range before {
		now[i] -= before[i]
	}
	return now
}

// Handover: the second path is there as a backup before it is needed, carries nothing in either
// direction as long as the first works, and everything when that is silent.
func TestHandover(t *testing.T) {
	onRoutedWith(t, nil, nil, Config{Intent: Handover}, nil, func(t *testing.T, r *routed, c, s *Conn) {
		first, second := r.links[0][0], r.links[0][1]
		require.Len(t, subflows(c), 4)
		for i, info := range c.Info().Subflows {
			require.Equal(t, i > 0, info.LocalBackup, "the peer is asked, too")
		}
		for _, ends := range [][2]*Conn{{c, s}, {s, c}} {
			up := rise(ends[0], func() { sendAll(t, ends[0], ends[1], 1<<20) })
			require.Equal(t, []uint64{1 << 20, 0, 0, 0}, up)
		}
		first.Down()
		began := time.Now()
		up := rise(c, func() { sendAll(t, c, s, 1<<20) })
		require.NotZero(t, up[1]+up[3])
		require.Less(t, time.Since(began), 3*time.Second)
		require.NotZero(t, second.There.Stats().ArrivedBytes)
		first.Up()
	})
}

// Interactive: small things, and the ends of large ones, go on all paths.
func TestInteractive(t *testing.T) {
	onRoutedWith(t, pathmgr.DefaultWithLimit(2), nil, Config{Intent: Interactive}, nil, func(t *testing.T, r *routed, c, s *Conn) {
		require.Equal(t, []uint64{1000, 1000}, rise(c, func() { sendAll(t, c, s, 1000) }))
		up := rise(c, func() { sendAll(t, c, s, 1<<20) })
		require.Greater(t, up[0]+up[1], uint64(1<<20))
		require.Less(t, up[0]+up[1], uint64(1<<20+1<<18), "only the end of it goes twice")
		// So a path that loses everything delays nothing, and the answers come as they are sent.
		r.links[0][0].Down()
		began := time.Now()
		sendAll(t, c, s, 1000)
		require.Less(t, time.Since(began), 25*time.Millisecond)
		r.links[0][0].Up()
	})
}

// Aggregate: two paths of 8 Mbit/s carry nearly 16.
func TestAggregate(t *testing.T) {
	onRoutedWith(t, nil, nil, Config{Intent: Aggregate}, nil, func(t *testing.T, _ *routed, c, s *Conn) {
		for _, ends := range [][2]*Conn{{c, s}, {s, c}} {
			began := time.Now()
			sendAll(t, ends[0], ends[1], 8<<20)
			rate := 8 * float64(8<<20) / time.Since(began).Seconds() / 1e6
			require.Greater(t, rate, 14.0)
		}
	})
}
