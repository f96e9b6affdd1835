package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/subflow/congestion"
)

const usage = `usage: mpbench up|down|echo [flags]    measure, against a server
       mpbench serve [flags]           be the server

Up sends to the server, down receives from it, echo sends messages and waits for the
answer to each. The server is another mpbench, of this module or of the kernel's rig.

Each -dev is a path: a TUN device, which has to exist and to be routed, and the
addresses that mpbench has behind it. Between two machines with the devices mp0, mp1:

    mpbench serve -dev mp0=10.71.0.2/24,mp1=10.72.0.2/24 -addr :5001
    mpbench down -dev mp0=10.81.0.2/24,mp1=10.82.0.2/24 -addr 10.71.0.2:5001 -time 10s

With -uplinks, which is for Linux and root, a client uses the machine's own uplinks
instead, as mpcat does.

Flags in the environment variable MPBENCH_ARGS come before those of the command line.

Exit status: 0 when all went well, 1 when not, 2 for a wrong command line.

Flags:
`

// The devices of the laboratory's rig.
const (
	clientDevices = "tun-a=10.1.0.2/24,fd01::2/64,tun-b=10.2.0.2/24,fd02::2/64"
	serverDevices = "tun-s=10.9.1.2/24,fd09:1::2/64"
	clientVia     = "tun-a=la,tun-b=lb"
)

// config is a parsed command line.
type config struct {
	mode    string // "up", "down", "echo" or "serve"
	address string // of the server
	request request
	// count is the number of messages, interval the least time from one to the next.
	count    int
	interval time.Duration
	// timeout bounds the whole; afterConnect is a pause before the test, in which subflows join.
	timeout, afterConnect time.Duration

	paths   []path
	uplinks []string // names and patterns; then there are no paths
	watch   bool
	json    bool
	// host is the part of the host's Config that flags do not set, too: the tests' time.
	host mptcp.Config
}

// path is a device and the addresses that are ours behind it.
type path struct {
	device string
	addrs  []netip.Prefix
	// uplink is the interface by which the device's packets leave; empty if unknown.
	uplink string
}

