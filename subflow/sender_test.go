package subflow

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gomptcp/gomptcp/internal/sendbuf"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/stretchr/testify/require"
)

const mbit = 1e6 / 8

func TestSenderDeliversInOrder(t *testing.T) {
	cc := &fixedWindow{window: 100 * simMSS}
	m := newSim(t, simConfig{rate: 80 * mbit, delay: 5 * time.Millisecond, cc: cc})
	m.write(1 << 20)
	m.run(time.Second)
	st := m.s.Snapshot()
	require.Zero(t, st.Retransmits+st.Lost+st.RTOs+st.TLPs)
	require.EqualValues(t, 1<<20, st.BytesAcked)
	require.EqualValues(t, 1<<20, cc.acked)
	require.InDelta(t, 10, st.MinRTT.Seconds()*1e3, 0.5)
	require.LessOrEqual(t, cc.maxInFlight, cc.window)
	require.Positive(t, cc.limitedSamples)
}

// Whatever a path does, the bytes arrive, with the mapping that they had.
func TestSenderDeliversUnderLoss(t *testing.T) {
	for _, loss := range []float64{0.001, 0.01, 0.05, 0.2} {
		for _, burst := range []int{simMSS, 16 * simMSS} {
			for _, cc := range []func() congestion.Controller{
				func() congestion.Controller { return &fixedWindow{window: 60 * simMSS} },
				func() congestion.Controller { return &renoLike{} },
				congestion.NewCubic, congestion.NewBBR,
			} {
				c := cc()
				t.Run(fmt.Sprintf("%v/%d/%s-%T", loss, burst/simMSS, c.Name(), c), func(t *testing.T) {
					m := newSim(t, simConfig{
						seed: 7, rate: 80 * mbit, delay: 5 * time.Millisecond, loss: loss, ackLoss: loss / 2,
						reorder: time.Millisecond, queue: 200_000, burst: burst, cc: c,
					})
					m.write(1 << 20)
					took := m.run(4 * time.Minute)
					st := m.s.Snapshot()
					t.Logf("took %v, %d retransmits for %d lost segments, %d TLPs, %d RTOs, %d spurious", took,
						st.Retransmits, m.wireLost(), st.TLPs, st.RTOs, st.SpuriousRecoveries)
				})
			}
		}
	}
}

// wireLost is how many transmissions the peer never got.
func (m *sim) wireLost() int { return m.wire - len(m.times) - m.rcvDups }

func TestSenderManySeeds(t *testing.T) {
	for seed := range uint64(40) {
		m := newSim(t, simConfig{
			seed: seed, rate: 20 * mbit, delay: time.Duration(1+seed) * time.Millisecond, loss: float64(seed%5) * 0.03,
			ackLoss: float64(seed%3) * 0.1, reorder: time.Duration(seed%7) * time.Millisecond, queue: 60_000,
			burst: int(1+seed%9) * simMSS, iss: 1<<32 - 1<<18, window: 30_000 + int(seed)*7_001, blocks: 1 + int(seed%3),
			ackDelay: time.Duration(seed%2) * 40 * time.Millisecond, noSACK: seed%10 == 9, noDSACK: seed%4 == 0,
			cc: &renoLike{},
		})
		m.write(400_000)
		m.run(5 * time.Minute)
	}
}

// A sequence number space that wraps in the middle of a lossy transfer.
func TestSenderWrap(t *testing.T) {
	m := newSim(t, simConfig{seed: 3, rate: 80 * mbit, delay: 5 * time.Millisecond, loss: 0.02, iss: 1<<32 - 500_000, burst: 8 * simMSS})
	m.write(1 << 20)
	m.run(time.Minute)
	require.Less(t, m.s.SentEnd(), uint32(1<<20))
}

func TestSenderTailLossIsProbed(t *testing.T) {
	// RFC 8985 section 7: the last segments of a flight are lost.
	for _, tail := range []uint64{1, 3, 10} {
		const segs = 50
		m := newSim(t, simConfig{rate: 80 * mbit, delay: 10 * time.Millisecond, drop: func(p *simPacket, _ time.Duration) bool {
			return p.off >= (segs-tail)*simMSS && p.nth == 1
		}})
		m.write(20 * simMSS)
		m.run(time.Second)
		m.write(30 * simMSS)
		took := m.run(time.Second)
		st := m.s.Snapshot()
		require.Zero(t, st.RTOs)
		require.EqualValues(t, 1, st.TLPs)
		// Sending and a round trip for what arrives, a PTO of two round trips, the probe's
		// round trip, and one more for those that the probe shows to be lost.
		want := 100 * time.Millisecond
		if tail > 1 {
			want += 20 * time.Millisecond
		}
		require.Less(t, took, want, "tail %d", tail)
	}
}

