package sendbuf

import (
	"bytes"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// What is written can be taken out in spans anywhere, also across blocks and across the wrap
// of the data sequence space, and after the buffer has let go of it.
func TestSpans(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	first := seq.DSN(0).Add(-BlockSize - 1000)
	var pool Pool
	b := pool.New(first)
	data := make([]byte, 3*BlockSize+17)
	rng.Read(data)
	for rest := data; len(rest) > 0; {
		n := min(1+rng.Intn(70000), len(rest))
		b.Write(rest[:n])
		rest = rest[n:]
	}
	require.Equal(t, len(data), b.Len())
	require.Equal(t, first.Add(len(data)), b.End())
	for range 200 {
		off := rng.Intn(len(data))
		n := rng.Intn(min(BlockSize, len(data)-off) + 1)
		s := b.Span(first.Add(off), n)
		from := rng.Intn(n + 1)
		to := from + rng.Intn(n-from+1)
		pieces := s.AppendTo(nil, from, to)
		require.LessOrEqual(t, len(pieces), 2)
		require.True(t, bytes.Equal(data[off+from:off+to], bytes.Join(pieces, nil)))
		s.Release()
	}

	s := b.Span(first.Add(BlockSize-5), 10)
	b.Ack(b.End())
	require.Zero(t, b.Len())
	b.Write(make([]byte, 2*BlockSize)) // must not go where the span still looks
	require.Equal(t, data[BlockSize-5:BlockSize+5], bytes.Join(s.AppendTo(nil, 0, 10), nil))
	require.Equal(t, 4, pool.InUse())
	s.Release()
	require.Equal(t, 2, pool.InUse())
}

// Blocks are in use as long as a byte of them is held, by the buffer or by a span.
func TestInUse(t *testing.T) {
	var pool Pool
	b, other := pool.New(1), pool.New(1)
	b.Write(make([]byte, BlockSize+1))
	other.Write(make([]byte, 1))
	require.Equal(t, 3, pool.InUse())
	b.Ack(BlockSize + 1)
	require.Equal(t, 2, pool.InUse())
	b.Ack(b.End())
	require.Equal(t, 1, pool.InUse(), "a block with room for more")
	b.Write(make([]byte, 10))
	s := b.Span(b.Una(), 10)
	other.Close()
	require.Equal(t, 1, pool.InUse())
	b.Close()
	b.Close()
	require.Equal(t, 1, pool.InUse())
	b.Ack(b.End())
	s.Release()
	require.Zero(t, pool.InUse())
}

// Ack takes what lies outside the buffer as its edges.
func TestAckOutside(t *testing.T) {
	b := New(100)
	b.Write(make([]byte, 50))
	b.Ack(90)
	require.Equal(t, seq.DSN(100), b.Una())
	b.Ack(120)
	require.Equal(t, 30, b.Len())
	b.Ack(1000)
	require.Equal(t, seq.DSN(150), b.Una())
	require.Panics(t, func() { b.Span(120, 1) })
	require.Panics(t, func() { b.Span(150, 1) })
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	b := New(0)
	chunk := make([]byte, 50000)
	step := func() {
		b.Write(chunk)
		s := b.Span(b.Una(), len(chunk))
		b.Ack(b.End())
		s.Release()
	}
	for range 20 {
		step()
	}
	require.LessOrEqual(t, testing.AllocsPerRun(1000, step), 0.1)
}
