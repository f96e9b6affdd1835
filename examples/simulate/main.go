// Simulate compares packet schedulers and path managers on simulated networks: the
// library's, and those of mine.go, which is the file to copy and change. Time is virtual,
// and the same seed gives the same table.
//
//	go run ./examples/simulate
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
)

// contender is what is compared.
type contender struct {
	scheduler   scheduler.Factory
	pathManager pathmgr.Factory
}

func newSoonest() scheduler.Scheduler { return soonest{} }
func newFrugal() pathmgr.Manager      { return new(frugal) }

var contenders = []contender{
	{scheduler.MinRTT, pathmgr.None},
	{scheduler.MinRTT, pathmgr.Default},
	{scheduler.RoundRobin, pathmgr.Default},
	{scheduler.Earliest, pathmgr.Default},
	{newSoonest, pathmgr.Default},
	{newSoonest, newFrugal},
}

func main() {
	size := flag.Int("bytes", 5_000_000, "size of the file that is sent")
	seed := flag.Uint64("seed", 1, "where all chance comes from")
	flag.Parse()
	if flag.NArg() > 0 || *size < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := compare(os.Stdout, *size, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// compare runs every contender on every network and writes the table.
func compare(out io.Writer, size int, seed uint64) error {
	fmt.Fprintf(out, "%-20s %-12s %-8s %9s %8s %10s %10s\n", "network", "scheduler", "paths", "time", "Mbit/s", "stall", "2nd path")
	for _, n := range networks {
		for _, c := range contenders {
			r, err := simulate(n, c, size, seed)
			if err != nil {
				return fmt.Errorf("%s, %s, %s: %w", n.name, c.scheduler().Name(), c.pathManager().Name(), err)
			}
			fmt.Fprintf(out, "%-20s %-12s %-8s %7.2f s %8.1f %7.0f ms %8.0f %%\n", n.name, c.scheduler().Name(), c.pathManager().Name(),
				r.took.Seconds(), float64(size)*8/1e6/r.took.Seconds(), r.stall.Seconds()*1000, r.second*100)
		}
	}
	return nil
}