// A lone segment is probed without waiting for a delayed ACK once the peer has shown that
// it acknowledges at once.
func TestSenderLoneSegmentProbe(t *testing.T) {
	lose := false
	m := newSim(t, simConfig{delay: 10 * time.Millisecond, drop: func(p *simPacket, _ time.Duration) bool {
		return lose && p.nth == 1
	}})
	m.write(100)
	m.run(time.Second)
	lose = true
	m.write(100)
	require.Less(t, m.run(time.Second), 70*time.Millisecond)
	require.Zero(t, m.s.Snapshot().RTOs)
}

func TestSenderDelayedAcks(t *testing.T) {
	m := newSim(t, simConfig{delay: 10 * time.Millisecond, ackDelay: 150 * time.Millisecond})
	for range 20 {
		m.write(100)
		m.run(time.Second)
	}
	st := m.s.Snapshot()
	require.LessOrEqual(t, st.TLPs, uint64(1))
	require.Zero(t, st.RTOs)
}

func TestSenderBlackout(t *testing.T) {
	dark := func(_ *simPacket, now time.Duration) bool {
		return now > 300*time.Millisecond && now < 5*time.Second
	}
	for _, cc := range []congestion.Controller{&renoLike{}, congestion.NewCubic(), congestion.NewBBR()} {
		m := newSim(t, simConfig{rate: 20 * mbit, delay: 10 * time.Millisecond, queue: 100_000, drop: dark, cc: cc})
		m.write(2 << 20)
		m.runFor(4 * time.Second)
		require.GreaterOrEqual(t, m.s.Backoffs(), 2)
		require.Less(t, m.s.LastProgress().Sub(simStart), 400*time.Millisecond)
		took := m.run(12 * time.Second)
		require.Zero(t, m.s.Backoffs())
		t.Logf("%s: %v after 4 s, %+v", cc.Name(), took, m.s.Snapshot())
	}
}

// A peer that closes its window is probed with a byte, with backoff, and what is lost of
// its window update does not matter.
func TestSenderZeroWindow(t *testing.T) {
	cc := &fixedWindow{window: 100 * simMSS}
	m := newSim(t, simConfig{delay: 5 * time.Millisecond, window: 20_000, cc: cc})
	m.stalled = true
	m.write(100_000)
	m.runFor(20 * time.Second)
	require.EqualValues(t, 20_000, m.rcvNxt)
	require.LessOrEqual(t, m.s.BytesSent(), uint64(20_001))
	require.Zero(t, cc.rtos, "a closed window is no congestion")
	require.Zero(t, m.s.Backoffs())
	probes := m.s.Snapshot().Retransmits
	require.InDelta(t, 6, float64(probes), 2) // 0.2, 0.4, 0.8, … s
	require.Less(t, m.now.Sub(m.s.LastProgress()), 15*time.Second, "the peer answers probes")

	m.stalled = false
	m.consumed = m.rcvNxt // no window update: the next probe must find out
	m.run(30 * time.Second)
}

func TestSenderWindowUpdate(t *testing.T) {
	m := newSim(t, simConfig{delay: 5 * time.Millisecond, window: 20_000})
	m.stalled = true
	m.write(100_000)
	m.runFor(3 * time.Second)
	m.stall(false)
	require.Less(t, m.run(time.Second), 150*time.Millisecond, "the update is used at once")
}

// A chunk larger than the window is sent in part, without runts.
func TestSenderSplitsAtWindowEdge(t *testing.T) {
	var sizes []int
	s, cc := scripted(t, 40*simMSS, func(seg *Segment) { sizes = append(sizes, seg.Len) })
	cc.window = 10*simMSS + 700
	s.place(30 * simMSS)
	s.Run(simStart)
	require.Equal(t, []int{10 * simMSS}, sizes)
	s.OnAck(simStart.Add(10*time.Millisecond), &Ack{Seq: s.seqOf(3 * simMSS), Window: 8*simMSS + 100})
	s.Run(simStart.Add(10 * time.Millisecond))
	require.Equal(t, []int{10 * simMSS, simMSS}, sizes, "up to the peer's window, in full segments")
}

