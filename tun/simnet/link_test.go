package simnet_test

import (
	"bytes"
	"errors"
	"math/bits"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

func TestRateAndDelay(t *testing.T) {
	onLine(t, simnet.Shape{Rate: simnet.Mbps, Delay: ms(50)}, func(t *testing.T, l *line) {
		l.send(3, 1250) // 10 ms each
		sleep(time.Second)
		require.Equal(t, []time.Duration{ms(60), ms(70), ms(80)}, l.times())
		require.Equal(t, count(3), l.numbers())
	})
}

func TestNothingInTheWay(t *testing.T) {
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		l.send(300, 1500)
		sleep(1)
		require.Equal(t, count(300), l.numbers())
		require.Equal(t, make([]time.Duration, 300), l.times())
	})
}

func TestRateChangesWhileAPacketIsSent(t *testing.T) {
	onLine(t, simnet.Shape{Rate: simnet.Mbps}, func(t *testing.T, l *line) {
		set := func(r simnet.Rate) {
			l.link.There.Change(func(s *simnet.Shape) { s.Rate = r })
		}
		l.send(4, 1250) // 10 ms each
		sleep(ms(5))
		set(simnet.Mbps / 2) // the rest of the first: 10 ms
		sleep(ms(20))        // half of the second is sent
		set(simnet.Stalled)
		sleep(ms(100))
		set(simnet.Mbps) // 5 ms more
		sleep(ms(10))
		set(0) // the rest at once
		sleep(ms(10))
		require.Equal(t, []time.Duration{ms(15), ms(130), ms(135), ms(135)}, l.times())
	})
}

func TestQueueLimits(t *testing.T) {
	for _, tc := range []struct {
		name  string
		queue simnet.Queue
		want  int // of 100 packets of 10 ms each at once; one is being sent
	}{
		{"packets", simnet.Queue{Packets: 5}, 6},
		{"bytes", simnet.Queue{Bytes: 7 * 1250}, 8},
		{"time", simnet.Queue{Time: ms(30)}, 4},
		{"time shorter than a packet", simnet.Queue{Time: ms(3)}, 2},
		{"all", simnet.Queue{Packets: 5, Bytes: 7 * 1250, Time: ms(30)}, 4},
		{"default", simnet.Queue{}, 33},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onLine(t, simnet.Shape{Rate: simnet.Mbps, Queue: tc.queue}, func(t *testing.T, l *line) {
				l.send(100, 1250)
				sleep(10 * time.Second)
				require.Equal(t, count(tc.want), l.numbers())
				require.EqualValues(t, 100-tc.want, l.link.There.Stats().Full)
			})
		})
	}
}

// overload sends at twice the rate of the link for ten seconds and returns the longest
// time that a packet of the second half waited.
func overload(t *testing.T, q simnet.Queue) (worst time.Duration, stats simnet.Stats) {
	onLine(t, simnet.Shape{Rate: 10 * simnet.Mbps, Queue: q}, func(t *testing.T, l *line) {
		const n = 10000
		for i := range n { // 1 ms each, one each 0.5 ms
			l.write(segment(i, 1250))
			sleep(ms(0.5))
		}
		sleep(time.Minute)
		for _, a := range l.got {
			if i := number(a.bytes); i > n*9/10 {
				worst = max(worst, a.at-time.Duration(i)*ms(0.5)-ms(1))
			}
		}
		stats = l.link.There.Stats()
	})
	return worst, stats
}

// CoDel's drop rate rises until the queue is short, for senders that never slow down too.
func TestCoDel(t *testing.T) {
	long := simnet.Queue{Packets: 10000}
	worst, stats := overload(t, long)
	require.Greater(t, worst, 4*time.Second)
	require.Zero(t, stats.AQM)
	long.CoDel = &simnet.CoDel{}
	short, stats := overload(t, long)
	require.Less(t, short, worst*3/4)
	require.NotZero(t, stats.AQM)
}

// A queue that empties within the interval is left alone (RFC 8289 section 4.2).
func TestCoDelLetsBurstsPass(t *testing.T) {
	onLine(t, simnet.Shape{Rate: 10 * simnet.Mbps, Queue: simnet.Queue{Packets: 1000, CoDel: &simnet.CoDel{}}}, func(t *testing.T, l *line) {
		for range 20 {
			l.send(90, 1250) // 90 ms
			sleep(ms(200))
		}
		require.Len(t, l.got, 20*90)
	})
}

func TestLoss(t *testing.T) {
	onLine(t, simnet.Shape{Loss: 0.1}, func(t *testing.T, l *line) {
		l.send(10000, 100)
		sleep(1)
		lost := l.link.There.Stats().Lost
		require.InDelta(t, 1000, lost, 100)
		require.EqualValues(t, 10000-lost, len(l.got))
	})
}

func TestBurstLoss(t *testing.T) {
	onLine(t, simnet.Shape{Burst: simnet.Gilbert{ToBad: 0.01, ToGood: 0.2}}, func(t *testing.T, l *line) {
		const n = 30000
		l.send(n, 100)
		sleep(1)
		bursts, next := 0, 0
		for _, i := range l.numbers() {
			if i > next {
				bursts++
			}
			next = i + 1
		}
		lost := n - len(l.got)
		require.InDelta(t, n*0.01/0.21, lost, n*0.005, "share of the bad state")
		require.InDelta(t, 5, float64(lost)/float64(bursts), 0.7, "mean length of a burst")
	})
}

