//go:build !race

package bench

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxAllocs is how many allocations of ours pass, for each super-segment: none, but for
// pools that still grow when the unlucky order of things asks for one more.
const maxAllocs = 0.05

// allocAttempts is how often a transfer is tried: on a busy machine one of two subflows may stand for a while, and what
// comes early on the other one is kept in memory of its own. What is allocated as a rule is in all of them.
const allocAttempts = 3

// TestNoAllocations: in a steady transfer our packages, as opposed to gVisor, allocate
// nothing for a super-segment, neither the end that sends nor the one that receives.
func TestNoAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("moves a gigabyte")
	}
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1 // every allocation from here on
	for _, k := range []contender{oneSubflow, twoSubflows} {
		sum, where := 0.0, ""
		for range allocAttempts {
			if sum, where = allocsOf(t, k); sum <= maxAllocs {
				break
			}
		}
		if sum > maxAllocs {
			t.Errorf("%s: %.2f allocations for each super-segment:%s", k.name, sum, where)
		}
	}
}

// allocsOf is how many allocations of ours a super-segment of a steady transfer costs, and where.
func allocsOf(t *testing.T, k contender) (sum float64, where string) {
	c, data, stop := overPipe(t, k)
	defer stop()
	var before map[string]int64
	begin := func() {
		k.awaitSubflows(t, c)
		before = ownAllocs()
		data.Store(0)
	}
	const bytes = 512 << 20
	require.NoError(t, job{Warm: 4 * warm, Bytes: bytes}.run(c, begin, func() {}))
	segments := float64(data.Load())
	after := ownAllocs()
	for _, f := range slices.Sorted(maps.Keys(after)) {
		if n := float64(after[f]-before[f]) / segments; n > maxAllocs/10 {
			where += fmt.Sprintf("\n  %.3f for each super-segment in %s", n, f)
			sum += n
		}
	}
	return sum, where
}

// ownAllocs returns how often each function of ours has allocated.
func ownAllocs() map[string]int64 {
	// The profile is two collections behind.
	runtime.GC()
	runtime.GC()
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 1000)
	for {
		n, ok := runtime.MemProfile(records, true)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, 2*n)
	}
	sums := map[string]int64{}
	for i := range records {
		if where := owner(records[i].Stack()); where != "" {
			sums[where] += records[i].AllocObjects
		}
	}
	return sums
}

// owner is the function that an allocation is due to, if it is ours: the innermost that is
// neither the runtime's nor the standard library's. The pipe's queue is left out: it is the
// wire here, and lets go of buffers after a burst.
func owner(stack []uintptr) string {
	const module = "github.com/gomptcp/gomptcp/"
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, module+"internal/bench"), strings.HasPrefix(f.Function, module+"tun.(*queue)"),
			strings.HasPrefix(f.Function, "gvisor.dev/"):
			return ""
		case strings.HasPrefix(f.Function, module):
			return fmt.Sprintf("%s:%d", strings.TrimPrefix(f.Function, module), f.Line)
		case !more:
			return ""
		}
	}
}
