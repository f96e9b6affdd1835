package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/pathmgr/endpoints"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/tun/uplink"
)

const usage = `usage: mpcat [flags] HOST PORT

Mpcat sends standard input over a Multipath TCP connection to HOST and PORT and
writes what comes back to standard output. The end of standard input closes the
sending half; receiving goes on. With -l it waits for one connection at HOST,
one of its own addresses, instead.

Each -dev is a path: a TUN device and the addresses that mpcat has behind it. The
system's own end of the device needs other addresses of the same networks, and a
device that does not exist yet is made, which takes privileges. To send a file to a
server at 10.9.0.1 over two paths that were prepared with

    ip tuntap add dev wifi mode tun; ip addr add 10.1.1.1/24 dev wifi; ip link set wifi up
    ip tuntap add dev lte  mode tun; ip addr add 10.1.2.1/24 dev lte;  ip link set lte up

run

    mpcat -dev wifi=10.1.1.2/24 -dev lte=10.1.2.2/24 10.9.0.1 5001 <file

With -uplinks, which is for Linux and root, mpcat does all that itself for the
machine's own uplinks: it makes the devices, and routes and masquerades what comes
from them; it follows the uplinks as they come and go, and undoes everything in the
end. Over everything that has a default route:

    mpcat -uplinks auto example.org 5001 <file

An ssh session that lives on while networks come and go, to a server with Multipath TCP
(mptcpize enable ssh):

    ssh -o ProxyCommand='mpcat -uplinks auto %h %p' root@example.org

To see first what it would do to the system, add -dry-run. With -l the uplinks'
PORT is forwarded to mpcat; HOST is then 0.0.0.0 or ::.

Exit status: 0 when all was delivered and confirmed by the peer, 1 when not, 2 for
a wrong command line.

Flags:
`

// config is a parsed command line.
type config struct {
	listen   bool
	address  string // HOST and PORT, joined
	port     uint16
	devices  []deviceFlag
	uplinks  []string // names and patterns
	dryRun   bool
	intent   mptcp.Intent
	sched    scheduler.Factory // nil: that of the intent
	pathmgr  pathmgr.Factory   // likewise
	checksum bool
	pcap     string
	stats    string
	timeout  time.Duration
	verbose  bool
	// logTo takes the lines of -v.
	logTo io.Writer
	// host is the part of the host's Config for which there is no flag: the tests' time.
	host mptcp.Config
}

// deviceFlag is one -dev: a device and the addresses of the host behind it.
type deviceFlag struct {
	name  string
	addrs []netip.Prefix
}

// parseFlags parses the arguments after the program's name. Help goes to out, and
// so do later log lines; the error says what is wrong and is not printed.
func parseFlags(args []string, out io.Writer) (*config, error) {
	cfg := &config{logTo: out}
	fs := flag.NewFlagSet("mpcat", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&cfg.listen, "l", false, "listen at HOST and serve one connection")
	fs.Func("dev", "`NAME=ADDR/LEN[,ADDR6/LEN]`: a path's device and our addresses behind it; repeat it for more paths",
		func(s string) error { return cfg.addDevice(s) })
	fs.Func("uplinks", "use the machine's `UPLINKS` as paths: auto, or names and patterns of interfaces such as eth0,wl*",
		func(s string) error { cfg.uplinks = append(cfg.uplinks, strings.Split(s, ",")...); return nil })
	fs.BoolVar(&cfg.dryRun, "dry-run", false, "only print what -uplinks would do, as commands of ip, nft and sysctl")
	intent := fs.String("intent", mptcp.Balanced.String(), "what several paths are for, which chooses -scheduler and -pathmgr: "+strings.Join(mptcp.IntentNames(), ", "))
	schedName := fs.String("scheduler", "", "packet scheduler: "+strings.Join(scheduler.Names(), ", ")+" (default: that of -intent)")
	pmName := fs.String("pathmgr", "", "path manager: "+strings.Join(pathmgr.Names(), ", ")+" (default: that of -intent; with -l and -uplinks \"none\": nobody could reach the addresses that it would announce)")
	set := endpoints.New()
	fs.Func("endpoint", "`\"ADDR [id N] [port N] [dev NAME] [FLAG]...\"`: for -pathmgr endpoints, as in ip mptcp endpoint add; repeat it for more",
		func(s string) error { return addEndpoint(set, s) })
	limits := fs.String("limits", "", "`\"subflows N add_addr_accepted N\"`: for -pathmgr endpoints, as in ip mptcp limits set")
	fs.BoolVar(&cfg.checksum, "checksum", false, "ask for DSS checksums")
	fs.StringVar(&cfg.pcap, "pcap", "", "capture all devices to `FILE` (pcapng)")
	fs.StringVar(&cfg.stats, "stats", "", "at the end, write what the connection did to `FILE` as JSON")
	fs.DurationVar(&cfg.timeout, "timeout", 0, "give up when nothing has moved for so long, be it connecting, sending, receiving or waiting for confirmation (default: never, but 60s for connecting)")
	fs.BoolVar(&cfg.verbose, "v", false, "log the connection's story to standard error")

	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		io.WriteString(out, usage)
		fs.SetOutput(out)
		fs.PrintDefaults()
	}
	if err != nil {
		return nil, err
	}
	if fs.NArg() != 2 {
		return nil, fmt.Errorf("want HOST and PORT after the flags, got %q; mpcat -h explains", fs.Args())
	}
	cfg.address = net.JoinHostPort(fs.Arg(0), fs.Arg(1))
	port, err := net.LookupPort("tcp", fs.Arg(1))
	if err != nil {
		return nil, fmt.Errorf("PORT: %w", err)
	}
	cfg.port = uint16(port)
	if len(cfg.devices) == 0 && len(cfg.uplinks) == 0 {
		return nil, errors.New("no -dev and no -uplinks: say -uplinks auto, or name a device and our address behind it, for example -dev tun0=10.1.1.2/24")
	}
	if cfg.dryRun && len(cfg.uplinks) == 0 {
		return nil, errors.New("-dry-run is about -uplinks, and there are none")
	}
	if cfg.timeout < 0 {
		return nil, fmt.Errorf("-timeout %v: must not be negative", cfg.timeout)
	}
	var ok bool
	if cfg.intent, ok = mptcp.IntentByName(*intent); !ok {
		return nil, fmt.Errorf("-intent %q: there are %s", *intent, strings.Join(mptcp.IntentNames(), ", "))
	}
	if cfg.sched, ok = scheduler.ByName(*schedName); !ok && *schedName != "" {
		return nil, fmt.Errorf("-scheduler %q: there are %s", *schedName, strings.Join(scheduler.Names(), ", "))
	}
	if err := cfg.choosePathManager(*pmName, set, *limits); err != nil {
		return nil, err
	}
	return cfg, nil
}

