// Mpbench measures a Multipath TCP connection, as iperf does TCP: an upload, a download
// or an exchange of small messages, with the rate in each 100 ms, the pauses and, for
// messages, percentiles of the time to the answer.
//
//	mpbench up|down|echo -addr 10.9.0.1:5001 -time 10s
//	mpbench serve
//
// On a terminal it shows the progress and a summary, elsewhere it prints one line of JSON
// (see result). It understands the protocol and the client's flags of the laboratory's rig, whose
// program of the same name measures the kernel's MPTCP, so that either end may be
// the kernel's:
//
//	rigrun -client /path/to/mpbench -label library
//
// Further arguments, to come before those of the command line, are taken from the
// environment variable MPBENCH_ARGS, for programs such as rigrun that write the command line
// themselves. Run mpbench -h for all flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gomptcp/gomptcp/tun"
)

// Exit statuses: all went well, something did not, or the command line is wrong.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(mpbench(os.Args[1:]))
}

func mpbench(args []string) int {
	cfg, err := parseFlags(args, strings.Fields(os.Getenv("MPBENCH_ARGS")), isTerminal(os.Stdout), os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mpbench:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, os.Stdout, tun.Open); err != nil {
		fmt.Fprintln(os.Stderr, "mpbench:", strings.ReplaceAll(err.Error(), "\n", ": "))
		return exitFailed
	}
	return exitDone
}

// isTerminal reports whether somebody reads along.
func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
