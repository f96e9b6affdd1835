package linkem

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// arrival is a numbered packet that came out, and when.
type arrival struct {
	number uint32
	at     time.Duration // since the test began
	len    int
}

// bench is a link under test with a reader at its second end.
type bench struct {
	t        *testing.T
	link     *Link
	a, b     *tun.PipeEnd
	start    time.Time
	arrivals []arrival
}

// run tests a link whose direction from a to b has the parameters, in virtual time.
func run(t *testing.T, p Params, f func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &bench{t: t, start: time.Now()}
		s.link, s.a, s.b = New(Config{AtoB: p, Seed: 42})
		done := make(chan struct{})
		go func() {
			defer close(done)
			pkts := make([]tun.Packet, 8)
			for {
				for i := range pkts {
					pkts[i].Head = make([]byte, tun.MaxPacketSize)
				}
				n, err := s.b.Read(pkts)
				if err != nil {
					return
				}
				for _, p := range pkts[:n] {
					s.arrivals = append(s.arrivals, arrival{binary.BigEndian.Uint32(p.Head), time.Since(s.start), len(p.Head)})
				}
			}
		}()
		f(s)
		require.NoError(t, s.link.Close())
		<-done
	})
}

// send puts in packets of 1250 bytes (10,000 bits) numbered from first.
func (s *bench) send(first, n int) {
	s.t.Helper()
	for i := range n {
		b := make([]byte, 1250)
		binary.BigEndian.PutUint32(b, uint32(first+i))
		require.NoError(s.t, s.a.Write([]tun.Packet{{Head: b}}))
	}
	synctest.Wait()
}

// wait lets virtual time pass.
func (s *bench) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestRateAndDelay(t *testing.T) {
	// 10,000 bits at 10 Mbit/s: a packet each millisecond.
	run(t, Params{Rate: 10e6, Delay: 25 * time.Millisecond}, func(s *bench) {
		s.send(0, 100)
		s.wait(time.Second)
		require.Len(t, s.arrivals, 100)
		for i, a := range s.arrivals {
			require.EqualValues(t, i, a.number)
			require.Equal(t, 25*time.Millisecond+time.Duration(i+1)*time.Millisecond, a.at)
		}
		require.Equal(t, Stats{Packets: 100, Bytes: 125000}, s.link.Stats(AtoB))
		require.Zero(t, s.link.Stats(BtoA))
	})
}

func TestNoParametersNoDelay(t *testing.T) {
	run(t, Params{}, func(s *bench) {
		s.send(0, 500)
		require.Len(t, s.arrivals, 500)
		require.Zero(t, s.arrivals[499].at)
	})
}

func TestDirectionsAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, b := New(Config{
			Names: [2]string{"x", "y"}, MTU: 1400,
			AtoB: Params{Down: true}, BtoA: Params{Delay: time.Second},
		})
		defer l.Close()
		require.Equal(t, []any{"x", "y", 1400}, []any{a.Name(), b.Name(), b.MTU()})
		start := time.Now()
		require.NoError(t, b.Write([]tun.Packet{{Head: []byte("hello")}}))
		got := []tun.Packet{{Head: make([]byte, tun.MaxPacketSize)}}
		_, err := a.Read(got)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got[0].Head))
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestQueueDropsTheTail(t *testing.T) {
	run(t, Params{Rate: 10e6, Queue: 10 * 1250}, func(s *bench) {
		s.send(0, 30)
		require.EqualValues(t, 20, s.link.Stats(AtoB).QueueDrops)
		s.wait(5 * time.Millisecond)
		s.send(100, 30) // room for the five that have left
		s.wait(time.Second)
		require.Len(t, s.arrivals, 15)
		require.EqualValues(t, 9, s.arrivals[9].number)
		require.EqualValues(t, 100, s.arrivals[10].number)
		require.Equal(t, 15*time.Millisecond, s.arrivals[14].at)
	})
}

func TestLossIsASeededFraction(t *testing.T) {
	var first []arrival
	for range 2 {
		run(t, Params{Loss: 0.1}, func(s *bench) {
			for i := range 100 {
				s.send(i*100, 100)
			}
			st := s.link.Stats(AtoB)
			require.InDelta(t, 1000, st.LossDrops, 100)
			require.EqualValues(t, 10000, st.LossDrops+st.Packets)
			if first == nil {
				first = s.arrivals
			}
			require.Equal(t, first, s.arrivals, "the same seed loses the same packets")
		})
	}
}

func TestDownDropsWhatIsUnderWayAndWhatEnters(t *testing.T) {
	run(t, Params{Rate: 10e6, Delay: 10 * time.Millisecond}, func(s *bench) {
		s.send(0, 10)
		s.wait(12 * time.Millisecond) // two have arrived, eight are flying
		s.link.SetDown(true)
		require.True(t, s.link.Params(BtoA).Down)
		s.send(10, 5)
		s.wait(time.Second)
		require.Len(t, s.arrivals, 2)
		require.EqualValues(t, 13, s.link.Stats(AtoB).DownDrops)

		s.link.SetDown(false)
		s.send(20, 1)
		s.wait(time.Second)
		require.Len(t, s.arrivals, 3)
		require.Equal(t, 1023*time.Millisecond, s.arrivals[2].at)
	})
}