// With nothing in flight a window below one segment is used: nothing would open it.
func TestSenderTinyWindow(t *testing.T) {
	var sizes []int
	s, _ := scripted(t, 500, func(seg *Segment) { sizes = append(sizes, seg.Len) })
	require.Equal(t, 500, s.Room())
	s.place(3000)
	s.Run(simStart)
	require.Equal(t, []int{500}, sizes)
	require.Zero(t, s.Room())
}

// scriptedSender is a Sender that the test drives by hand.
type scriptedSender struct {
	*Sender
	buf *sendbuf.Buffer
}

// scripted returns a sender with super-segments of 40 segments and an RTT of 10 ms.
func scripted(t testing.TB, window int, emit func(*Segment)) (*scriptedSender, *fixedWindow) {
	cc := &fixedWindow{window: 100 * simMSS}
	s := NewSender(&SenderConfig{
		ISS: 1000, MSS: simMSS, MaxBurst: 40 * simMSS, Controller: cc, Now: simStart,
		HandshakeRTT: 10 * time.Millisecond, PeerWindow: window,
		Emit: func(_ time.Time, seg *Segment) error {
			if emit != nil {
				emit(seg)
			}
			return nil
		},
	})
	return &scriptedSender{s, sendbuf.New(0)}, cc
}

func (s *scriptedSender) place(n int) {
	at := s.buf.End()
	s.buf.Write(make([]byte, n))
	s.Place(simStart, Chunk{DSN: at, Data: s.buf.Span(at, n)})
}

func (s *scriptedSender) block(from, to int) SACKBlock {
	return SACKBlock{s.seqOf(uint64(from)), s.seqOf(uint64(to))}
}

// ms is a time of a script.
func ms(n int) time.Time { return simStart.Add(time.Duration(n) * time.Millisecond) }

// A SACK inside a super-segment splits it at the boundaries of wire segments.
func TestSenderPartialSACK(t *testing.T) {
	type out struct {
		off, n int
		again  bool
	}
	var sent []out
	var s *scriptedSender
	s, cc := scripted(t, 1<<20, func(seg *Segment) {
		sent = append(sent, out{int(s.offsetOf(seg.Seq)), seg.Len, seg.Retransmit})
	})
	s.place(20 * simMSS)
	s.Run(ms(0))
	require.Equal(t, []out{{0, 20 * simMSS, false}}, sent)

	// Segments 2, 3 and the first half of 4 (which does not count), and 10 to 19.
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(2*simMSS, 4*simMSS+700), s.block(10*simMSS, 20*simMSS)}})
	require.Equal(t, 12*simMSS, s.board.sackedBytes)
	require.Equal(t, 8*simMSS, s.board.lostBytes, "12 segments SACKed are past the threshold")
	require.Equal(t, 1, cc.losses)
	sent = nil
	s.Run(ms(10))
	require.Equal(t, []out{{0, 2 * simMSS, true}, {4 * simMSS, 6 * simMSS, true}}, sent)
	require.Equal(t, 8*simMSS, s.InFlight())

	// An acknowledgement in the middle of a segment is taken as it is.
	res := s.OnAck(ms(21), &Ack{Seq: s.seqOf(6*simMSS + 100), Window: 1 << 20, SACK: []SACKBlock{s.block(10*simMSS, 20*simMSS)}})
	require.Equal(t, 6*simMSS+100, res.Acked)
	require.Equal(t, 4*simMSS+100, res.Delivered)
	s.OnAck(ms(22), &Ack{Seq: s.seqOf(20 * simMSS), Window: 1 << 20})
	require.True(t, s.Drained())
	require.Equal(t, 1, cc.recoveries)
	require.Zero(t, s.InFlight())
}

