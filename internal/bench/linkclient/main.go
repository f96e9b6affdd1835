//go:build linux

// Command linkclient measures a transfer of the library against the server of the
// laboratory's rig, in the place of the rig's own kernel client: it understands the same
// flags and prints the same line of JSON.
//
//	linkclient up|down -addr 10.9.0.1:5001 [-time 10s | -size bytes] [-cc bbr] [-dev tun-a=10.1.0.2/24,…]
//
// It runs in the client's network namespace, where the TUN devices are.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun"
)

// options are what the flags say.
type options struct {
	mode, addr, devices            string
	congestion, scheduler, manager string
	time, timeout, afterConnect    time.Duration
	size                           int64
	noSum                          bool
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "linkclient:", err)
		os.Exit(2)
	}
	r := run(o)
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "linkclient:", err)
		os.Exit(1)
	}
	if r.Err != "" {
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	if len(args) == 0 || args[0] != "up" && args[0] != "down" {
		return o, fmt.Errorf("usage: linkclient up|down [flags]")
	}
	o.mode = args[0]
	fs := flag.NewFlagSet("linkclient", flag.ContinueOnError)
	fs.StringVar(&o.addr, "addr", "10.9.0.1:5001", "`address` of the server")
	fs.StringVar(&o.devices, "dev", "tun-a=10.1.0.2/24,tun-b=10.2.0.2/24", "TUN devices with the library's address on each; the first dials")
	fs.StringVar(&o.congestion, "cc", "bbr", "congestion control: "+strings.Join(congestion.Names(), ", "))
	fs.StringVar(&o.scheduler, "scheduler", "earliest", "scheduler: "+strings.Join(scheduler.Names(), ", "))
	fs.StringVar(&o.manager, "pm", "default", "path manager: "+strings.Join(pathmgr.Names(), ", "))
	fs.DurationVar(&o.time, "time", 0, "length of the transfer")
	fs.Int64Var(&o.size, "size", 0, "`bytes` of the transfer")
	fs.DurationVar(&o.timeout, "timeout", time.Minute, "deadline of the whole")
	fs.DurationVar(&o.afterConnect, "after-connect", 0, "wait after connecting")
	fs.BoolVar(&o.noSum, "nosum", false, "no SHA-256")
	if err := fs.Parse(args[1:]); err != nil {
		return o, err
	}
	if (o.time > 0) == (o.size > 0) {
		return o, fmt.Errorf("one of -time and -size is needed")
	}
	return o, nil
}

// newHost opens the devices.
func newHost(o options) (*mptcp.Host, error) {
	var cfg mptcp.Config
	for _, c := range []struct {
		flag, name string
		ok         bool
	}{
		{"-cc", o.congestion, choose(&cfg.Congestion, o.congestion, congestion.ByName)},
		{"-scheduler", o.scheduler, choose(&cfg.Scheduler, o.scheduler, scheduler.ByName)},
		{"-pm", o.manager, choose(&cfg.PathManager, o.manager, pathmgr.ByName)},
	} {
		if !c.ok {
			return nil, fmt.Errorf("%s: there is no %q", c.flag, c.name)
		}
	}
	h, err := mptcp.NewHost(&cfg)
	if err != nil {
		return nil, err
	}
	for _, d := range strings.Split(o.devices, ",") {
		if err := addDevice(h, d); err != nil {
			h.Close()
			return nil, err
		}
	}
	return h, nil
}

// choose sets what to what the name stands for, if it is known.
func choose[T any](what *T, name string, byName func(string) (T, bool)) (ok bool) {
	*what, ok = byName(name)
	return ok
}

// addDevice attaches "name=address/bits".
func addDevice(h *mptcp.Host, spec string) error {
	name, addr, _ := strings.Cut(spec, "=")
	prefix, err := netip.ParsePrefix(addr)
	if err != nil {
		return fmt.Errorf("-dev %q: %w", spec, err)
	}
	dev, err := tun.OpenLinux(name)
	if err != nil {
		return err
	}
	return h.AddDevice(dev, prefix)
}

func run(o options) (r result) {
	r.Mode, r.Start = o.mode, time.Now()
	defer func() { r.TotalMs = ms(time.Since(r.Start)) }()
	h, err := newHost(o)
	if err != nil {
		r.Err = err.Error()
		return r
	}
	defer h.Close()
	r.Start = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	c, err := h.Dial(ctx, "tcp", o.addr)
	if err != nil {
		r.Err = err.Error()
		return r
	}
	r.ConnectMs = ms(time.Since(r.Start))
	_ = c.SetDeadline(r.Start.Add(o.timeout)) // it is open
	time.Sleep(o.afterConnect)
	if err := transfer(c, o, &r); err != nil {
		r.Err = err.Error()
	}
	r.Info = c.Info()
	if err := c.Close(); err == nil && r.Err == "" {
		_ = c.Wait(ctx) // so that the server sees an orderly end
	}
	return r
}
