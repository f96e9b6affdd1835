package subflow

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/sendbuf"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.1-16, 8684-3.3.1-01: mappings again, overlapping, contradicting: what was declared
// first stands. The table is checked against one entry for each byte.
func TestRxMappingsAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 300 {
		const size = 400
		start := seq.SSN(rng.Uint32()) // wraps now and then
		if rng.Intn(2) == 0 {
			start = seq.SSN(0).Add(-rng.Intn(size))
		}
		model := make([]int64, size)
		for i := range model {
			model[i] = -1
		}
		var m rxMappings
		low := 0
		for range 60 {
			if rng.Intn(6) == 0 {
				low = min(low+rng.Intn(30), size)
				m.dropBelow(start.Add(low))
			}
			at := low + rng.Intn(size-low+1)
			n := min(1+rng.Intn(60), size-at)
			if n == 0 {
				continue
			}
			dsn := rng.Int63()
			require.True(t, m.add(rxMapping{start: start.Add(at), dsn: seq.DSN(dsn), n: n}))
			for i := range n {
				if model[at+i] < 0 {
					model[at+i] = dsn + int64(i)
				}
			}
		}
		for i := low; i < size; i++ {
			got := m.at(start.Add(i))
			if model[i] < 0 {
				require.Nil(t, got)
				continue
			}
			require.NotNil(t, got)
			require.EqualValues(t, model[i], got.dsn.Add(start.Add(i).Sub(got.start)))
		}
	}
}

// A peer that maps every byte on its own cannot make us hold more than so many.
func TestRxMappingsBound(t *testing.T) {
	var m rxMappings
	for i := range maxMappings {
		require.True(t, m.add(rxMapping{start: seq.SSN(2 * i), n: 1}))
	}
	require.False(t, m.add(rxMapping{start: seq.SSN(2 * maxMappings), n: 1}))
	m.dropBelow(1)
	require.True(t, m.add(rxMapping{start: seq.SSN(2 * maxMappings), n: 1}))
	require.LessOrEqual(t, cap(m.list), 4*maxMappings)
}

// The sums of pieces, whole or divided, in order or not, are that of all bytes.
func TestRxSumsAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	for range 300 {
		const size = 300
		start := seq.SSN(0).Add(-rng.Intn(size))
		stream := make([]byte, size)
		rng.Read(stream)
		have := make([]bool, size)
		var s rxSums
		for range 40 {
			at := rng.Intn(size)
			n := 1 + rng.Intn(min(50, size-at))
			require.True(t, s.add(start.Add(at), stream[at:at+n], false))
			for i := range n {
				have[at+i] = true
			}
		}
		at := rng.Intn(size)
		n := 1 + rng.Intn(size-at)
		all := true
		for i := range n {
			all = all && have[at+i]
		}
		sum, ok := s.over(start.Add(at), n)
		require.Equal(t, all, ok)
		if all {
			want := option.DSSChecksum(1, 2, 3, option.SumBytes(stream[at:at+n]))
			require.Equal(t, want, option.DSSChecksum(1, 2, 3, sum))
		}
		s.dropBelow(start.Add(at))
		_, ok = s.over(start.Add(at), n)
		require.Equal(t, all, ok, "only what lies before is gone")
	}
}

// Data is accounted for when the endpoint acknowledges it, not when it comes
// (8684-3.3.2-01).
func TestDataAckFollowsEndpoint(t *testing.T) {
	p := opened(t, setup{role: Responder})
	require.NotNil(t, p.mapped(0, 0, "hello"))
	p.requireStream(0)
	p.f.SendAck(p.now)
	d, _ := p.last().DSS()
	require.Equal(t, uint32(keyB.IDSN().Add(1)), uint32(d.Ack))
	d, _ = p.acks(5).DSS()
	require.Equal(t, uint32(keyB.IDSN().Add(6)), uint32(d.Ack))
	require.Equal(t, []string{"0+5"}, p.owner.mapped)
	require.Equal(t, RxRun{DSN: keyB.IDSN().Add(1), N: 5}, p.f.ReadableAt(p.f.ReadStart(), 100))
	require.Equal(t, RxRun{DSN: keyB.IDSN().Add(2), N: 3}, p.f.ReadableAt(p.f.ReadStart().Add(1), 3))
}