// parseFlags parses the arguments after the program's name; extra ones come between the mode and
// the others. Help goes to out, and so do later log lines; the error says what is wrong and is
// not printed.
func parseFlags(args, extra []string, terminal bool, out io.Writer) (*config, error) {
	cfg := &config{}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		cfg.mode, args = args[0], args[1:]
	}
	f := &flags{set: flag.NewFlagSet("mpbench", flag.ContinueOnError)}
	f.define(cfg, terminal)
	f.set.SetOutput(io.Discard)
	err := f.set.Parse(slices.Concat(extra, args))
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(out, usage)
		f.set.SetOutput(out)
		f.set.PrintDefaults()
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"up", "down", "echo", "serve"}, cfg.mode) {
		return nil, fmt.Errorf("the first argument has to be up, down, echo or serve, not %q; mpbench -h explains", cfg.mode)
	}
	if f.set.NArg() > 0 {
		return nil, fmt.Errorf("nothing is expected after the flags, got %q; mpbench -h explains", f.set.Args())
	}
	if f.verbose {
		cfg.host.Logger = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for _, step := range []func(*config) error{f.choosePolicies, f.choosePaths, f.chooseTest} {
		if err := step(cfg); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// flags are those that need a second look.
type flags struct {
	set                          *flag.FlagSet
	congestion, intent           string
	scheduler, manager           string
	devices, via, uplinks, local string
	mptcp, verbose               bool
	time                         time.Duration
}

func (f *flags) define(cfg *config, terminal bool) {
	fs := f.set
	fs.StringVar(&cfg.address, "addr", "", "`address` of the server (default 10.9.0.1:5001), or where the server listens (default :5001)")
	fs.DurationVar(&f.time, "time", 0, "up, down: how long to send (default, without -size, 10s)")
	fs.Int64Var(&cfg.request.Bytes, "size", 0, "up, down: how many `bytes` to send")
	fs.BoolVar(&cfg.request.NoSum, "nosum", false, "up, down: no SHA-256 of all that is sent")
	fs.IntVar(&cfg.request.Req, "req", 1024, "echo: `bytes` of a message, at least 8")
	fs.IntVar(&cfg.request.Resp, "resp", 1024, "echo: `bytes` of an answer, at least 8")
	fs.IntVar(&cfg.count, "count", 200, "echo: number of messages")
	fs.DurationVar(&cfg.interval, "interval", 0, "echo: least time from the start of one message to the next's")
	fs.DurationVar(&cfg.timeout, "timeout", time.Minute, "when to give up; 0: never")
	fs.DurationVar(&cfg.afterConnect, "after-connect", 0, "wait after connecting, for the other subflows, before the test")

	fs.StringVar(&f.devices, "dev", "", "`NAME=ADDR/LEN[,ADDR6/LEN][,NAME=...]`: the paths' TUN devices and our addresses behind them; the first dials (default those of the rig, "+
		clientDevices+", or "+serverDevices+")")
	fs.StringVar(&f.via, "via", "", "`DEV=INTERFACE[,...]`: by which interface a device's packets leave the machine; the path goes away and comes back with it (default "+
		clientVia+" where there are such interfaces)")
	fs.StringVar(&f.uplinks, "uplinks", "", "instead of -dev, make paths of the machine's `UPLINKS`: auto, or names and patterns of interfaces such as eth0,wl*")
	fs.BoolVar(&cfg.watch, "watch", true, "follow the devices and -via as they go and come (Linux)")
	fs.StringVar(&f.local, "local", "", "one of the `addresses` of -dev, whose device dials")
	fs.BoolVar(&f.mptcp, "mptcp", true, "with =false: plain TCP over one path")
	fs.StringVar(&f.congestion, "cc", "bbr", "congestion control: "+strings.Join(congestion.Names(), ", "))
	fs.StringVar(&f.intent, "intent", mptcp.Balanced.String(), "what several paths are for, which chooses -scheduler and -pm: "+strings.Join(mptcp.IntentNames(), ", "))
	fs.StringVar(&f.scheduler, "scheduler", "", "packet scheduler, instead of the intent's: "+strings.Join(scheduler.Names(), ", "))
	fs.StringVar(&f.manager, "pm", "", "path manager, instead of the intent's: "+strings.Join(pathmgr.Names(), ", "))
	fs.BoolVar(&cfg.json, "json", !terminal, "print one line of JSON instead of progress and summary")
	fs.BoolVar(&f.verbose, "v", false, "log the connection's story to standard error")
}

// choosePolicies looks up what was named.
func (f *flags) choosePolicies(cfg *config) error {
	var ok bool
	if cfg.host.Congestion, ok = congestion.ByName(f.congestion); !ok {
		return fmt.Errorf("-cc %q: there are %s", f.congestion, strings.Join(congestion.Names(), ", "))
	}
	if cfg.host.Intent, ok = mptcp.IntentByName(f.intent); !ok {
		return fmt.Errorf("-intent %q: there are %s", f.intent, strings.Join(mptcp.IntentNames(), ", "))
	}
	if cfg.host.Scheduler, ok = scheduler.ByName(f.scheduler); !ok && f.scheduler != "" {
		return fmt.Errorf("-scheduler %q: there are %s", f.scheduler, strings.Join(scheduler.Names(), ", "))
	}
	if cfg.host.PathManager, ok = pathmgr.ByName(f.manager); !ok && f.manager != "" {
		return fmt.Errorf("-pm %q: there are %s", f.manager, strings.Join(pathmgr.Names(), ", "))
	}
	cfg.host.DisableMPTCP = !f.mptcp
	return nil
}

// chooseTest checks what is to be measured and sets the defaults.
func (f *flags) chooseTest(cfg *config) error {
	q := &cfg.request
	q.Mode, q.DurMs = cfg.mode, f.time.Milliseconds()
	switch cfg.mode {
	case "serve":
		if cfg.address == "" {
			cfg.address = ":5001"
		}
		return nil
	case "echo":
		if min(q.Req, q.Resp) < minMessage || max(q.Req, q.Resp) > maxMessage {
			return fmt.Errorf("-req %d, -resp %d: must be from %d to %d", q.Req, q.Resp, minMessage, maxMessage)
		}
		if cfg.count < 1 {
			return fmt.Errorf("-count %d: must be positive", cfg.count)
		}
	default:
		if f.time < 0 || q.Bytes < 0 {
			return errors.New("-time and -size must not be negative")
		}
		if f.time > 0 && q.Bytes > 0 {
			return errors.New("-time and -size: give one of them")
		}
		if f.time == 0 && q.Bytes == 0 {
			q.DurMs = 10000
		}
	}
	if cfg.timeout < 0 || cfg.interval < 0 || cfg.afterConnect < 0 {
		return errors.New("-timeout, -interval and -after-connect must not be negative")
	}
	if cfg.address == "" {
		cfg.address = "10.9.0.1:5001"
	}
	return nil
}
