package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/interop"
)

const (
	// runTime is about how long one run takes.
	runTime = time.Second
	// trial is the size of the run that finds out how fast a contender is.
	trial = 128 << 20
)

// venue is a place where the contenders meet, in one direction.
type venue struct {
	name    string
	down    bool
	connect connector
	// throughput is the least ratio to plain netstack that passes, cpu the largest.
	throughput, cpu float64
}

// TestRatios prints what the library costs beside plain netstack. It takes two minutes, and
// the processor; BENCH=n asks for it, n being the repetitions (1 means 5).
func TestRatios(t *testing.T) {
	reps, err := strconv.Atoi(os.Getenv("BENCH"))
	if err != nil || reps < 1 {
		t.Skip("set BENCH=1 to measure")
	}
	if reps == 1 {
		reps = 5
	}
	fmt.Printf("\n%s, GOMAXPROCS %d; medians of %d alternate runs, ratios are the medians of pairs\n",
		runtime.Version(), runtime.GOMAXPROCS(0), reps)
	fmt.Printf(rowHeader, "contender", "MB/s (min-max)", "ratio", "CPU ms/MB", "ratio", "allocs/MB", "/super-segment", "KB/super-segment", "gate")

	t.Run("pipe", func(t *testing.T) {
		compare(t, reps, venue{name: "pipe, both ends", connect: overPipe, throughput: 0.95, cpu: 1 / 0.95})
	})
	t.Run("tun", func(t *testing.T) {
		interop.RequireMachine(t)
		connect := overTUN(startPeer(t))
		compare(t, reps, venue{name: "TUN, sending to the kernel", connect: connect, throughput: 1, cpu: 1})
		compare(t, reps, venue{name: "TUN, receiving from the kernel", down: true, connect: connect, throughput: 1, cpu: 1})
	})
}

// compare runs the contenders one after the other, several times, and prints a table.
func compare(t *testing.T, reps int, v venue) {
	contenders := []contender{plainNetstack, oneSubflow, twoSubflows}
	sizes := make([]int64, len(contenders))
	for i, k := range contenders {
		s := v.run(t, k, trial)
		sizes[i] = max(int64(float64(s.bytes)*runTime.Seconds()/s.wall.Seconds()), 16<<20)
	}
	results := make([][]sample, len(contenders))
	for range reps {
		for i, k := range contenders {
			results[i] = append(results[i], v.run(t, k, sizes[i]))
		}
	}
	fmt.Printf("%s\n", v.name)
	for i, k := range contenders {
		v.print(k, results[i], results[0])
	}
}

// run is one transfer over a new connection.
func (v venue) run(t *testing.T, k contender, size int64) sample {
	c, data, stop := v.connect(t, k)
	defer stop()
	m := &meter{t: t, data: data, s: sample{bytes: size}}
	begin := func() {
		k.awaitSubflows(t, c)
		m.begin()
	}
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(t, job{Down: v.down, Warm: warm, Bytes: size}.run(c, begin, m.end))
	return m.s
}

const (
	rowHeader = "%-20s %22s %6s %10s %6s %10s %15s %17s  %s\n"
	rowFormat = "  %-18s %22s %6.2f %10.3f %6.2f %10.1f %15.2f %17.1f  %s\n"
)

// print prints the contender's row and whether it passed its gate. It is not the test that
// fails then: the figures of a shared machine are for people to judge.
func (v venue) print(k contender, own, base []sample) {
	speed, cost := ratio(own, base, sample.mbPerSecond), ratio(own, base, sample.cpuPerMB)
	var missed []string
	if speed < v.throughput {
		missed = append(missed, fmt.Sprintf("throughput MISSED (%.2f)", v.throughput))
	}
	if cost > v.cpu {
		missed = append(missed, fmt.Sprintf("CPU MISSED (%.2f)", v.cpu))
	}
	verdict := "passed"
	if k.paths == 0 {
		verdict = ""
	} else if missed != nil {
		verdict = strings.Join(missed, ", ")
	}
	rates := each(own, sample.mbPerSecond)
	mid := median(rates)
	fmt.Printf(rowFormat, k.name, fmt.Sprintf("%.0f (%.0f-%.0f)", mid, rates[0], rates[len(rates)-1]), speed,
		median(each(own, sample.cpuPerMB)), cost, median(each(own, sample.allocsPerMB)),
		median(each(own, sample.allocsPerSegment)), median(each(own, sample.bytesPerSegment))/1e3, verdict)
}