// 8684-3.1-16, 8684-3.3.1-01: the same mapping again, with other data before and after.
func TestMappingAgain(t *testing.T) {
	p := opened(t, setup{role: Responder})
	whole := p.mapping(0, 0, 10, "")
	p.data(0, "01234", whole)
	p.data(5, "56789", whole)
	p.data(0, "0123456789", whole)
	p.acks(10)
	require.Equal(t, []string{"0+10"}, p.owner.mapped)
}

// A mapping that contradicts an earlier one does not move what was declared.
func TestMappingContradiction(t *testing.T) {
	p := opened(t, setup{role: Responder})
	p.mapped(0, 0, "01234")
	p.data(0, "0123456789", p.mapping(0, 100, 10, ""))
	p.acks(10)
	require.Equal(t, []string{"0+5", "105+5"}, p.owner.mapped)
	require.Equal(t, 5, p.f.ReadableAt(p.f.ReadStart(), 100).N, "the run ends where the stream jumps")
}

// 8684-3.3.1-16, 8684-Q-28: a mapping ahead of its data, and one that comes with the next
// segment: data without mapping is acknowledged on the subflow and not by DATA_ACK
// (8684-3.3.1-08, -09).
func TestMappingEarlyAndLate(t *testing.T) {
	p := opened(t, setup{role: Responder})
	require.Nil(t, p.ack(0, 0, p.mapping(0, 0, 8, "")), "a pure ACK is not for the endpoint")
	p.data(0, "01234567")
	p.acks(8)
	p.requireStream(8)

	p.data(8, "unmapped")
	d, _ := p.acks(16).DSS()
	require.Equal(t, uint32(keyB.IDSN().Add(9)), uint32(d.Ack))
	require.Equal(t, 0, p.f.ReadableAt(p.f.ReadStart().Add(8), 100).N)
	p.data(16, "and more", p.mapping(8, 8, 16, ""))
	p.requireStream(16)
	p.acks(24)
	p.requireStream(24)
	require.Empty(t, p.owner.resets)
}

// A mapping over several segments, which come out of order.
func TestMappingOverReorderedSegments(t *testing.T) {
	p := opened(t, setup{role: Responder})
	m := p.mapping(0, 0, 15, "")
	p.data(10, "cdefg", m)
	p.data(5, "56789", m)
	p.acks(0)
	p.requireStream(0)
	p.data(0, "01234", m)
	p.acks(15)
	p.requireStream(15)
}

// 8684-3.8-02: data far beyond the window is dropped with its mapping, and answered.
func TestMappingBeyondWindow(t *testing.T) {
	p := opened(t, setup{role: Responder})
	n := len(p.wire.out)
	far := p.mapping(0, connectionWindow+2*mappingSlack, 5, "")
	require.Nil(t, p.data(0, "hello", far))
	require.Len(t, p.wire.out[n:], 1, "an ACK says where the window is")
	require.Zero(t, p.f.maps.len())
	require.Nil(t, p.ack(0, 0, p.mapping(p.f.advEdge.Sub(p.f.ReadStart())+2*mappingSlack, 0, 5, "")))
	require.Zero(t, p.f.maps.len())
	require.NotNil(t, p.mapped(0, 0, "hello"))
	p.acks(5)
	p.requireStream(5)
}

// The window shrinks as data comes that cannot be read yet, on ACKs that acknowledge nothing new: TCP ignores that, and a peer
// like Linux adds the window of before to DATA_ACK. What it then sends is taken.
func TestMappingInWindowOfBefore(t *testing.T) {
	p := opened(t, setup{role: Responder})
	const moved = connectionWindow * 3 / 4
	p.shared.RcvNxt = p.shared.RcvNxt.Add(moved) // by another subflow
	p.owner.window -= moved
	p.f.SendAck(p.now)
	require.EqualValues(t, connectionWindow-moved, p.shared.Advertised.Sub(p.shared.RcvNxt))
	require.NotNil(t, p.data(0, "hello", p.mapping(0, moved+connectionWindow-5, 5, "")))
	require.Equal(t, 1, p.f.maps.len())
}

// A mapping in the past of the subflow changes nothing.
func TestMappingPast(t *testing.T) {
	p := opened(t, setup{role: Responder})
	p.mapped(0, 0, "hello")
	p.acks(5)
	p.data(0, "hello", p.mapping(0, 500, 5, ""))
	p.data(5, "world", p.mapping(5, 5, 5, ""))
	p.acks(10)
	require.Equal(t, []string{"0+5", "5+5"}, p.owner.mapped)
}

