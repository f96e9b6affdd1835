package mptcp

import (
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// Runs set aside in any order and overlapping give the stream; what is held never exceeds it.
// The DSNs wrap.
func TestAsideQueue(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 200 {
		const size = 500
		start := seq.DSN(0).Add(-rng.Intn(size))
		stream := make([]byte, size)
		rng.Read(stream)
		have := make([]bool, size)
		var q asideQueue
		for range 40 {
			at := rng.Intn(size)
			n := 1 + rng.Intn(min(60, size-at))
			q.add(start.Add(at), append([]byte(nil), stream[at:at+n]...))
			for i := range n {
				have[at+i] = true
			}
		}
		held := 0
		for _, r := range q.runs {
			held += len(r.data)
		}
		want := 0
		for _, h := range have {
			if h {
				want++
			}
		}
		require.Equal(t, want, held, "each byte once")
		for pos := 0; pos < size; {
			p := make([]byte, 1+rng.Intn(50))
			n := q.take(start.Add(pos), p)
			require.Equal(t, have[pos], n > 0)
			require.Equal(t, stream[pos:pos+n], p[:n])
			pos += max(n, 1)
		}
	}
}