// What was deemed lost and then arrives without having been sent again was not lost.
func TestSenderUndoByOriginals(t *testing.T) {
	s, cc := scripted(t, 1<<20, nil)
	s.place(20 * simMSS)
	s.Run(ms(0))
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(2*simMSS, 20*simMSS)}})
	require.Equal(t, 1, cc.losses)
	s.Run(ms(10)) // sends two segments again
	s.OnAck(ms(12), &Ack{Seq: s.seqOf(20 * simMSS), Window: 1 << 20})
	require.Equal(t, 1, cc.undos, "2 ms after the retransmission this is the answer to the original")
	require.EqualValues(t, 1, s.Snapshot().SpuriousRecoveries)
	require.True(t, s.rack.reordering)
	require.GreaterOrEqual(t, s.rack.window(&s.rtt, true), 2*time.Millisecond)
}

// The same, but only the DSACK tells.
func TestSenderUndoByDSACK(t *testing.T) {
	s, cc := scripted(t, 1<<20, nil)
	s.place(20 * simMSS)
	s.Run(ms(0))
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(2*simMSS, 20*simMSS)}})
	s.Run(ms(10))
	s.OnAck(ms(20), &Ack{Seq: s.seqOf(20 * simMSS), Window: 1 << 20})
	require.Equal(t, 1, cc.recoveries)
	require.Zero(t, cc.undos)
	s.OnAck(ms(21), &Ack{Seq: s.seqOf(20 * simMSS), Window: 1 << 20, SACK: []SACKBlock{s.block(0, simMSS)}})
	require.Zero(t, cc.undos, "one of two is not enough")
	s.OnAck(ms(21), &Ack{Seq: s.seqOf(20 * simMSS), Window: 1 << 20, SACK: []SACKBlock{s.block(0, simMSS)}})
	require.Zero(t, cc.undos, "the same one again counts for nothing")
	s.OnAck(ms(22), &Ack{Seq: s.seqOf(20 * simMSS), Window: 1 << 20, SACK: []SACKBlock{s.block(simMSS, 2*simMSS)}})
	require.Equal(t, 1, cc.undos)
	require.EqualValues(t, 3, s.Snapshot().DSACKs)
}

// The same by timestamps: the ACK echoes what the original carried.
func TestSenderUndoByTimestamp(t *testing.T) {
	tsval := uint32(0)
	s, cc := scripted(t, 1<<20, func(seg *Segment) { tsval++; seg.TSVal = tsval })
	s.place(20 * simMSS)
	s.Run(ms(0))
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(simMSS, 20*simMSS)}})
	s.Run(ms(10))
	require.EqualValues(t, 2, tsval)
	s.OnAck(ms(30), &Ack{Seq: s.seqOf(20 * simMSS), Window: 1 << 20, HasTS: true, TSEcr: 1})
	require.Equal(t, 1, cc.undos)
}

// The round trip becomes much longer than the retransmission timeout, and stays so, while there is little to send: every
// message is sent again before its ACK comes. The ACKs echo the originals, which tells how long it is now.
func TestSenderLearnsLongerRoundTrip(t *testing.T) {
	const rtt = 1200 // ms
	var now time.Time
	again := 0
	s, _ := scripted(t, 1<<20, func(seg *Segment) {
		seg.TSVal = 1 + uint32(now.Sub(simStart)/time.Millisecond)
		if seg.Retransmit {
			again++
		}
	})
	const messages = 40
	for i := range messages {
		begin := i * 2 * rtt
		now = ms(begin)
		s.place(100)
		again = 0
		for next := s.Run(now); !next.IsZero() && next.Before(ms(begin+rtt)); next = s.Run(now) {
			now = next
		}
		now = ms(begin + rtt)
		s.OnAck(now, &Ack{Seq: s.seqOf(uint64(100 * (i + 1))), Window: 1 << 20, HasTS: true, TSEcr: uint32(1 + begin)})
		s.Run(now)
	}
	require.InDelta(t, rtt, s.SRTT().Milliseconds(), 50)
	require.Zero(t, again)
}