// 8684-3.3.1-15: 32-bit DSNs and DATA_ACKs around the wrap of the low half (T-K7).
func TestDSNWraps(t *testing.T) {
	p := opened(t, setup{role: Responder, keys: [2]option.Key{keyK7, keyK7}})
	for i := range 20 {
		m := p.mapping(10*i, 10*i, 10, "")
		m.DSN &= 0xffffffff
		p.data(10*i, "0123456789", m)
		d, _ := p.acks(10 * (i + 1)).DSS()
		require.False(t, d.Ack64)
		require.Equal(t, uint32(keyK7.IDSN().Add(1+10*(i+1))), uint32(d.Ack))
	}
	p.requireStream(200)
	require.Equal(t, seq.DSN(0x9e10c70d00000000), keyK7.IDSN().Add(50))

	p.place(100)
	for _, n := range []int{30, 49, 50, 51, 100} {
		a := p.dataAck(n)
		a.Ack &= 0xffffffff
		p.ack(200, n, a)
		require.Equal(t, keyK7.IDSN().Add(1+n), p.owner.acks[len(p.owner.acks)-1].ack)
	}
	n := len(p.owner.acks)
	old := p.dataAck(30)
	old.Ack &= 0xffffffff
	p.ack(200, 100, old)
	require.Len(t, p.owner.acks, n, "an old DATA_ACK steps nothing")
}

// 8684-3.3.1-12, -13, 8684-3.3.2-02: both widths are taken, and 8-byte DSNs answered with
// 8-byte DATA_ACKs.
func TestWidths(t *testing.T) {
	p := opened(t, setup{role: Responder})
	m := p.mapping(0, 0, 5, "")
	p.data(0, "hello", m)
	d, _ := p.acks(5).DSS()
	require.False(t, d.Ack64)
	m = p.mapping(5, 5, 5, "")
	m.DSN64 = true
	before := p.f.MSS()
	p.data(5, "world", m)
	d, _ = p.acks(10).DSS()
	require.True(t, d.Ack64)
	require.Equal(t, keyB.IDSN().Add(11), seq.DSN(d.Ack))
	require.Less(t, p.f.MSS(), before)
	p.place(10)
	a := p.dataAck(10)
	a.Ack64 = true
	p.ack(10, 10, a)
	require.Equal(t, keyA.IDSN().Add(11), p.owner.acks[len(p.owner.acks)-1].ack)
	p.data(10, "again", p.mapping(10, 10, 5, ""))
	d, _ = p.acks(15).DSS()
	require.False(t, d.Ack64, "the peer has gone back to 4 bytes")
	require.Equal(t, before, p.f.MSS())
}

// 8684-3.3.1-14: mappings with the whole DSN; what was placed before keeps its mapping, and the
// segments their size.
func TestWideDSN(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		p := opened(t, setup{role: Responder, wantChecksum: checksum})
		before := p.f.MSS()
		place := func(n int) []sent {
			from := len(p.wire.out)
			for p.place(n); p.f.Sender().Unsent() > 0; p.run() {
				p.wait(10 * time.Millisecond) // it is paced
			}
			return p.wire.out[from:]
		}
		place(3 * before)
		p.shared.WideDSN = true
		p.ack(0, 3*before, p.dataAck(3*before))
		require.Equal(t, before-4, p.f.MSS())
		out := place(3 * p.f.MSS())
		require.Len(t, out, 3)
		for i, s := range out {
			d, ok := s.DSS()
			require.True(t, ok && d.HasMap && d.DSN64 && !d.Ack64)
			require.Equal(t, uint64(keyA.IDSN().Add(1+3*before)), d.DSN)
			require.Len(t, s.payload, p.f.MSS(), "piece %d", i)
			require.Equal(t, 1500, s.TotalLen())
		}
		p.shared.DataFin, p.shared.DataFinPending = p.buf.End(), true
		p.f.SendDataFin(p.now)
		d, _ := p.last().DSS()
		require.True(t, d.DSN64)
		require.Equal(t, uint64(p.buf.End()), d.DSN)
	}
}