func TestJitterKeepsOrder(t *testing.T) {
	onLine(t, simnet.Shape{Delay: ms(10), Jitter: ms(5)}, func(t *testing.T, l *line) {
		var least, most time.Duration = time.Hour, 0
		for i := range 500 {
			sent := l.w.Elapsed()
			l.write(segment(i, 100))
			sleep(ms(20))
			took := l.got[i].at - sent
			least, most = min(least, took), max(most, took)
		}
		require.InDelta(t, ms(10), least, float64(ms(0.1)))
		require.InDelta(t, ms(15), most, float64(ms(0.1)))
		l.got = nil
		l.send(500, 100)
		sleep(ms(20))
		require.Equal(t, count(500), l.numbers())
	})
}

func TestReordering(t *testing.T) {
	onLine(t, simnet.Shape{Rate: simnet.Mbps, Delay: ms(10), Reorder: 0.1, ReorderBy: ms(25), Queue: simnet.Queue{Packets: 1000}}, func(t *testing.T, l *line) {
		l.send(500, 1250) // 10 ms each: two overtake
		sleep(time.Minute)
		require.Len(t, l.got, 500)
		late := 0
		for k, i := range l.numbers() {
			if k > i {
				require.LessOrEqual(t, k-i, 2)
				late++
			}
		}
		require.InDelta(t, 50, late, 20)
	})
}

func TestDuplication(t *testing.T) {
	onLine(t, simnet.Shape{Duplicate: 0.2}, func(t *testing.T, l *line) {
		l.send(1000, 100)
		sleep(1)
		require.InDelta(t, 1200, len(l.got), 50)
		require.True(t, isSorted(l.numbers()))
	})
}

func TestCorruption(t *testing.T) {
	onLine(t, simnet.Shape{Corrupt: 0.5}, func(t *testing.T, l *line) {
		l.send(200, 100)
		l.write(segment(200, 40))
		sleep(1)
		require.Len(t, l.got, 201)
		changed := 0
		for i, a := range l.got {
			require.True(t, packet.VerifyChecksum(a.bytes, nil), "mended")
			flips := 0
			for k, b := range segment(i, max(40, len(a.bytes)))[40:] {
				flips += bits.OnesCount8(b ^ a.bytes[40+k])
			}
			require.LessOrEqual(t, flips, 1)
			changed += flips
		}
		require.InDelta(t, 100, changed, 30)
		require.EqualValues(t, changed, l.link.There.Stats().Corrupted)
	})
}

func TestMTU(t *testing.T) {
	onLine(t, simnet.Shape{MTU: 1400}, func(t *testing.T, l *line) {
		require.Equal(t, 1400, l.link.A.MTU())
		l.write(segment(0, 1400))
		l.write(segment(1, 1401))
		sleep(1)
		l.link.There.Change(func(s *simnet.Shape) { s.MTU = 0 })
		l.write(segment(2, 1500))
		sleep(1)
		require.Equal(t, []int{0, 2}, l.numbers())
		require.EqualValues(t, 1, l.link.There.Stats().TooBig)
	})
}

func TestDownLosesWhatIsOnItsWay(t *testing.T) {
	onLine(t, simnet.Shape{Rate: simnet.Mbps, Delay: ms(15)}, func(t *testing.T, l *line) {
		l.send(10, 1250)
		sleep(ms(36)) // 0 and 1 have arrived, 2 flies, 3 is being sent, the others wait
		l.link.Down()
		l.write(segment(10, 1250))
		sleep(ms(100))
		l.link.Up()
		l.write(segment(11, 1250))
		sleep(time.Second)
		require.Equal(t, []int{0, 1, 11}, l.numbers())
		require.Equal(t, ms(136+25), l.got[2].at)
		require.EqualValues(t, 9, l.link.There.Stats().Down)
	})
}

func TestFailTellsTheHost(t *testing.T) {
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		gone := errors.New("gone")
		failed := make(chan error)
		go func() {
			_, err := l.link.A.Read([]tun.Packet{{Head: make([]byte, tun.MaxPacketSize)}})
			failed <- err
		}()
		sleep(1)
		l.link.A.Fail(gone)
		require.ErrorIs(t, <-failed, gone)
		require.ErrorIs(t, l.link.A.Write(nil), gone)
		dev := l.link.A.Device()
		require.NoError(t, dev.Write([]tun.Packet{{Head: segment(0, 100)}}))
		sleep(1)
		require.Equal(t, []int{0}, l.numbers())
		require.NoError(t, dev.Close())
		require.ErrorIs(t, dev.Write(nil), tun.ErrClosed)
	})
}

func TestSuperSegmentsAreCut(t *testing.T) {
	onLine(t, simnet.Shape{Rate: simnet.Mbps}, func(t *testing.T, l *line) {
		data := bytes.Repeat([]byte("0123456789"), 300)
		head := packet.AppendTCP(nil, &packet.Fields{Src: addrA, Dst: addrB, Flags: packet.FlagACK, PayloadLen: len(data)})
		p := tun.Packet{Head: head, Payload: [][]byte{data}, GSOSize: 1210, Checksum: tun.ChecksumPartial}
		require.NoError(t, l.link.A.Write([]tun.Packet{p}))
		sleep(time.Second)
		require.Equal(t, []time.Duration{ms(10), ms(20), ms(20 + 620*8/1000.)}, l.times())
		var got []byte
		for _, a := range l.got {
			require.True(t, packet.VerifyChecksum(a.bytes, nil))
			got = append(got, a.bytes[40:]...)
		}
		require.Equal(t, data, got)
	})
}

func TestShapesOutOfRangePanic(t *testing.T) {
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		for _, s := range []simnet.Shape{{Loss: 1.1}, {Corrupt: -1}, {Delay: -1}, {MTU: 70000}, {Queue: simnet.Queue{Bytes: -1}}} {
			require.Panics(t, func() { l.link.Change(func(x *simnet.Shape) { *x = s }) })
		}
	})
}
