package simnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

func TestSchedules(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		var log []string
		note := func(s string) func() {
			return func() {
				arrivals.Lock()
				defer arrivals.Unlock()
				log = append(log, w.Elapsed().String()+" "+s)
			}
		}
		w.At(ms(20), note("second"))
		w.At(ms(10), note("first"))
		w.At(ms(20), note("third"))
		stop := w.Every(ms(8), note("tick"))
		sleep(ms(30))
		stop()
		w.At(0, note("past"))
		sleep(ms(30))
		require.Equal(t, []string{"8ms tick", "10ms first", "16ms tick", "20ms second", "20ms third", "24ms tick", "30ms past"}, log)

		timer := w.AfterFunc(ms(10), note("timer"))
		require.True(t, timer.Reset(ms(5)))
		sleep(ms(6))
		require.Equal(t, "65ms timer", log[len(log)-1])
		require.False(t, timer.Stop())
		require.False(t, timer.Reset(ms(1)))
		require.True(t, timer.Stop())
		require.Equal(t, w.Now(), time.Now())
	})
}

// One of many timers at the same instant sees all that the ones before it did.
func TestTimersRunOneAtATime(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		n := 0
		for i := range 100 {
			w.At(ms(1), func() {
				arrivals.Lock()
				defer arrivals.Unlock()
				assert.Equal(t, i, n)
				next := make(chan struct{})
				go func() { runtime.Gosched(); n++; close(next) }()
				<-next
			})
		}
		sleep(ms(2))
		require.Equal(t, 100, n)
	})
}

func TestAnHourOfIdlingCostsNothing(t *testing.T) {
	for _, connected := range []bool{false, true} {
		require.NoError(t, simnet.Run(simnet.Config{}, func(w *simnet.World) {
			p := newPair(t, w, nil, simnet.Shape{}, simnet.Shape{})
			limit := 100
			if connected {
				limit = 10_000 // keepalive: both ends, on two subflows, four times a minute
				c, s := p.connect(t)
				defer func() { stream(t, c, s, 1000) }()
			}
			before := simnet.Scheduled(w)
			time.Sleep(time.Hour)
			require.Less(t, simnet.Scheduled(w)-before, uint64(limit), "events")
		}))
	}
}

func TestStandstillEndsAtTheDeadline(t *testing.T) {
	var got error
	err := simnet.Run(simnet.Config{Deadline: 10 * time.Minute}, func(w *simnet.World) {
		p := newPair(t, w, nil, simnet.Shape{Delay: ms(5)})
		c, _ := p.connect(t)
		_, got = c.Read(make([]byte, 1)) // nobody writes
	})
	require.Error(t, got)
	var stuck *simnet.StuckError
	require.ErrorAs(t, err, &stuck)
	require.Equal(t, 10*time.Minute, stuck.At)
	require.Contains(t, stuck.Dump, "link client-hub")
	require.Contains(t, stuck.Dump, "subflow 1 on client-hub")
}

func TestTimeThatStandsStillIsNoticed(t *testing.T) {
	defer simnet.SetMaxAtOnce(simnet.SetMaxAtOnce(1000))
	err := simnet.Run(simnet.Config{}, func(w *simnet.World) {
		p := newPair(t, w, nil, simnet.Shape{})
		c, _ := p.connect(t)
		var stop atomic.Bool
		var spin func()
		spin = func() {
			if !stop.Load() {
				w.AfterFunc(0, spin)
			}
		}
		w.At(time.Second, spin)
		_, err := c.Read(make([]byte, 1))
		assert.Error(t, err)
		stop.Store(true)
	})
	var stuck *simnet.StuckError
	require.ErrorAs(t, err, &stuck)
	require.Equal(t, time.Second, stuck.At)
}

func TestRunEndsAsItsFunctionDoes(t *testing.T) {
	require.PanicsWithError(t, "simnet: oh", func() {
		defer func() {
			require.Contains(t, recover(), "oh\n\nin the simulated world:")
			panic(errors.New("simnet: oh"))
		}()
		_ = simnet.Run(simnet.Config{}, func(*simnet.World) { panic("oh") })
	})
	ended := make(chan bool)
	go func() {
		returned := false
		defer func() { ended <- returned }()
		_ = simnet.Run(simnet.Config{}, func(*simnet.World) { runtime.Goexit() })
		returned = true
	}()
	require.False(t, <-ended)
}

func TestContextsFollowTheWorldsTime(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		<-ctx.Done()
		require.Equal(t, time.Minute, w.Elapsed())
	})
}

func TestCleanupsRunInTheWorld(t *testing.T) {
	var at time.Duration
	t.Run("", func(t *testing.T) {
		simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
			t.Cleanup(func() {
				time.Sleep(time.Second)
				at = w.Elapsed()
			})
		})
	})
	require.Equal(t, time.Second, at)
}

