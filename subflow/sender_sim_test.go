package subflow

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gomptcp/gomptcp/internal/rangeset"
	"github.com/gomptcp/gomptcp/internal/sendbuf"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/stretchr/testify/require"
)

const (
	simMSS     = 1400
	simHeader  = 60
	simFirst   = seq.DSN(1 << 40)
	simBufSize = 4 << 20
)

var simStart = time.Unix(1_700_000_000, 0)

// simConfig describes a path and a peer; the zero value of a field turns it off.
type simConfig struct {
	seed       uint64
	rate       float64       // bytes/s of the bottleneck on the wire, 0: none
	delay      time.Duration // one way, both directions
	queue      int           // bytes at the bottleneck, 0: no limit
	loss       float64       // of data
	ackLoss    float64
	reorder    time.Duration // each data packet waits up to this much more
	iss        uint32
	burst      int
	ackDelay   time.Duration // delayed ACKs
	noSACK     bool
	noDSACK    bool
	blocks     int // SACK blocks for each ACK, 0: 3
	window     int // the receiver's buffer, 0: 8 MB
	timerSlack time.Duration
	drop       func(p *simPacket, now time.Duration) bool
	cc         congestion.Controller
}

type simPacket struct {
	off     uint64
	payload []byte
	nth     int // transmissions of the first byte so far, this one included
}

type simEvent struct {
	at  time.Time
	seq int
	do  func()
}

type simHeap []simEvent