// 8684-Q-29: relative sequence numbers start anew after 2^32 bytes on one subflow, in both
// directions.
func TestSSNWraps(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		p := opened(t, setup{role: Responder, wantChecksum: checksum})
		// As if 2^32 - 12 bytes had come: that moves what they are counted from.
		p.f.irs = p.f.irs.Add(12)
		for i := range 5 {
			payload := "01234"
			m := p.mapping(5*i-12, 5*i, 5, payload)
			p.data(5*i, payload, m)
			require.Equal(t, seq.SSN(peerISS+1+5*i), p.f.irs.Add(int(int32(m.SSN))))
			p.acks(5 * (i + 1))
		}
		p.requireStream(25)
		require.Empty(t, p.owner.resets)
	}
	q := sendQueue{end: 1<<32 - 12}
	data := sendbuf.New(0)
	data.Write(make([]byte, 30))
	for i, want := range []uint32{1<<32 - 11, 1<<32 - 1, 9} {
		q.push(Chunk{DSN: seq.DSN(10 * i), Data: data.Span(seq.DSN(10*i), 10)})
		require.Equal(t, Mapping{DSN: seq.DSN(10 * i), SSN: want, Len: 10}, q.find(q.end-1).Mapping())
	}
}

// 8684-3.3.4-03: a DATA_ACK of what was never sent is ignored.
func TestDataAckBeyondSent(t *testing.T) {
	p := opened(t, setup{})
	p.place(100)
	p.owner.acks = nil
	p.ack(0, 100, p.dataAck(101))
	require.Empty(t, p.owner.acks)
	p.ack(0, 100, p.dataAck(100))
	require.Equal(t, keyA.IDSN().Add(101), p.owner.acks[0].ack)
	require.Equal(t, peerWindow<<peerScale, p.owner.acks[0].window)
}

// 8684-3.3.2-03: the window of a segment without DATA_ACK does not count for the connection.
func TestWindowNeedsDataAck(t *testing.T) {
	p := opened(t, setup{})
	p.owner.acks = nil
	p.ack(0, 0)
	require.Empty(t, p.owner.acks)
}

// 8684-3.3.3-02, -03, 8684-W-24: DATA_FIN alone, with data, and again.
func TestDataFinIn(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		t.Run(fmt.Sprintf("checksum %v", checksum), func(t *testing.T) {
			p := opened(t, setup{role: Responder, wantChecksum: checksum})
			withData := p.mapping(0, 0, 6, "hello")
			withData.DataFin = true
			p.data(0, "hello", withData)
			require.Equal(t, checksum, p.owner.fins == nil, "with a checksum it counts when that is verified")
			p.acks(5)
			require.Equal(t, []seq.DSN{keyB.IDSN().Add(6)}, p.owner.fins)
			require.Equal(t, []string{"0+5"}, p.owner.mapped)
			require.Empty(t, p.owner.resets)

			alone := p.mapping(0, 5, 1, "")
			alone.DataFin, alone.SSN = true, 0
			if checksum {
				alone.Checksum = option.DSSChecksum(alone.DSN, 0, 1, 0)
			}
			require.Nil(t, p.ack(5, 0, alone))
			require.Equal(t, []seq.DSN{keyB.IDSN().Add(6), keyB.IDSN().Add(6)}, p.owner.fins)
			require.Zero(t, p.f.maps.len()-1, "it maps no byte of the subflow")

			if checksum {
				alone.Checksum++
				p.ack(5, 0, alone)
				require.Len(t, p.owner.fins, 2, "a wrong checksum: ignored")
			}
		})
	}
}

// A DATA_FIN far out of the window is ignored.
func TestDataFinBeyondWindow(t *testing.T) {
	p := opened(t, setup{role: Responder})
	fin := p.mapping(0, connectionWindow+2*mappingSlack, 1, "")
	fin.DataFin, fin.SSN = true, 0
	p.ack(0, 0, fin)
	require.Empty(t, p.owner.fins)
}