func TestChanceFollowsTheSeed(t *testing.T) {
	read := func(seed uint64, name string) (b [16]byte) {
		_ = simnet.Run(simnet.Config{Seed: seed}, func(w *simnet.World) {
			_, _ = io.ReadFull(w.Host(name).Rand(), b[:])
		})
		return b
	}
	require.Equal(t, read(1, "a"), read(1, "a"))
	require.NotEqual(t, read(1, "a"), read(2, "a"))
	require.NotEqual(t, read(1, "a"), read(1, "b"))
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		require.Equal(t, w.Rand("x").Uint64(), w.Rand("x").Uint64())
		require.NotEqual(t, w.Rand("x").Uint64(), w.Rand("y").Uint64())
		w.Host("a")
		require.Panics(t, func() { w.Router("a") })
	})
}

// What two hosts send at the same instant enters in the order of the hosts.
func TestOrderOfWhatIsSentAtOnce(t *testing.T) {
	for range 20 {
		var order []string
		cfg := simnet.Config{Record: func(e simnet.Event) {
			if e.Kind == simnet.Entered {
				order = append(order, e.Direction.Name())
			}
		}}
		simnet.Test(t, cfg, func(t *testing.T, w *simnet.World) {
			hub := w.Router("hub")
			for _, name := range []string{"a", "b", "c", "d"} {
				l := w.Connect(w.Host(name), hub, simnet.Shape{}, simnet.Shape{})
				go func() { _ = l.A.Write([]tun.Packet{{Head: segment(0, 100)}}) }()
			}
			sleep(1)
			require.EqualValues(t, 4, hub.Dropped(), "no routes")
		})
		require.Equal(t, []string{"a-hub", "b-hub", "c-hub", "d-hub"}, order)
	}
}

func TestRouters(t *testing.T) {
	for _, tc := range []struct{ name, a, b, toA, toB string }{
		{"v4", "10.0.0.1", "10.0.0.2", "10.0.0.0/31", "10.0.0.2/31"},
		{"v6", "2001:db8::1", "2001:db8::2", "2001:db8::/127", "::/0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
				a, b, r, s := w.Host("a"), w.Host("b"), w.Router("r"), w.Router("s")
				la := w.Connect(a, r, simnet.Shape{Delay: ms(1)}, simnet.Shape{})
				mid := w.Connect(r, s, simnet.Shape{Delay: ms(2), Rate: simnet.Mbps}, simnet.Shape{})
				lb := w.Connect(s, b, simnet.Shape{Delay: ms(4)}, simnet.Shape{})
				r.Route(netip.MustParsePrefix(tc.toA), la)
				r.Route(netip.MustParsePrefix(tc.toB), mid)
				s.Route(netip.MustParsePrefix(tc.toB), lb)
				s.Route(netip.MustParsePrefix(tc.toA), mid)
				require.Panics(t, func() { r.Route(netip.MustParsePrefix(tc.toB), lb) })

				l := newLine(t, w, &simnet.Link{A: la.A, B: lb.B})
				from := netip.AddrPortFrom(netip.MustParseAddr(tc.a), 1)
				to := netip.AddrPortFrom(netip.MustParseAddr(tc.b), 2)
				for _, ttl := range []uint8{64, 2, 3} {
					l.write(build(packet.Fields{Src: from, Dst: to, TTL: ttl}, make([]byte, 1190)))
				}
				sleep(time.Second)
				require.Len(t, l.got, 2)
				first, _ := packet.ParseTCP(l.got[0].bytes)
				last, _ := packet.ParseTCP(l.got[1].bytes)
				require.EqualValues(t, 62, first.TTL())
				require.EqualValues(t, 1, last.TTL())
				require.EqualValues(t, 1, s.Dropped(), "time to live")
				require.True(t, packet.VerifyChecksum(l.got[0].bytes, nil))
				sending := time.Duration(len(l.got[0].bytes)) * 8 * time.Microsecond
				require.Equal(t, ms(7)+sending, l.got[0].at)
				require.Equal(t, ms(7)+3*sending, l.got[1].at, "the middle link is shared")
			})
		})
	}
}

func TestCaptureHasVirtualTimes(t *testing.T) {
	var file bytes.Buffer
	var began time.Time
	onLine(t, simnet.Shape{Delay: ms(10)}, func(t *testing.T, l *line) {
		began = l.w.Now()
		stop, err := l.w.Capture(&file, l.link.A, l.link.B)
		require.NoError(t, err)
		sleep(ms(5))
		l.write(segment(1, 100))
		sleep(time.Second)
		require.NoError(t, stop())
	})
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for i, at := range []time.Duration{ms(5), ms(15)} {
		b, info, err := r.ReadPacketData()
		require.NoError(t, err)
		require.Equal(t, segment(1, 100), b)
		require.Equal(t, at, info.Timestamp.Sub(began))
		intf, err := r.Interface(info.InterfaceIndex)
		require.NoError(t, err)
		require.Equal(t, []string{"a-b", "b-a"}[i], intf.Name)
	}
	_, _, err = r.ReadPacketData()
	require.ErrorIs(t, err, io.EOF)
}
