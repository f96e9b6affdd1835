// Mpcat is netcat over Multipath TCP: it joins standard input and output to one
// connection that runs over one or more TUN devices at once.
//
//	mpcat -dev wifi=10.1.1.2/24 -dev lte=10.1.2.2/24 10.9.0.1 5001 <file
//
// On Linux it makes the devices itself, for the machine's own uplinks:
//
//	mpcat -uplinks auto example.org 5001 <file
//
// Run mpcat -h for all flags.
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

// Exit statuses: what was sent and received is whole and confirmed, it is not, or
// the command line is wrong.
const (
	exitDelivered = 0
	exitFailed    = 1
	exitUsage     = 2
)

func main() {
	os.Exit(mpcat(os.Args[1:]))
}

func mpcat(args []string) int {
	cfg, err := parseFlags(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitDelivered
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mpcat:", err)
		return exitUsage
	}
	// SIGHUP is how ssh ends its ProxyCommand.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, cfg, os.Stdin, os.Stdout, tun.Open); err != nil {
		fmt.Fprintln(os.Stderr, "mpcat:", strings.ReplaceAll(err.Error(), "\n", ": "))
		return exitFailed
	}
	return exitDelivered
}
