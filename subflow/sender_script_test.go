package subflow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The first retransmission of an episode leaves at once, however small the controller has made
// the window.
func TestSenderFirstRetransmissionAtOnce(t *testing.T) {
	again := 0
	s, cc := scripted(t, 1<<20, func(seg *Segment) {
		if seg.Retransmit {
			again += seg.Len
		}
	})
	s.place(20 * simMSS)
	s.Run(ms(0))
	cc.window = 2 * simMSS
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(2*simMSS, 6*simMSS)}})
	s.Run(ms(10))
	require.Equal(t, simMSS, again)
}

// RFC 8985 section 6.1: transmissions at one instant still have an order.
func TestSenderStampsRise(t *testing.T) {
	s, _ := scripted(t, 1<<20, nil)
	s.place(simMSS)
	s.place(simMSS)
	s.Run(ms(0))
	a, b := s.board.recs.at(0), s.board.recs.at(1)
	require.True(t, b.sent.After(a.sent))
}

// What was sent again in smaller segments is SACKed in smaller segments.
func TestSenderSmallerMSSInBurst(t *testing.T) {
	s, _ := scripted(t, 1<<20, nil)
	s.place(10 * simMSS)
	s.Run(ms(0))
	s.SetMSS(1000)
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(4*simMSS, 10*simMSS)}})
	s.Run(ms(10))
	s.OnAck(ms(20), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(1000, 2000)}})
	require.Equal(t, 6*simMSS+1000, s.board.sackedBytes)
}

// probed returns a sender whose lone segment has been probed for, and when.
func probed(t *testing.T) (*scriptedSender, *fixedWindow, time.Time) {
	s, cc := scripted(t, 1<<20, nil)
	s.place(simMSS)
	now := s.Run(ms(0))
	s.Run(now)
	require.EqualValues(t, 1, s.Snapshot().TLPs)
	require.Zero(t, cc.losses)
	return s, cc, now
}

// RFC 8985 section 7.4.2: a probe that repaired a loss is a loss for the controller, one
// that was not needed is none.
func TestSenderProbeOutcome(t *testing.T) {
	s, cc, now := probed(t)
	s.OnAck(now.Add(11*time.Millisecond), &Ack{Seq: s.seqOf(simMSS), Window: 1 << 20})
	s.place(simMSS)
	s.Run(now.Add(20 * time.Millisecond))
	s.OnAck(now.Add(30*time.Millisecond), &Ack{Seq: s.seqOf(2 * simMSS), Window: 1 << 20})
	require.Equal(t, 1, cc.losses)
	require.Equal(t, 1, cc.recoveries)

	s, cc, now = probed(t)
	s.OnAck(now.Add(11*time.Millisecond), &Ack{Seq: s.seqOf(simMSS), Window: 1 << 20, SACK: []SACKBlock{s.block(0, simMSS)}})
	s.place(simMSS)
	s.Run(now.Add(20 * time.Millisecond))
	s.OnAck(now.Add(30*time.Millisecond), &Ack{Seq: s.seqOf(2 * simMSS), Window: 1 << 20})
	require.Zero(t, cc.losses)
	require.Zero(t, s.rack.mult, "a duplicate probe is no reordering")
}

// RFC 8985 section 6.2, step 4: the reordering window grows by a quarter of the smallest RTT
// for each round with DSACKs, up to the smoothed RTT, and falls back after 16 recoveries.
func TestRackWindow(t *testing.T) {
	e := &rttEstimator{}
	e.add(simStart, 20*time.Millisecond)
	k := &rack{}
	require.Equal(t, 5*time.Millisecond, k.window(e, false))
	require.Zero(t, k.window(e, true))
	k.reordering = true
	k.dsack(100, 200)
	k.dsack(150, 250) // the same round
	require.Equal(t, 10*time.Millisecond, k.window(e, true))
	for i := range uint64(5) {
		k.dsack(200+100*i, 300+100*i)
	}
	require.Equal(t, 20*time.Millisecond, k.window(e, true))
	for range reoPersist {
		k.recovered()
	}
	require.Equal(t, 5*time.Millisecond, k.window(e, true))
	k.rtt = 20 * time.Millisecond
	k.late(28 * time.Millisecond)
	require.Equal(t, 10*time.Millisecond, k.window(e, true), "8 ms of lateness and a quarter more")
}