// A spike of delay lets the timer fire; the ACKs of the originals take it back.
func TestSenderSpuriousTimeout(t *testing.T) {
	sent := 0
	s, cc := scripted(t, 1<<20, func(seg *Segment) { sent += seg.Len })
	s.place(20 * simMSS)
	s.Run(ms(0))
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(10 * simMSS), Window: 1 << 20})
	s.tlp.sampled = false // the probe has been spent
	cc.window = 2 * simMSS
	for now := s.Run(ms(10)); cc.rtos == 0; {
		now = s.Run(now)
	}
	require.Equal(t, 10*simMSS, s.board.lostBytes+s.board.inFlight)
	require.Equal(t, 1, s.Backoffs())
	s.OnAck(ms(300), &Ack{Seq: s.seqOf(18 * simMSS), Window: 1 << 20})
	require.Equal(t, 1, cc.undos)
	require.Zero(t, s.board.lostBytes)
	require.Equal(t, 2*simMSS, s.InFlight())
	before := sent
	s.Run(ms(300))
	require.Equal(t, before, sent, "nothing more is sent again")
}

// A peer that takes back what it has SACKed gets it again after the timeout (RFC 2018
// section 8).
func TestSenderReneging(t *testing.T) {
	sent := 0
	s, cc := scripted(t, 1<<20, func(seg *Segment) { sent += seg.Len })
	s.place(4 * simMSS)
	s.Run(ms(0))
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(simMSS), Window: 1 << 20, SACK: []SACKBlock{s.block(2*simMSS, 4*simMSS)}})
	s.OnAck(ms(11), &Ack{Seq: s.seqOf(2 * simMSS), Window: 1 << 20})
	for now := ms(12); cc.rtos == 0; {
		now = s.Run(now)
	}
	require.Equal(t, 6*simMSS, sent)
}

// Without SACK three duplicate ACKs find the loss, and each partial ACK the next.
func TestSenderWithoutSACK(t *testing.T) {
	m := newSim(t, simConfig{rate: 80 * mbit, delay: 10 * time.Millisecond, noSACK: true, drop: func(p *simPacket, _ time.Duration) bool {
		return p.nth == 1 && (p.off == 10*simMSS || p.off == 13*simMSS)
	}})
	m.write(60 * simMSS)
	require.Less(t, m.run(time.Second), 90*time.Millisecond)
	require.EqualValues(t, 2, m.s.Snapshot().Retransmits)
}

// The controller hears of an episode once, however many losses it has.
func TestSenderReportsEpisodes(t *testing.T) {
	cc := &fixedWindow{window: 60 * simMSS}
	m := newSim(t, simConfig{rate: 80 * mbit, delay: 5 * time.Millisecond, cc: cc, drop: func(p *simPacket, _ time.Duration) bool {
		seg := p.off / simMSS
		return p.nth == 1 && (seg == 100 || seg == 105 || seg == 110 || seg == 400)
	}})
	m.write(800 * simMSS)
	m.run(time.Second)
	require.Equal(t, 2, cc.losses)
	require.Equal(t, 2, cc.recoveries)
	require.Equal(t, 4*simMSS, cc.lost)
	require.EqualValues(t, 4, m.s.Snapshot().Retransmits)
	require.Zero(t, cc.undos+cc.rtos)
}

func TestSenderDeliveryRate(t *testing.T) {
	cc := &fixedWindow{window: 100 * simMSS}
	m := newSim(t, simConfig{rate: 10 * mbit, delay: 5 * time.Millisecond, cc: cc})
	m.write(1 << 20)
	m.run(2 * time.Second)
	goodput := 10 * mbit * simMSS / (simMSS + simHeader)
	require.NotEmpty(t, cc.rateSamples)
	for _, r := range cc.rateSamples[200:] { // the initial burst has passed
		require.InEpsilon(t, goodput, r, 0.05)
	}
	// Small writes with pauses say nothing about the path.
	cc.appLimitedSamples = 0
	for range 20 {
		m.write(simMSS)
		m.runFor(50 * time.Millisecond)
	}
	require.GreaterOrEqual(t, cc.appLimitedSamples, 19)
	require.InEpsilon(t, goodput, m.s.Snapshot().DeliveryRate, 0.05)
}

func TestSenderPacing(t *testing.T) {
	cc := &fixedWindow{window: 1000 * simMSS, rate: 1e6}
	m := newSim(t, simConfig{delay: 20 * time.Millisecond, burst: 40 * simMSS, cc: cc, timerSlack: time.Millisecond})
	require.Equal(t, 2*simMSS, m.s.Quantum())
	m.write(1 << 20)
	m.runFor(100 * time.Millisecond)
	require.InEpsilon(t, 100_000, float64(m.s.BytesSent()), 0.06)
	require.LessOrEqual(t, m.s.Unsent(), 4*simMSS, "decisions are late")
	cc.rate = 10e6
	require.Equal(t, 7*simMSS, m.s.Quantum())
	began := m.s.BytesSent()
	m.runFor(50 * time.Millisecond)
	require.InEpsilon(t, 500_000, float64(m.s.BytesSent()-began), 0.06)
	cc.rate = 0
	require.Equal(t, 40*simMSS, m.s.Quantum())
}