// 8684-3.3.3-03: our own DATA_FIN, T-C4's form.
func TestSendDataFin(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		p := opened(t, setup{wantChecksum: checksum})
		p.place(10)
		p.shared.DataFin, p.shared.DataFinPending = p.buf.End(), true
		p.f.SendDataFin(p.now)
		d, ok := p.last().DSS()
		require.True(t, ok)
		require.True(t, d.DataFin)
		require.True(t, d.HasAck)
		require.Zero(t, d.SSN)
		require.EqualValues(t, 1, d.Len)
		require.Equal(t, uint32(p.buf.End()), uint32(d.DSN))
		require.Equal(t, checksum, d.HasChecksum)
		if checksum {
			require.True(t, option.VerifyDSSChecksum(uint64(p.buf.End()), 0, 1, 0, d.Checksum))
		}
		require.EqualValues(t, ourISS+11, p.last().TCP.Seq())
		require.Empty(t, p.last().payload)
	}
}

// 8684-3.3.1-06, 8684-W-19: one checksum over several segments, odd lengths, segments that
// come in any order, twice, or split elsewhere than the mappings.
func TestChecksumOverSegments(t *testing.T) {
	stream := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 20)
	rng := rand.New(rand.NewSource(3))
	for range 200 {
		p := opened(t, setup{role: Responder, wantChecksum: true})
		type piece struct{ at, n, mapAt, mapN int }
		var pieces []piece
		for at := 0; at < len(stream); {
			m := min(1+rng.Intn(120), len(stream)-at)
			for off := 0; off < m; {
				n := min(1+rng.Intn(50), m-off)
				pieces = append(pieces, piece{at + off, n, at, m})
				off += n
			}
			at += m
		}
		rng.Shuffle(len(pieces), func(i, j int) {
			if rng.Intn(3) == 0 {
				pieces[i], pieces[j] = pieces[j], pieces[i]
			}
		})
		pieces = append(pieces, pieces[:len(pieces)/3]...)
		got := make([]bool, len(stream))
		for _, c := range pieces {
			m := p.mapping(c.mapAt, c.mapAt, c.mapN, stream[c.mapAt:c.mapAt+c.mapN])
			n := c.n
			if rng.Intn(4) == 0 { // beyond the mapping: a super-segment cut elsewhere
				n = min(n+rng.Intn(40), len(stream)-c.at)
			}
			require.NotNil(t, p.data(c.at, stream[c.at:c.at+n], m))
			for i := range n {
				got[c.at+i] = true
			}
			have := 0
			for have < len(got) && got[have] {
				have++
			}
			p.acks(have)
		}
		require.Empty(t, p.owner.resets)
		p.requireStream(len(stream))
		require.Empty(t, p.f.sums.list, "nothing is kept after")
	}
}

// 8684-3.7-06, -07, -08: a wrong checksum: not delivered, not DATA_ACKed, RST with MP_FAIL and
// reason 6; what was verified before stays readable.
func TestChecksumFails(t *testing.T) {
	p := joined(t, setup{role: Responder, sharedChecksum: true})
	p.mapped(0, 0, "good")
	p.acks(4)
	p.data(4, "worse", p.mapping(4, 4, 5, "words"))
	p.mapped(9, 9, "after")
	p.acks(14)
	require.Equal(t, []string{"0+4"}, p.owner.mapped)
	rst := p.requireReset(option.ReasonMiddlebox)
	fail, ok := rst.Fail()
	require.True(t, ok)
	require.Equal(t, keyB.IDSN().Add(5), fail.DSN)
	require.Equal(t, 4, p.f.ReadableAt(p.f.ReadStart(), 100).N)
}

// 8684-3.3-02, -03: a checksum where none was negotiated, and none where one was.
func TestChecksumPresence(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		p := joined(t, setup{role: Responder, sharedChecksum: checksum})
		m := p.mapping(0, 0, 5, "hello")
		m.HasChecksum = !checksum
		require.Nil(t, p.data(0, "hello", m))
		p.requireReset(option.ReasonMPTCP)
	}
}

// 8684-3.3.1-17: an infinite mapping ends MPTCP.
func TestInfiniteMapping(t *testing.T) {
	p := opened(t, setup{role: Responder})
	p.mapped(0, 0, "hello")
	p.acks(5)
	p.data(5, "world", p.mapping(5, 5, 0, ""))
	require.Equal(t, Plain, p.shared.Mode)
	require.False(t, p.acks(10).HasMPTCP())
	require.Equal(t, 10, p.owner.bytes)
	require.Equal(t, RxRun{DSN: keyB.IDSN().Add(1), N: 10}, p.f.ReadableAt(p.f.ReadStart(), 100))
}
