package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
)

// run does what the command line says, with devices that open opens. The error says what went
// wrong; what there is of a measurement is printed nevertheless.
func run(ctx context.Context, cfg *config, out io.Writer, open func(name string) (tun.Device, error)) (err error) {
	st := &station{}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := st.open(cfg, open); err != nil {
		if cfg.json && cfg.mode != "serve" {
			err = errors.Join(err, writeLine(out, result{Mode: cfg.mode, Err: err.Error()}))
		}
		return err
	}
	if cfg.mode == "serve" {
		l, err := st.host.Listen("tcp", cfg.address)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "listening at %v\n", l.Addr())
		return serve(ctx, l, out)
	}
	return client(ctx, cfg, st.host, out)
}

// client measures and prints.
func client(ctx context.Context, cfg *config, host *mptcp.Host, out io.Writer) (err error) {
	shown := func(conn *mptcp.Conn) func() { return progress(out, conn) }
	if cfg.json {
		shown = func(*mptcp.Conn) func() { return func() {} }
	}
	res := measure(ctx, cfg, host, shown)
	if cfg.json {
		err = writeLine(out, res)
	} else {
		summarize(out, &res)
	}
	if res.Err != "" {
		err = errors.Join(err, errors.New(res.Err))
	}
	return err
}