func (h simHeap) Len() int { return len(h) }
func (h simHeap) Less(i, j int) bool {
	if c := h[i].at.Compare(h[j].at); c != 0 {
		return c < 0
	}
	return h[i].seq < h[j].seq
}
func (h simHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *simHeap) Push(x any)   { *h = append(*h, x.(simEvent)) }
func (h *simHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// sim is a Sender, a path and a model of a receiving TCP in virtual time.
type sim struct {
	t      testing.TB
	cfg    simConfig
	now    time.Time
	events simHeap
	seq    int
	rng    *rand.Rand
	s      *Sender
	buf    *sendbuf.Buffer
	wake   time.Time
	wakeID int

	toSend    int // bytes that the application still wants to write
	placed    seq.DSN
	linkFree  time.Time
	linkQueue int
	times     map[uint64]int // transmissions by offset of a wire segment
	wire      int            // packets put on the wire

	// The receiver.
	got      rangeset.Set[uint64]
	rcvNxt   uint64
	rcvEdge  uint64
	consumed uint64
	stalled  bool // the application does not read
	recent   []uint64
	unacked  int
	ackTimer int
	rcvDups  int
}

func pattern(off uint64) byte { return byte(off*7 + off>>8 + off>>16) }

func newSim(t testing.TB, cfg simConfig) *sim {
	if cfg.cc == nil {
		cfg.cc = &fixedWindow{window: 200 * simMSS}
	}
	if cfg.blocks == 0 {
		cfg.blocks = 3
	}
	if cfg.window == 0 {
		cfg.window = 8 << 20
	}
	m := &sim{
		t: t, cfg: cfg, now: simStart,
		rng: rand.New(rand.NewPCG(cfg.seed, 1)), buf: sendbuf.New(simFirst), placed: simFirst,
		times: map[uint64]int{}, linkFree: simStart, rcvEdge: uint64(cfg.window),
	}
	m.s = NewSender(&SenderConfig{
		ISS: cfg.iss, MSS: simMSS, MaxBurst: cfg.burst, Controller: cfg.cc,
		Now: m.now, HandshakeRTT: 2 * cfg.delay, PeerWindow: cfg.window, NoSACK: cfg.noSACK, Emit: m.emit,
	})
	return m
}

func (m *sim) after(d time.Duration, do func()) {
	m.seq++
	heap.Push(&m.events, simEvent{m.now.Add(d), m.seq, do})
}

// pump is what a connection does: it writes, places and runs.
func (m *sim) pump() {
	for m.toSend > 0 && m.buf.Len() < simBufSize {
		n := min(m.toSend, 64<<10)
		p := make([]byte, n)
		first := uint64(m.buf.End().Sub(simFirst))
		for i := range p {
			p[i] = pattern(first + uint64(i))
		}
		m.buf.Write(p)
		m.toSend -= n
	}
	for m.placed.Less(m.buf.End()) {
		n := min(m.s.RoomFor(int(m.buf.End().Sub(m.placed))), m.s.Quantum(), int(m.buf.End().Sub(m.placed)))
		if n == 0 {
			break
		}
		m.s.Place(m.now, Chunk{DSN: m.placed, Data: m.buf.Span(m.placed, n)})
		m.placed = m.placed.Add(n)
	}
	if m.placed == m.buf.End() {
		m.s.MarkAppLimited()
	}
	next := m.s.Run(m.now)
	m.check()
	if next.IsZero() || next.Equal(m.wake) {
		return
	}
	m.wake = next
	m.wakeID++
	id := m.wakeID
	m.after(max(next.Sub(m.now), 0)+m.cfg.timerSlack, func() {
		if id == m.wakeID {
			m.wake = time.Time{}
			m.pump()
		}
	})
}

// check asserts what must always hold.
func (m *sim) check() {
	s := m.s
	require.GreaterOrEqual(m.t, s.board.inFlight, 0)
	require.Equal(m.t, int(s.nxt-s.una), s.board.inFlight+s.board.lostBytes+s.board.sackedBytes)
}

func (m *sim) emit(now time.Time, seg *Segment) error {
	off := uint64(m.s.offsetOf(seg.Seq))
	require.Equal(m.t, uint32(off)+m.cfg.iss+1, seg.Seq)
	// The mapping of a byte never changes, and covers the segment.
	first := uint64(seg.Mapping.DSN.Sub(simFirst))
	require.Equal(m.t, uint32(first)+1, seg.Mapping.SSN)
	require.LessOrEqual(m.t, first, off)
	require.LessOrEqual(m.t, off+uint64(seg.Len), first+uint64(seg.Mapping.Len))
	require.Equal(m.t, seg.Mapping.Len, seg.Entry.Data().Len())
	if !seg.Retransmit && seg.Len > 1 { // a single byte may be a probe
		require.LessOrEqual(m.t, off+uint64(seg.Len), m.s.edge, "beyond the window")
	}
	data := slices.Concat(seg.Payload...)
	require.Len(m.t, data, seg.Len)
	for len(data) > 0 {
		n := min(len(data), simMSS)
		m.times[off]++
		m.forward(&simPacket{off, data[:n], m.times[off]})
		data = data[n:]
		off += uint64(n)
	}
	return nil
}

// forward puts a packet on the path.
func (m *sim) forward(p *simPacket) {
	m.wire++
	size := len(p.payload) + simHeader
	if m.cfg.drop != nil && m.cfg.drop(p, m.now.Sub(simStart)) || m.rng.Float64() < m.cfg.loss {
		return
	}
	if m.cfg.queue > 0 && m.linkQueue+size > m.cfg.queue {
		return
	}
	if m.linkFree.Before(m.now) {
		m.linkFree = m.now
	}
	if m.cfg.rate > 0 {
		m.linkFree = m.linkFree.Add(time.Duration(float64(size) / m.cfg.rate * 1e9))
	}
	m.linkQueue += size
	wait := m.linkFree.Sub(m.now)
	extra := time.Duration(m.rng.Float64() * float64(m.cfg.reorder))
	m.after(wait, func() { m.linkQueue -= size })
	m.after(wait+m.cfg.delay+extra, func() { m.receive(p) })
}

func (m *sim) receive(p *simPacket) {
	end := p.off + uint64(len(p.payload))
	for i, b := range p.payload {
		if b != pattern(p.off+uint64(i)) {
			m.t.Fatalf("wrong byte at offset %d", p.off+uint64(i))
		}
	}
	if end > m.rcvEdge { // out of the window
		m.sendAck(nil)
		return
	}
	var dsack *SACKBlock
	if m.got.ContainsRange(p.off, end) {
		m.rcvDups++
		dsack = &SACKBlock{m.wireSeq(p.off), m.wireSeq(end)}
	}
	m.got.Add(p.off, end)
	before := m.rcvNxt
	if r, ok := m.got.First(); ok && r.Start == 0 {
		m.rcvNxt = r.End
	}
	if !m.stalled {
		m.consumed = m.rcvNxt
	}
	inOrder := m.rcvNxt == end && before == p.off && m.got.Len() == 1
	if !inOrder {
		m.recent = slices.DeleteFunc(m.recent, func(o uint64) bool { return o < m.rcvNxt })
		m.recent = append([]uint64{p.off}, m.recent...)
		m.recent = m.recent[:min(len(m.recent), 32)]
	} else if m.recent = m.recent[:0]; m.cfg.ackDelay > 0 {
		m.unacked++
		if m.unacked < 2 {
			m.ackTimer++
			id := m.ackTimer
			m.after(m.cfg.ackDelay, func() {
				if id == m.ackTimer && m.unacked > 0 {
					m.sendAck(nil)
				}
			})
			return
		}
	}
	m.sendAck(dsack)
}

func (m *sim) wireSeq(off uint64) uint32 { return m.cfg.iss + 1 + uint32(off) }

func (m *sim) sendAck(dsack *SACKBlock) {
	m.unacked = 0
	m.rcvEdge = max(m.rcvEdge, m.consumed+uint64(m.cfg.window))
	a := &Ack{Seq: m.wireSeq(m.rcvNxt), Window: int(m.rcvEdge - m.rcvNxt)}
	if dsack != nil && !m.cfg.noDSACK && !m.cfg.noSACK {
		a.SACK = append(a.SACK, *dsack)
	}
	for _, off := range m.recent {
		if len(a.SACK) == m.cfg.blocks || m.cfg.noSACK {
			break
		}
		for i := range m.got.Len() {
			r := m.got.Range(i)
			b := SACKBlock{m.wireSeq(r.Start), m.wireSeq(r.End)}
			if off >= r.Start && off < r.End && r.Start > m.rcvNxt && !slices.Contains(a.SACK, b) {
				a.SACK = append(a.SACK, b)
			}
		}
	}
	if m.rng.Float64() < m.cfg.ackLoss {
		return
	}
	m.after(m.cfg.delay, func() {
		m.s.OnAck(m.now, a)
		m.check()
		m.buf.Ack(simFirst.Add(int(m.s.una)))
		m.pump()
	})
}

// stall makes the receiver's application stop reading, or go on with a window update.
func (m *sim) stall(on bool) {
	m.stalled = on
	if !on {
		m.consumed = m.rcvNxt
		m.sendAck(nil)
	}
}

// write gives the application n more bytes to send.
func (m *sim) write(n int) {
	m.toSend += n
	m.pump()
}

// step runs the next event; false if there is none.
func (m *sim) step() bool {
	if len(m.events) == 0 {
		return false
	}
	e := heap.Pop(&m.events).(simEvent)
	m.now = e.at
	e.do()
	return true
}

// run until everything is delivered and acknowledged, for at most limit of virtual time.
// It returns how long that took.
func (m *sim) run(limit time.Duration) time.Duration {
	m.t.Helper()
	began := m.now
	for !(m.toSend == 0 && m.placed == m.buf.End() && m.s.Drained()) {
		if !m.step() || m.now.Sub(began) > limit {
			m.t.Fatalf("not delivered after %v: una %d nxt %d end %d in flight %d lost %d sacked %d, %+v",
				m.now.Sub(began), m.s.una, m.s.nxt, m.s.queue.end, m.s.board.inFlight, m.s.board.lostBytes,
				m.s.board.sackedBytes, m.s.Snapshot())
		}
	}
	require.Equal(m.t, m.s.una, m.rcvNxt)
	return m.now.Sub(began)
}

// runFor lets time pass.
func (m *sim) runFor(d time.Duration) {
	end := m.now.Add(d)
	for len(m.events) > 0 && !m.events[0].at.After(end) {
		m.step()
	}
	m.now = end
}

// fixedWindow is a controller that does not control; it counts what it is told.
type fixedWindow struct {
	window, mss                       int
	rate                              float64
	losses, recoveries, undos, rtos   int
	acked, lost                       int
	rateSamples                       []float64
	maxInFlight                       int
	appLimitedSamples, limitedSamples int
}

func (c *fixedWindow) Name() string             { return "fixed" }
func (c *fixedWindow) Init(p congestion.Params) { c.mss = p.MSS }
func (c *fixedWindow) OnSend(_ time.Time, n, inFlight int) {
	c.maxInFlight = max(c.maxInFlight, inFlight+n)
}
func (c *fixedWindow) OnAck(s *congestion.Sample) {
	c.acked += s.Acked
	c.lost += s.Lost
	if s.DeliveryRate > 0 && !s.AppLimited {
		c.rateSamples = append(c.rateSamples, s.DeliveryRate)
	}
	if s.AppLimited {
		c.appLimitedSamples++
	}
	if s.CwndLimited {
		c.limitedSamples++
	}
}
func (c *fixedWindow) OnLoss(time.Time, int, int) { c.losses++ }
func (c *fixedWindow) OnRecovered(time.Time)      { c.recoveries++ }
func (c *fixedWindow) OnUndo(time.Time)           { c.undos++ }
func (c *fixedWindow) OnRTO(time.Time, int)       { c.rtos++ }
func (c *fixedWindow) OnMSS(mss int)              { c.mss = mss }
func (c *fixedWindow) Window() int                { return c.window }
func (c *fixedWindow) PacingRate() float64        { return c.rate }

// renoLike is slow start and congestion avoidance with halving, and undo.
type renoLike struct {
	fixedWindow
	ssthresh, prior, credit int
}

func (c *renoLike) Init(p congestion.Params) {
	c.mss, c.window, c.ssthresh = p.MSS, p.InitialWindow, 1<<30
}
func (c *renoLike) OnAck(s *congestion.Sample) {
	c.fixedWindow.OnAck(s)
	switch {
	case s.InRecovery && c.window >= c.ssthresh || !s.CwndLimited:
	case c.window < c.ssthresh:
		c.window += s.Acked
	default:
		if c.credit += s.Acked; c.credit >= c.window {
			c.credit -= c.window
			c.window += c.mss
		}
	}
}
func (c *renoLike) OnLoss(now time.Time, inFlight, n int) {
	c.losses++
	c.prior = c.window
	c.ssthresh = max(c.window/2, 2*c.mss)
	c.window = c.ssthresh
}
func (c *renoLike) OnRTO(now time.Time, inFlight int) {
	c.rtos++
	if c.window > c.mss {
		c.prior = c.window
		c.ssthresh = max(c.window/2, 2*c.mss)
	}
	c.window = c.mss
}
func (c *renoLike) OnUndo(time.Time) {
	c.undos++
	c.window = max(c.window, c.prior)
	c.ssthresh = max(c.ssthresh, c.prior)
}
