package rangeset

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func of[T Number](rs ...Range[T]) *Set[T] {
	var s Set[T]
	for _, r := range rs {
		s.Add(r.Start, r.End)
	}
	return &s
}

func TestAddJoins(t *testing.T) {
	type R = Range[uint64]
	base := func() *Set[uint64] { return of(R{10, 20}, R{30, 40}, R{50, 60}) }
	for _, c := range []struct {
		name string
		add  R
		want []R
	}{
		{"before all", R{1, 5}, []R{{1, 5}, {10, 20}, {30, 40}, {50, 60}}},
		{"behind all", R{70, 80}, []R{{10, 20}, {30, 40}, {50, 60}, {70, 80}}},
		{"grows the last", R{60, 65}, []R{{10, 20}, {30, 40}, {50, 65}}},
		{"overlaps the last", R{55, 65}, []R{{10, 20}, {30, 40}, {50, 65}}},
		{"touches from below", R{5, 10}, []R{{5, 20}, {30, 40}, {50, 60}}},
		{"fills a hole", R{20, 30}, []R{{10, 40}, {50, 60}}},
		{"between two", R{22, 28}, []R{{10, 20}, {22, 28}, {30, 40}, {50, 60}}},
		{"inside one", R{32, 38}, []R{{10, 20}, {30, 40}, {50, 60}}},
		{"covers two", R{25, 60}, []R{{10, 20}, {25, 60}}},
		{"covers all", R{0, 100}, []R{{0, 100}}},
		{"from within one into another", R{15, 55}, []R{{10, 60}}},
		{"empty", R{25, 25}, []R{{10, 20}, {30, 40}, {50, 60}}},
		{"backwards", R{25, 5}, []R{{10, 20}, {30, 40}, {50, 60}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := base()
			s.Add(c.add.Start, c.add.End)
			require.Equal(t, c.want, s.ranges)
		})
	}
}

func TestSubAndTrim(t *testing.T) {
	type R = Range[uint64]
	base := func() *Set[uint64] { return of(R{10, 20}, R{30, 40}, R{50, 60}) }

	s := base()
	s.Sub(32, 38)
	require.Equal(t, []R{{10, 20}, {30, 32}, {38, 40}, {50, 60}}, s.ranges)
	s = base()
	s.Sub(15, 55)
	require.Equal(t, []R{{10, 15}, {55, 60}}, s.ranges)
	s = base()
	s.Sub(20, 30)
	require.Equal(t, base().ranges, s.ranges)
	s = base()
	s.Sub(30, 40)
	require.Equal(t, []R{{10, 20}, {50, 60}}, s.ranges)
	s.TrimBelow(15)
	require.Equal(t, []R{{15, 20}, {50, 60}}, s.ranges)
	s.TrimBelow(20)
	require.Equal(t, []R{{50, 60}}, s.ranges)
	s.TrimBelow(99)
	require.Zero(t, s.Len())
	_, ok := s.First()
	require.False(t, ok)
}

func TestLookup(t *testing.T) {
	s := of(Range[uint64]{10, 20}, Range[uint64]{30, 40})
	require.Equal(t, uint64(9), s.ContiguousFrom(9))
	require.Equal(t, uint64(20), s.ContiguousFrom(10))
	require.Equal(t, uint64(20), s.ContiguousFrom(19))
	require.Equal(t, uint64(20), s.ContiguousFrom(20))
	require.Equal(t, uint64(40), s.ContiguousFrom(30))
	require.Equal(t, uint64(40), s.ContiguousFrom(40))
	require.True(t, s.Contains(39))
	require.False(t, s.Contains(40))
	require.True(t, s.ContainsRange(12, 20))
	require.False(t, s.ContainsRange(12, 21))
	require.True(t, s.ContainsRange(25, 25))
	first, _ := s.First()
	last, _ := s.Last()
	require.Equal(t, uint64(10), first.Size())
	require.Equal(t, uint64(30), last.Start)
}

// A set works across the end of the number space.
func TestFrom(t *testing.T) {
	s := of(Range[uint32]{10, 20}, Range[uint32]{30, 40})
	for x, want := range map[uint32]Range[uint32]{5: {10, 20}, 10: {10, 20}, 19: {10, 20}, 20: {30, 40}, 39: {30, 40}} {
		r, ok := s.From(x)
		require.True(t, ok, x)
		require.Equal(t, want, r, x)
	}
	_, ok := s.From(40)
	require.False(t, ok)
}

func TestWrap(t *testing.T) {
	const m = ^uint32(0)
	s := of(Range[uint32]{m - 20, m - 10}, Range[uint32]{5, 10})
	s.Add(m-5, 2)
	require.Equal(t, []Range[uint32]{{m - 20, m - 10}, {m - 5, 2}, {5, 10}}, s.ranges)
	require.True(t, s.Contains(m))
	require.True(t, s.Contains(0))
	require.Equal(t, uint32(2), s.ContiguousFrom(m))
	s.Add(2, 5)
	require.Equal(t, uint32(10), s.ContiguousFrom(m-5))
	s.Sub(m, 1)
	require.Equal(t, []Range[uint32]{{m - 20, m - 10}, {m - 5, m}, {1, 10}}, s.ranges)
	s.TrimBelow(4)
	require.Equal(t, []Range[uint32]{{4, 10}}, s.ranges)
}

// Random operations on a set agree with the same on a map of single numbers, at the end of
// the number space.
func TestAgainstMap(t *testing.T) {
	const span = 200
	base := ^uint64(0) - span/2
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var s Set[uint64]
		var model [span]bool
		for range 300 {
			a := rng.IntN(span)
			b := a + rng.IntN(min(span-a, 30)+1)
			start, end := base+uint64(a), base+uint64(b)
			fill, from, to := true, a, b
			switch rng.IntN(10) {
			case 0, 1, 2:
				s.Sub(start, end)
				fill = false
			case 3:
				s.TrimBelow(base + uint64(a/4))
				fill, from, to = false, 0, a/4
			default:
				s.Add(start, end)
			}
			for i := from; i < to; i++ {
				model[i] = fill
			}
			compare(t, &s, model[:], base)
		}
	}
}

func compare(t *testing.T, s *Set[uint64], model []bool, base uint64) {
	t.Helper()
	for i := range model {
		x := base + uint64(i)
		require.Equal(t, model[i], s.Contains(x), "at %d", i)
		end := i
		for end < len(model) && model[end] {
			end++
		}
		require.Equal(t, base+uint64(end), s.ContiguousFrom(x))
	}
	for i := range s.ranges {
		require.Less(t, s.ranges[i].Start-base, s.ranges[i].End-base, "empty range")
		if i > 0 {
			require.Less(t, s.ranges[i-1].End-base, s.ranges[i].Start-base, "ranges touch or overlap")
		}
	}
}

// Receiving in order with a hole that comes and goes costs no allocation.
func TestNoAllocation(t *testing.T) {
	var s Set[uint64]
	s.Add(0, 1)
	s.Add(2, 3)
	x := uint64(10)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		s.Add(x, x+5)
		s.Add(x+10, x+20)
		s.Add(x+5, x+10)
		x += 20
		s.TrimBelow(x - 5)
	}))
}

func BenchmarkInOrder(b *testing.B) {
	var s Set[uint64]
	for i := range 1000 {
		s.Add(uint64(i)*10, uint64(i)*10+5)
	}
	x := uint64(1 << 20)
	for b.Loop() {
		s.Add(x, x+1400)
		x += 1400
	}
}