// addEndpoint adds one -endpoint.
func addEndpoint(set *endpoints.Set, s string) error {
	ep, err := endpoints.Parse(s)
	if err == nil {
		_, err = set.Add(ep)
	}
	return err
}

// choosePathManager makes the path manager of -pathmgr, -endpoint and -limits.
func (cfg *config) choosePathManager(name string, set *endpoints.Set, limits string) error {
	if name == "" && cfg.listen && len(cfg.uplinks) > 0 {
		name = "none"
	}
	var ok bool
	if cfg.pathmgr, ok = pathmgr.ByName(name); !ok && name != "" {
		return fmt.Errorf("-pathmgr %q: there are %s", name, strings.Join(pathmgr.Names(), ", "))
	}
	list, now := set.Show()
	if name != "endpoints" {
		if len(list) > 0 || limits != "" {
			return errors.New("-endpoint and -limits need -pathmgr endpoints")
		}
		return nil
	}
	cfg.pathmgr = set.Manager
	l, err := endpoints.ParseLimits(limits, now)
	if err != nil {
		return err
	}
	return set.SetLimits(l)
}

// logf writes a line for -v.
func (cfg *config) logf(format string, args ...any) {
	if cfg.verbose {
		fmt.Fprintf(cfg.logTo, "mpcat: "+format+"\n", args...)
	}
}

// logger is for -v; without it there is none.
func (cfg *config) logger() *slog.Logger {
	if !cfg.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(cfg.logTo, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// uplinkConfig is for -uplinks. A server's port is forwarded.
func (cfg *config) uplinkConfig(host uplink.Host, dryRun io.Writer) uplink.Config {
	u := uplink.Config{Match: cfg.uplinks, Host: host, DryRun: dryRun, Logger: cfg.logger()}
	if cfg.listen {
		u.Forward = []uplink.Forward{{Port: cfg.port}}
	}
	return u
}

// addDevice parses NAME=ADDR/LEN[,ADDR6/LEN].
func (cfg *config) addDevice(s string) error {
	name, list, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("want NAME=ADDR/LEN[,ADDR6/LEN], for example tun0=10.1.1.2/24,fd00:1::2/64")
	}
	for _, d := range cfg.devices {
		if d.name == name {
			return fmt.Errorf("device %s is named twice; give all its addresses in one -dev, separated by commas", name)
		}
	}
	d := deviceFlag{name: name}
	for _, a := range strings.Split(list, ",") {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			return fmt.Errorf("%q is no address with prefix length, such as 10.1.1.2/24: %w", a, err)
		}
		d.addrs = append(d.addrs, p)
	}
	cfg.devices = append(cfg.devices, d)
	return nil
}