// The end of a message has room where it fits, though it is less than a segment; what goes on has not.
func TestSenderRoomForTheEnd(t *testing.T) {
	m := newSim(t, simConfig{delay: 20 * time.Millisecond, burst: 40 * simMSS, cc: &fixedWindow{window: 10*simMSS + 200}})
	m.write(10 * simMSS)
	require.Zero(t, m.s.Room())
	require.Zero(t, m.s.RoomFor(201))
	require.Equal(t, 200, m.s.RoomFor(200))
	m.write(200)
	m.runFor(time.Millisecond)
	require.EqualValues(t, 10*simMSS+200, m.s.BytesSent())
}

// What the round trips carried lags behind what is in flight as SRTT does, and tells of the same time.
func TestSenderCarried(t *testing.T) {
	cc := &fixedWindow{window: 100 * simMSS}
	m := newSim(t, simConfig{rate: 10 * mbit, delay: 5 * time.Millisecond, cc: cc})
	require.Zero(t, m.s.Snapshot().Carried)
	require.Zero(t, m.s.OldestSent())
	m.write(1 << 20)
	m.runFor(500 * time.Millisecond)
	st := m.s.Snapshot()
	require.InEpsilon(t, 100*simMSS, st.Carried, 0.05)
	require.InEpsilon(t, 10*mbit*simMSS/(simMSS+simHeader), float64(st.Carried)/st.SRTT.Seconds(), 0.05)
	require.InDelta(t, st.SRTT.Seconds(), m.now.Sub(m.s.OldestSent()).Seconds(), 0.005)
	cc.window = 20 * simMSS
	m.runFor(100 * time.Millisecond)
	st = m.s.Snapshot()
	require.Less(t, st.InFlight, 21*simMSS)
	require.InEpsilon(t, 10*mbit*simMSS/(simMSS+simHeader), float64(st.Carried)/st.SRTT.Seconds(), 0.1)
}

// Reordering of 3 ms on a path with 10 ms round trip, which a fixed reordering window takes
// for loss all the time.
func TestSenderReordering(t *testing.T) {
	for _, dsack := range []bool{true, false} {
		for _, cc := range []congestion.Controller{congestion.NewBBR(), congestion.NewCubic(), &fixedWindow{window: 120 * simMSS}} {
			m := newSim(t, simConfig{
				seed: 5, rate: 80 * mbit, delay: 5 * time.Millisecond, reorder: 3 * time.Millisecond, queue: 300_000,
				burst: 16 * simMSS, noDSACK: !dsack, cc: cc,
			})
			m.write(20 << 20)
			took := m.run(time.Minute)
			st := m.s.Snapshot()
			rate := float64(20<<20) * 8 / took.Seconds() / 1e6
			t.Logf("%s dsack=%v: %.1f Mbit/s, %d retransmits, %d dups, %d episodes undone, reo %v", cc.Name(), dsack, rate,
				st.Retransmits, m.rcvDups, st.SpuriousRecoveries, m.s.rack.window(&m.s.rtt, true))
			require.Greater(t, rate, 70.0)
			if cc.Name() != "cubic" { // which fills the queue, and drops
				require.Less(t, st.Retransmits, uint64(100))
			}
		}
	}
}

