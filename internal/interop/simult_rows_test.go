//go:build linux

package interop

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/linkem"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
)

// simultRows are those of simult_flows.sh: two paths of given rates are used together.
var simultRows = []row{
	simultRow("unbalanced bwidth 20/20", 20e6, 20e6), simultRow("unbalanced bwidth 20/10", 20e6, 10e6),
}

// simultRow sends 8 MB each way, one way after the other, over two paths with rates in bit/s.
func simultRow(name string, rates ...int64) row {
	return row{
		number: 85, name: name, paths: 2, families: []Family{IPv4},
		serves: counts{"MPJoinAckRx": 1}, dials: counts{"MPJoinSynAckRx": 1, "AddAddr": 1},
		host: func(role Role, cfg *mptcp.Config) {
			if joins(1)(role, cfg); role == Server {
				announces(1)(role, cfg)
			}
		},
		kernel: kernelLimits(1, 1),
		wrap:   shaped(rates),
		run: func(t testing.TB, s *scene) {
			library, kernel := s.Connect(t, true)
			for _, ends := range [][2]Conn{{library, kernel}, {kernel, library}} {
				requireBoth(t, s, ends, rates)
			}
			require.NoError(t, library.Close())
			require.NoError(t, kernel.Close())
			require.NoError(t, library.Wait(short(t)))
		},
	}
}

// requireBoth sends one way, three times at most, and wants it once to take hardly longer than
// at the sum of the rates, headers included, with some time for the start. With the faster path
// alone it would take 1.5 or 2 times as long. (The machine may be busy with other things.)
func requireBoth(t testing.TB, s *scene, ends [2]Conn, rates []int64) {
	const start, slack = 300 * time.Millisecond, 1.2 * 1500 / 1424
	sum := int64(0)
	for _, r := range rates {
		sum += r
	}
	bound := start + time.Duration(8*simultBytes*slack/float64(sum)*float64(time.Second))
	var took time.Duration
	for range 3 {
		if took = s.timed(t, ends); took < bound {
			return
		}
		t.Logf("%v of %v", took.Round(time.Millisecond), bound.Round(time.Millisecond))
	}
	require.Less(t, took, bound)
}

// simultBytes is what is sent at once.
const simultBytes = 8e6

// timed sends one way and returns how long it took. The first part waits for the joins.
func (s *scene) timed(t testing.TB, ends [2]Conn) time.Duration {
	got := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, ends[1], simultBytes)
		got <- err
	}()
	data := make([]byte, simultBytes)
	const first = simultBytes / 8
	began := time.Now()
	_, err := ends[0].Write(data[:first])
	require.NoError(t, err)
	s.await(t)
	_, err = ends[0].Write(data[first:])
	require.NoError(t, err)
	require.NoError(t, receive(t, got))
	return time.Since(began)
}

// shaped gives each path its rate.
func shaped(rates []int64) func(testing.TB, tun.Device) tun.Device {
	return func(t testing.TB, dev tun.Device) tun.Device {
		line := linkem.Params{Rate: rates[dev.Name()[len("path")]-'1'], Delay: time.Millisecond, Queue: 128 << 10}
		link, near := linkem.Bridge(linkem.Config{Names: [2]string{dev.Name()}, MTU: dev.MTU(), AtoB: line, BtoA: line}, dev)
		t.Cleanup(func() { link.Close() })
		return near
	}
}