// What waited at the peer behind a hole gives no RTT when a retransmission fills the hole.
func TestSenderNoRTTBehindHole(t *testing.T) {
	s, cc := scripted(t, 1<<20, nil)
	for range 10 {
		s.place(simMSS)
	}
	s.Run(ms(0))
	cc.window = simMSS
	// All SACKs are lost; the timer brings the first segment again.
	for now := ms(0); s.Snapshot().RTOs == 0; {
		now = s.Run(now)
	}
	s.cfg.NoSACK = true
	s.OnAck(ms(900), &Ack{Seq: s.seqOf(10 * simMSS), Window: 1 << 20})
	require.Equal(t, 10*time.Millisecond, s.Snapshot().SRTT)
}

// However often SACK blocks come, a run is one record.
func TestSenderMergesSACKed(t *testing.T) {
	s, _ := scripted(t, 1<<20, nil)
	s.rack.reordering = true // so that nothing is lost
	for range 50 {
		s.place(simMSS)
	}
	s.Run(ms(0))
	for i := 49; i > 0; i -= 2 {
		s.OnAck(ms(1), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(i*simMSS, (i+1)*simMSS)}})
	}
	require.Equal(t, 50, s.board.recs.len())
	for i := 48; i > 0; i -= 2 {
		s.OnAck(ms(1), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(i*simMSS, (i+1)*simMSS)}})
	}
	require.Equal(t, 2, s.board.recs.len())
	require.Equal(t, 49*simMSS, s.board.sackedBytes)
	checkScoreboard(t, s.Sender)
}

// A refused window probe is sent again as soon as the window opens.
func TestSenderProbeRefused(t *testing.T) {
	var sizes []int
	s, cc := scripted(t, 0, func(seg *Segment) { sizes = append(sizes, seg.Len) })
	require.Equal(t, simMSS, s.Room(), "to probe with")
	s.place(simMSS)
	now := s.Run(ms(0))
	require.Empty(t, sizes)
	s.Run(now)
	require.Equal(t, []int{1}, sizes)
	s.OnAck(now.Add(10*time.Millisecond), &Ack{Seq: s.seqOf(0), Window: 0})
	s.Run(now.Add(10 * time.Millisecond))
	require.Len(t, sizes, 1)
	s.OnAck(now.Add(50*time.Millisecond), &Ack{Seq: s.seqOf(0), Window: 5000})
	s.Run(now.Add(50 * time.Millisecond))
	require.Equal(t, []int{1, 1, simMSS - 1}, sizes)
	require.Zero(t, cc.losses+cc.rtos)
}

func TestDeque(t *testing.T) {
	var d deque[int]
	var want []int
	state := uint32(1)
	next := func(n int) int { state = state*1664525 + 1013904223; return int(state>>8) % n }
	for i := range 20000 {
		switch op := next(10); {
		case op < 3 || len(want) == 0:
			d.pushBack(i)
			want = append(want, i)
		case op < 6:
			at := next(len(want))
			d.insert(at, i)
			want = append(want[:at], append([]int{i}, want[at:]...)...)
		case op < 8:
			at := next(len(want))
			d.remove(at)
			want = append(want[:at], want[at+1:]...)
		default:
			require.Equal(t, want[0], d.popFront())
			want = want[1:]
		}
		require.Equal(t, len(want), d.len())
	}
	for i := range want {
		require.Equal(t, want[i], d.at(i))
	}
}
