// Compare measures the kernel's Multipath TCP, with CUBIC and with BBR, and beside it the library, over
// the emulated links of the laboratory's rig, and writes what came out to docs/comparison.md.
//
//	go run ./internal/bench/compare -rig ../shared/rig     or: make compare
//
// The scenarios are those of the rig's rigrun: aggregation (A, B, C), loss of a path (D), messages over
// a path with losses (E), small transfers (F). Each repetition goes through all of them, and
// through all contenders in each, so that what else the machine does meets all alike. What has been
// measured is kept in a file, line by line (-out): a comparison can be made in pieces, with -only, with
// more repetitions later, and by two processes at once with different -pfx. With -table nothing is
// measured. The document is written when every variant with a goal has been measured five times, and lists
// those that have not been; until then the tables go to standard output.
//
// On a machine that does other things, too, the library suffers more than the kernel, which works in interrupts: give what
// is measured priority (-nice -15), and look at the load in the document.
//
// It needs root, Linux with MPTCP, iproute2, and the rig.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	rig, out, document, prefix string
	only                       *regexp.Regexp
	reps, nice                 int
	table                      bool
}

func main() {
	if err := compare(); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare() error {
	var o options
	flag.StringVar(&o.rig, "rig", "../shared/rig", "`directory` of the rig")
	flag.StringVar(&o.out, "out", "comparison.jsonl", "`file` of what was measured; what it has already is not measured again")
	flag.StringVar(&o.document, "document", "docs/comparison.md", "`file` to write when all is measured")
	flag.StringVar(&o.prefix, "pfx", "cmp-", "`prefix` of the names of network namespaces")
	flag.IntVar(&o.reps, "reps", 5, "repetitions")
	flag.IntVar(&o.nice, "nice", 0, "nice `value` of what is measured, down to -20: on a machine that does other things, too")
	only := flag.String("only", "", "`regexp` for SCENARIO/VARIANT, such as '^[AB] ' or 'blackhole'")
	flag.BoolVar(&o.table, "table", false, "measure nothing")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if flag.NArg() > 0 || o.reps < 1 {
		return errors.New("nothing is expected after the flags, and -reps must be positive")
	}
	if !o.table {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := measure(ctx, o); err != nil {
			return err
		}
	}
	return report(o)
}

// report writes the document, or prints it as far as it goes.
func report(o options) error {
	runs, err := load(o.out)
	if err != nil {
		return err
	}
	t := newResults(runs)
	if missing := t.missing(leastRuns, goalVariants()); len(missing) > 0 {
		writeDocument(os.Stdout, t, time.Now())
		fmt.Printf("\n%s is not written: %d of the rows with goals have been measured less than %d times, such as %s\n",
			o.document, len(missing), leastRuns, missing[0])
		return nil
	}
	f, err := os.Create(o.document)
	if err != nil {
		return err
	}
	writeDocument(f, t, time.Now())
	fmt.Println(o.document, "is written")
	return f.Close()
}