func TestSenderGoodput(t *testing.T) {
	for _, c := range []struct {
		cc   congestion.Controller
		rate float64
		rtt  time.Duration
		loss float64
		want float64
	}{
		{congestion.NewBBR(), 80, 10 * time.Millisecond, 0, 0.94},
		{congestion.NewBBR(), 80, 10 * time.Millisecond, 0.005, 0.90},
		{congestion.NewBBR(), 80, 10 * time.Millisecond, 0.02, 0.85},
		{congestion.NewBBR(), 400, 40 * time.Millisecond, 0.001, 0.85},
		{congestion.NewCubic(), 80, 10 * time.Millisecond, 0, 0.90},
		{congestion.NewCubic(), 20, 100 * time.Millisecond, 0, 0.80},
	} {
		const seconds = 5
		name := fmt.Sprintf("%s %v Mbit/s %v loss %v", c.cc.Name(), c.rate, c.rtt, c.loss)
		t.Run(name, func(t *testing.T) {
			m := newSim(t, simConfig{
				seed: 11, rate: c.rate * mbit, delay: c.rtt / 2, loss: c.loss, burst: 40 * simMSS, timerSlack: 300 * time.Microsecond,
				queue: int(c.rate * mbit * c.rtt.Seconds()), cc: c.cc,
			})
			total := int(c.rate * mbit * seconds)
			m.write(total)
			took := m.run(time.Minute)
			share := float64(total) / took.Seconds() / (c.rate * mbit * simMSS / (simMSS + simHeader))
			t.Logf("%.1f %% of the link; %+v, %d lost on the wire", 100*share, m.s.Snapshot().SenderCounters, m.wireLost())
			require.Greater(t, share, c.want)
		})
	}
}

// On a busy machine timers are late by milliseconds. What they miss is made good, or else BBR takes what is left
// for the rate of the path, and that shrinks again.
func TestSenderLateTimers(t *testing.T) {
	const rate, seconds = 20 * mbit, 10
	for _, slack := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 15 * time.Millisecond} {
		m := newSim(t, simConfig{seed: 1, rate: rate, delay: 40 * time.Millisecond, burst: 40 * simMSS, timerSlack: slack, queue: 250_000, cc: congestion.NewBBR()})
		m.write(rate * seconds)
		share := seconds / m.run(time.Minute).Seconds()
		t.Logf("%v late: %.1f %% of the link", slack, 100*share)
		require.Greater(t, share, 0.85)
	}
}

func TestSenderOutstandingAndClose(t *testing.T) {
	s, _ := scripted(t, 1<<20, nil)
	s.place(3000)
	s.place(1000)
	s.Run(ms(0))
	s.place(500)
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(1400), Window: 1 << 20, SACK: []SACKBlock{s.block(3000, 4000)}})
	var got []Outstanding
	for from := uint64(0); ; {
		o, ok := s.OutstandingFrom(from)
		if !ok {
			break
		}
		got = append(got, o)
		from = o.Offset + uint64(o.N)
	}
	require.Equal(t, []Outstanding{{1400, 1600, 1400}, {3000, 1000, 3000}, {4000, 500, 4000}}, got)
	o, _ := s.OutstandingFrom(3200)
	require.Equal(t, Outstanding{3200, 800, 3200}, o)
	require.Equal(t, 3100, s.Queued())
	require.Equal(t, 500, s.Unsent())

	end := s.SentEnd()
	s.Close()
	require.True(t, s.Run(ms(5000)).IsZero())
	require.Zero(t, s.Room())
	require.Equal(t, end, s.SentEnd(), "the translation of headers goes on")
	require.Equal(t, AckResult{}, s.OnAck(ms(5000), &Ack{Seq: s.seqOf(2000)}))
	s.Place(ms(5000), Chunk{DSN: 0, Data: s.buf.Span(0, 10)})
	require.Zero(t, s.Unsent())
}

// What a device does not take is brought by recovery, and does not stop the rest.
func TestSenderEmitFails(t *testing.T) {
	calls := 0
	fail := errors.New("queue full")
	cc := &fixedWindow{window: 20 * simMSS}
	m := newSim(t, simConfig{rate: 80 * mbit, delay: 5 * time.Millisecond, cc: cc})
	m.s.cfg.Emit = func(now time.Time, seg *Segment) error {
		if calls++; calls == 30 {
			return fail
		}
		return m.emit(now, seg)
	}
	m.write(100 * simMSS)
	require.Less(t, m.run(time.Second), 150*time.Millisecond)
	require.EqualValues(t, 1, m.s.Snapshot().Retransmits)
}

