package soak

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

var update = flag.Bool("update", false, "write testdata anew")

// cell is one network of the matrix: two paths of 10 Mbit/s, of which the first has a round
// trip of 20 ms.
type cell struct {
	window int     // the receiver's buffer in bytes; 0 is plenty
	ratio  int     // of the second path's round trip to the first one's
	loss   float64 // on both
	queue  time.Duration
}

// matrix has all cells. Where the window is plenty, the schedulers differ little: the paths
// take whatever they can.
func matrix() (cells []cell) {
	for _, window := range []int{0, 100_000} {
		for _, ratio := range []int{1, 4, 16} {
			for _, loss := range []float64{0, 0.005} {
				for _, queue := range []time.Duration{15 * time.Millisecond, 60 * time.Millisecond} {
					cells = append(cells, cell{window, ratio, loss, queue})
				}
			}
		}
	}
	return cells
}

// onePath is the column of what a single path gives: the first, which is nowhere the worse one.
const onePath = "one path"

const matrixSize = 4 << 20

// scenario is the cell's network with the scheduler on both hosts.
func (c cell) scenario(scheduler string) *scenario {
	shape := simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 10 * time.Millisecond, Loss: c.loss, Queue: simnet.Queue{Time: c.queue}}
	far := shape
	far.Delay *= time.Duration(c.ratio)
	s := &scenario{seed: 1, paths: []path{{there: shape, back: shape}, {there: far, back: far}}}
	if scheduler == onePath {
		scheduler, s.paths = "minrtt", s.paths[:1]
	}
	for i := range s.config {
		s.config[i] = settings{scheduler: scheduler, congestion: "cubic", receive: c.window}
	}
	return s
}

// goodput is that of a transfer from client to server, in Mbit/s.
func (c cell) goodput(t *testing.T, scheduler string) float64 {
	s := c.scenario(scheduler)
	plan := traffic{ending: orderly}
	plan.side[0] = stream{size: matrixSize, chunk: 64 << 10, readSize: 64 << 10}
	plan.side[1] = stream{chunk: 1, readSize: 64 << 10}
	var took time.Duration
	require.NoError(t, simnet.Run(simnet.Config{Seed: 1, Deadline: deadline}, func(w *simnet.World) {
		n, err := s.build(w)
		require.NoError(t, err)
		pair, err := n.connect()
		require.NoError(t, err)
		began := w.Elapsed()
		require.NoError(t, n.transfer(plan, pair, 0))
		took = w.Elapsed() - began
	}))
	return matrixSize * 8 / took.Seconds() / 1e6
}

// The goodput of the matrix is that of testdata/goodput.txt, exactly: runs are
// deterministic. After a change that is meant to have an effect, -update writes the table
// anew, and its diff shows what the effect is.
func TestGoodput(t *testing.T) {
	if raceDetector {
		t.Skip("slow, and the other tests have the same races")
	}
	var b strings.Builder
	b.WriteString("# Mbit/s over two paths of 10 Mbit/s, the first with a round trip of 20 ms; cubic, 4 MiB.\n")
	names := append([]string{onePath}, scheduler.Names()...)
	fmt.Fprintf(&b, "%7s %5s %6s %6s", "window", "ratio", "loss", "queue")
	for _, name := range names {
		fmt.Fprintf(&b, " %*s", width(name), name)
	}
	goodput := map[cell]map[string]float64{}
	t.Run("cells", func(t *testing.T) { // in parallel, to their end
		var mu sync.Mutex
		for _, c := range matrix() {
			goodput[c] = map[string]float64{}
			t.Run(fmt.Sprint(c), func(t *testing.T) {
				t.Parallel()
				for _, name := range names {
					g := c.goodput(t, name)
					mu.Lock()
					goodput[c][name] = g
					mu.Unlock()
				}
			})
		}
	})
	for _, c := range matrix() {
		fmt.Fprintf(&b, "\n%7d %5d %6g %6v", c.window, c.ratio, c.loss, c.queue)
		for _, name := range names {
			fmt.Fprintf(&b, " %*.2f", width(name), goodput[c][name])
		}
	}
	b.WriteByte('\n')
	golden(t, "testdata/goodput.txt", b.String())
	for c, of := range goodput {
		require.Greater(t, of["earliest"], 0.95*of[onePath], "%v: the default is no worse than one path", c)
		require.Greater(t, of["earliest"], 0.97*of["minrtt"], "%v: the default is no worse than minrtt", c)
	}
}

// golden compares a table with the file, or writes that.
func golden(t *testing.T, file, table string) {
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(table), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), table, "go test ./internal/soak -run %s -update", t.Name())
}

// width is that of the column of a scheduler.
func width(name string) int { return max(len(name), 7) }
