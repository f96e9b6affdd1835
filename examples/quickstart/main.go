// Quickstart sends a file over two emulated paths at once, "wifi" and "lte", between
// two hosts in this process. Midway it cuts one path and later restores it; the
// transfer goes on. It needs no privileges and no network.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -file some.iso -cut lte@2s-5s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	cfg, err := parseFlags(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	display := newDisplay(os.Stdout, isTerminal(os.Stdout))
	result, err := run(ctx, cfg, display)
	if err == nil {
		display.summary(cfg, result)
		err = result.check()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// isTerminal reports whether f is a terminal, or at least a device.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