// After the MSS has shrunk nothing larger leaves, whatever its size was before.
func TestSenderSmallerMSS(t *testing.T) {
	var sizes []int
	s, _ := scripted(t, 1<<20, func(seg *Segment) { sizes = append(sizes, seg.Len) })
	s.cfg.MaxBurst = simMSS
	s.place(4 * simMSS)
	s.Run(ms(0))
	require.Equal(t, []int{simMSS, simMSS, simMSS, simMSS}, sizes)
	s.SetMSS(1000)
	s.place(3000)
	sizes = nil
	s.Run(ms(0))
	require.Equal(t, []int{1000, 1000, 1000}, sizes)
	sizes = nil
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(simMSS, 4*simMSS+3000)}})
	s.Run(ms(10))
	require.Equal(t, []int{1000, 400}, sizes)
}

// Acknowledgements of what was never sent, or long ago, change nothing.
func TestSenderIgnoresBadAcks(t *testing.T) {
	s, _ := scripted(t, 100_000, nil)
	s.place(20 * simMSS)
	s.Run(ms(0))
	s.OnAck(ms(10), &Ack{Seq: s.seqOf(simMSS), Window: 100_000})
	for _, a := range []Ack{
		{Seq: s.seqOf(20*simMSS + 1), Window: 5},
		{Seq: s.seqOf(simMSS) - 200_000, Window: 5},
		{Seq: s.seqOf(simMSS) + 1<<31, Window: 5},
		{Seq: s.seqOf(0), Window: 5}, // an old one
		{Seq: s.seqOf(simMSS), Window: 100_000, SACK: []SACKBlock{
			s.block(5*simMSS, 4*simMSS), s.block(18*simMSS, 21*simMSS), s.block(1<<30, 1<<30+1), s.block(7*simMSS, 7*simMSS),
		}},
	} {
		require.Zero(t, s.OnAck(ms(11), &a).Delivered)
		require.EqualValues(t, simMSS, s.una)
		require.Equal(t, uint64(simMSS+100_000), s.edge)
		require.Zero(t, s.board.sackedBytes)
	}
}

// A steady flow of super-segments and ACKs allocates nothing.
func TestSenderAllocations(t *testing.T) {
	s, _ := scripted(t, 1<<30, nil)
	now, at := simStart, uint64(0)
	s.place(10 * simMSS)
	span := s.buf.Span(0, 10*simMSS)
	ack := &Ack{SACK: make([]SACKBlock, 0, 4)}
	round := func() {
		for range 4 {
			span.Retain()
			s.Place(now, Chunk{DSN: 0, Data: span})
		}
		s.Run(now)
		now = now.Add(10 * time.Millisecond)
		// Two ACKs, the first with a hole in the third super-segment.
		ack.Seq, ack.Window = s.seqOf(at+22*simMSS), 1<<20
		ack.SACK = append(ack.SACK[:0], SACKBlock{s.seqOf(at + 23*simMSS), s.seqOf(at + 24*simMSS)})
		s.OnAck(now, ack)
		s.Run(now)
		now = now.Add(time.Millisecond)
		at = s.nxt
		ack.Seq, ack.SACK = s.seqOf(at), ack.SACK[:0]
		s.OnAck(now, ack)
	}
	for range 200 {
		round()
	}
	require.Zero(t, testing.AllocsPerRun(500, round))
}

func BenchmarkSender(b *testing.B) {
	s, cc := scripted(b, 1<<30, nil)
	cc.window = 400 * simMSS
	s.place(40 * simMSS)
	span := s.buf.Span(0, 40*simMSS)
	now := simStart
	ack := &Ack{Window: 1 << 20}
	b.SetBytes(40 * simMSS)
	b.ReportAllocs()
	for b.Loop() {
		span.Retain()
		s.Place(now, Chunk{DSN: 0, Data: span})
		s.Run(now)
		now = now.Add(time.Millisecond)
		ack.Seq = s.seqOf(s.nxt)
		s.OnAck(now, ack)
	}
}

// A peer that answers no probe of its closed window is silent; one that does is not.
func TestSenderUnansweredProbes(t *testing.T) {
	s, _ := scripted(t, 0, nil)
	s.place(simMSS)
	now := ms(0)
	for range 5 {
		now = s.Run(now)
		s.OnAck(now, &Ack{Seq: s.seqOf(0), Window: 0})
	}
	require.Zero(t, s.Backoffs())
	for range 3 {
		now = s.Run(now)
	}
	require.Positive(t, s.Backoffs())
}