func TestNewRateHoldsForWhatWaits(t *testing.T) {
	run(t, Params{Rate: 10e3}, func(s *bench) { // one packet a second
		s.send(0, 10)
		s.wait(2500 * time.Millisecond)
		require.Len(t, s.arrivals, 2)
		s.link.Set(AtoB, Params{Rate: 10e6})
		s.wait(10 * time.Millisecond)
		require.Len(t, s.arrivals, 10)
	})
}

func TestShorterDelayOvertakesWhenReordering(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		run(t, Params{Rate: 10e3, Delay: 10 * time.Second}, func(s *bench) {
			s.send(0, 2)
			s.wait(1500 * time.Millisecond) // the first is flying
			s.link.Set(AtoB, Params{Rate: 10e3, Reorder: reorder})
			s.wait(time.Minute)
			require.Len(t, s.arrivals, 2)
			if reorder {
				require.Equal(t, []arrival{{1, 2 * time.Second, 1250}, {0, 11 * time.Second, 1250}}, s.arrivals)
			} else {
				require.Equal(t, []arrival{{0, 11 * time.Second, 1250}, {1, 11 * time.Second, 1250}}, s.arrivals)
			}
		})
	}
}

func TestJitter(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		p := Params{Rate: 10e6, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Reorder: reorder}
		run(t, p, func(s *bench) {
			s.send(0, 200)
			s.wait(time.Second)
			require.Len(t, s.arrivals, 200)
			overtaken, late := 0, 0
			for i, a := range s.arrivals {
				early := 20*time.Millisecond + time.Duration(a.number+1)*time.Millisecond
				require.GreaterOrEqual(t, a.at, early)
				require.LessOrEqual(t, a.at, early+5*time.Millisecond)
				if a.at > early {
					late++
				}
				if i > 0 && a.number < s.arrivals[i-1].number {
					overtaken++
				}
			}
			require.Greater(t, late, 100)
			require.Equal(t, reorder, overtaken > 0)
		})
	}
}

func TestSuperSegmentsAreShapedAsPackets(t *testing.T) {
	// 1000 payload bytes and 40 of headers: 8320 bits.
	run(t, Params{Rate: 8.32e6, Queue: 1 << 20}, func(s *bench) {
		head := packet.AppendTCP(nil, &packet.Fields{
			Src: netip.MustParseAddrPort("192.0.2.1:1"), Dst: netip.MustParseAddrPort("192.0.2.2:2"), PayloadLen: 10000,
		})
		super := tun.Packet{Head: head, Payload: [][]byte{make([]byte, 10000)}, GSOSize: 1000, Checksum: tun.ChecksumPartial}
		require.NoError(t, s.a.Write([]tun.Packet{super, {Head: []byte("none"), GSOSize: 1}}))
		s.wait(time.Second)
		require.Len(t, s.arrivals, 10)
		for i, a := range s.arrivals {
			require.Equal(t, 1040, a.len)
			require.Equal(t, time.Duration(i+1)*time.Millisecond, a.at)
		}
	})
}

func TestBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev, far := tun.Pipe(tun.PipeConfig{})
		l, a := Bridge(Config{AtoB: Params{Delay: time.Second}}, dev)
		start := time.Now()
		require.NoError(t, a.Write([]tun.Packet{{Head: []byte("there")}}))
		got := []tun.Packet{{Head: make([]byte, tun.MaxPacketSize)}}
		_, err := far.Read(got)
		require.NoError(t, err)
		require.Equal(t, "there", string(got[0].Head))
		require.Equal(t, time.Second, time.Since(start))

		require.NoError(t, far.Write([]tun.Packet{{Head: []byte("back")}}))
		got[0].Head = got[0].Head[:tun.MaxPacketSize]
		_, err = a.Read(got)
		require.NoError(t, err)
		require.Equal(t, "back", string(got[0].Head))

		require.NoError(t, l.Close())
		require.ErrorIs(t, a.Write(nil), tun.ErrClosed)
		require.ErrorIs(t, dev.Write(nil), tun.ErrClosed)
	})
}

func BenchmarkLink(b *testing.B) {
	l, x, y := New(Config{})
	defer l.Close()
	head := packet.AppendTCP(nil, &packet.Fields{
		Src: netip.MustParseAddrPort("192.0.2.1:1"), Dst: netip.MustParseAddrPort("192.0.2.2:2"), PayloadLen: 14600,
	})
	super := []tun.Packet{{Head: head, Payload: [][]byte{make([]byte, 14600)}, GSOSize: 1460, Checksum: tun.ChecksumPartial}}
	pkts := make([]tun.Packet, 32)
	bufs := make([]byte, len(pkts)*tun.MaxPacketSize)
	b.SetBytes(14600)
	b.ReportAllocs()
	for b.Loop() {
		_ = x.Write(super)
		for left := 10; left > 0; {
			for i := range pkts {
				pkts[i].Head = bufs[i*tun.MaxPacketSize:][:tun.MaxPacketSize]
			}
			n, err := y.Read(pkts)
			if err != nil {
				b.Fatal(err)
			}
			left -= n
		}
	}
}
