// Package rangeset holds sets of sequence numbers as sorted half-open ranges:
// received data sequence numbers, acknowledged runs, what has to be sent again.
//
// Numbers are compared modulo their width, as in package seq. All members of one set, and
// the arguments of its methods, must lie within half the number space of each other.
package rangeset

import "slices"

// Number is a wrapping sequence number of 32 or 64 bits.
type Number interface{ ~uint32 | ~uint64 }

// Range is the numbers from Start up to, and without, End.
type Range[T Number] struct{ Start, End T }

// Size returns how many numbers the range holds.
func (r Range[T]) Size() T { return r.End - r.Start }

// Set is a set of numbers. The zero value is an empty set. It is not safe for concurrent
// use. A set does not limit the number of its ranges: who adds what a peer chose looks at
// Len first.
type Set[T Number] struct {
	// ranges are in rising order; they neither overlap nor touch, and none is empty.
	ranges []Range[T]
}

// less reports whether a comes before b, modulo the width of T.
func less[T Number](a, b T) bool { return a-b > ^T(0)>>1 }

// Len returns the number of separate ranges.
func (s *Set[T]) Len() int { return len(s.ranges) }

// Range returns range i, with 0 <= i < Len(), in rising order.
func (s *Set[T]) Range(i int) Range[T] { return s.ranges[i] }

// First returns the lowest range; false if the set is empty.
func (s *Set[T]) First() (Range[T], bool) {
	if len(s.ranges) == 0 {
		return Range[T]{}, false
	}
	return s.ranges[0], true
}

// Last returns the highest range; false if the set is empty.
func (s *Set[T]) Last() (Range[T], bool) {
	if len(s.ranges) == 0 {
		return Range[T]{}, false
	}
	return s.ranges[len(s.ranges)-1], true
}

// From returns the first range with a number at x or later; false if there is none.
func (s *Set[T]) From(x T) (Range[T], bool) {
	i := s.firstEnding(x)
	if i < len(s.ranges) && s.ranges[i].End == x {
		i++ // it ends just before x
	}
	if i == len(s.ranges) {
		return Range[T]{}, false
	}
	return s.ranges[i], true
}

// Clear empties the set and keeps its memory.
func (s *Set[T]) Clear() { s.ranges = s.ranges[:0] }

// Add puts the numbers from start up to, and without, end into the set. It does nothing
// when start is not before end.
func (s *Set[T]) Add(start, end T) {
	if !less(start, end) {
		return
	}
	if n := len(s.ranges); n == 0 || less(s.ranges[n-1].End, start) {
		s.ranges = append(s.ranges, Range[T]{start, end})
		return
	}
	// Ranges i to j-1 overlap or touch the new one.
	i := s.firstEnding(start)
	j := i
	for j < len(s.ranges) && !less(end, s.ranges[j].Start) {
		j++
	}
	if i == j {
		s.ranges = slices.Insert(s.ranges, i, Range[T]{start, end})
		return
	}
	if less(s.ranges[i].Start, start) {
		start = s.ranges[i].Start
	}
	if less(end, s.ranges[j-1].End) {
		end = s.ranges[j-1].End
	}
	s.ranges[i] = Range[T]{start, end}
	s.ranges = slices.Delete(s.ranges, i+1, j)
}

// Sub takes the numbers from start up to, and without, end out of the set. It does nothing
// when start is not before end.
func (s *Set[T]) Sub(start, end T) {
	if !less(start, end) {
		return
	}
	i := s.firstEnding(start)
	if i == len(s.ranges) {
		return
	}
	if first := s.ranges[i]; less(first.Start, start) {
		s.ranges[i].End = start
		i++
		if less(end, first.End) {
			s.ranges = slices.Insert(s.ranges, i, Range[T]{end, first.End})
			return
		}
	}
	s.cut(i, end)
}

// TrimBelow takes all numbers before x out of the set.
func (s *Set[T]) TrimBelow(x T) { s.cut(0, x) }

// cut takes out what ranges i and later hold before end.
func (s *Set[T]) cut(i int, end T) {
	j := i
	for j < len(s.ranges) && !less(end, s.ranges[j].End) {
		j++
	}
	if j < len(s.ranges) && less(s.ranges[j].Start, end) {
		s.ranges[j].Start = end
	}
	s.ranges = slices.Delete(s.ranges, i, j)
}

// Contains reports whether x is in the set.
func (s *Set[T]) Contains(x T) bool { return s.ContiguousFrom(x) != x }

// ContainsRange reports whether all numbers from start up to, and without, end are in the
// set. It is true for an empty range.
func (s *Set[T]) ContainsRange(start, end T) bool { return !less(s.ContiguousFrom(start), end) }

// ContiguousFrom returns the end of the range that holds x: the first number from x on
// that is not in the set. It returns x itself when the set does not hold x.
func (s *Set[T]) ContiguousFrom(x T) T {
	i := s.firstEnding(x)
	if i < len(s.ranges) && s.ranges[i].End == x {
		return x
	}
	if i == len(s.ranges) || less(x, s.ranges[i].Start) {
		return x
	}
	return s.ranges[i].End
}

// firstEnding returns the index of the first range that ends at x or later, Len() if there
// is none. Growth is mostly at the end, so it looks there before it searches.
func (s *Set[T]) firstEnding(x T) int {
	lo, hi := 0, len(s.ranges)
	if hi > 0 && !less(x, s.ranges[hi-1].Start) {
		lo = hi - 1 // at or behind the last range's start: no earlier range ends there
	}
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if less(s.ranges[mid].End, x) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
