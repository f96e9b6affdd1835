package bench

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// sample is what one run cost.
type sample struct {
	bytes    int64
	wall     time.Duration
	cpu      time.Duration // of the whole process, user and system
	mallocs  uint64
	segments int64 // super-segments with data
}

func (s sample) mbPerSecond() float64      { return float64(s.bytes) / 1e6 / s.wall.Seconds() }
func (s sample) cpuPerMB() float64         { return s.cpu.Seconds() * 1e3 / (float64(s.bytes) / 1e6) }
func (s sample) allocsPerMB() float64      { return float64(s.mallocs) / (float64(s.bytes) / 1e6) }
func (s sample) allocsPerSegment() float64 { return float64(s.mallocs) / float64(max(s.segments, 1)) }
func (s sample) bytesPerSegment() float64  { return float64(s.bytes) / float64(max(s.segments, 1)) }

// meter takes a sample between begin and end.
type meter struct {
	t    testing.TB
	data *atomic.Int64

	start time.Time
	s     sample
}

func (m *meter) begin() {
	runtime.GC() // what was before is not ours to clean up
	m.s.segments = -m.data.Load()
	m.s.mallocs = -mallocs()
	m.s.cpu = -cpuTime(m.t)
	m.start = time.Now()
}

func (m *meter) end() {
	m.s.wall = time.Since(m.start)
	m.s.cpu += cpuTime(m.t)
	m.s.mallocs += mallocs()
	m.s.segments += m.data.Load()
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// cpuTime is the processor time of the process so far.
func cpuTime(t testing.TB) time.Duration {
	var r unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// median of numbers, which it sorts.
func median(x []float64) float64 {
	slices.Sort(x)
	n := len(x)
	if n == 0 {
		return 0
	}
	return (x[n/2] + x[(n-1)/2]) / 2
}

// each is f of every sample.
func each(list []sample, f func(sample) float64) []float64 {
	var x []float64
	for _, s := range list {
		x = append(x, f(s))
	}
	return x
}

// ratio is the median of f(a)/f(b) over pairs of runs that were made one after the other.
func ratio(a, b []sample, f func(sample) float64) float64 {
	var x []float64
	for i := range a {
		x = append(x, f(a[i])/f(b[i]))
	}
	return median(x)
}
