// Package uplink gives a host the machine's own uplinks as paths, and follows them: wifi, a
// modem and a cable become devices of the host while they have carrier and a route, and go when
// they go. Linux only; elsewhere New returns an error.
//
// For each uplink it makes a TUN device with a pair of private addresses, a routing table with
// the uplink's routes and a rule that sends there what comes from the device, source NAT to the
// uplink's address, and forwarding between the two. IPv6 is treated alike where the uplink has it.
//
//	host, _ := mptcp.NewHost(nil)
//	u, err := uplink.New(uplink.Config{Match: []string{"auto"}, Host: host})
//	...
//	err = u.Close()
//
// Everything has a name or number of its own: devices and nftables tables are called gomptcp0,
// gomptcp1 and so on, rules and routes carry the protocol number 213, rules the preferences from
// 2130 on, tables the numbers from 213000 on. Nothing else is touched, but for forwarding, whose
// old values are noted in the nftables table. (Before Linux 6.17 IPv6 is forwarded between all
// interfaces or none; accept_ra=2 keeps router advertisements working meanwhile.) What has such a
// name and no device belongs to a process that died, since its device goes with a process: New
// and Cleanup undo it. Several processes may do so at once.
//
// A firewall that drops forwarded packets drops these, too; New says so to the Logger when it
// sees one. It has to let devices called gomptcp* pass, in both directions.
//
// Where somebody else has set up devices and routes, Watch does the following only.
package uplink

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path"

	"github.com/gomptcp/gomptcp/tun"
)

// Auto in Config.Match stands for all interfaces with a default route.
const Auto = "auto"

// Host is what gets the devices: *mptcp.Host, or something in between.
type Host interface {
	// AddDevice attaches a device with the host's addresses on it and owns it from then on,
	// unless it returns an error.
	AddDevice(dev tun.Device, addrs ...netip.Prefix) error
	// RemoveDevice detaches and closes the device of that name.
	RemoveDevice(name string) error
}

// Config says which uplinks are used and how. Match is required, and Host but for a dry run.
type Config struct {
	// Match chooses the uplinks: names or patterns as of path.Match of interfaces, or Auto. An
	// uplink is used while it is up, with carrier, and has an address and a route.
	Match []string
	// Host gets a device for each uplink, those with the default routes of lower metrics first.
	Host Host
	// Forward lists the ports at which the uplinks take connections for the host. Default: none.
	Forward []Forward
	// DryRun, if not nil, gets what New would do to the system as it is now, in the commands of
	// ip, nft and sysctl, and New does nothing.
	DryRun io.Writer
	// Logger gets what comes and goes, and what fails later. Default: nothing is logged.
	Logger *slog.Logger
}

// Forward sends TCP connections to a port of an uplink's own addresses to the host.
type Forward struct {
	// Port is the uplink's, 1 to 65535. A program that listens there gets no connections from
	// outside any more.
	Port uint16
	// To is the port where the host listens. Default: Port.
	To uint16
}

// ErrUnsupported says that uplinks can be set up on Linux only. Elsewhere give a host devices made with
// tun.Open, and set up routes and NAT by the system's own means.
var ErrUnsupported = errors.New("uplink: only Linux is supported; make a device with tun.Open, and routes and NAT with the system's tools")

// check returns the config with its defaults, or what is wrong with it.
func (cfg Config) check() (Config, error) {
	if len(cfg.Match) == 0 {
		return cfg, errors.New("uplink: Config.Match is empty: name interfaces, a pattern such as \"wl*\", or \"auto\"")
	}
	for _, m := range cfg.Match {
		if _, err := path.Match(m, ""); err != nil || m == "" {
			return cfg, fmt.Errorf("uplink: Config.Match has %q, which is neither a name nor a pattern such as \"wl*\"", m)
		}
	}
	if cfg.Host == nil && cfg.DryRun == nil {
		return cfg, errors.New("uplink: Config.Host is nil: it takes the devices")
	}
	forward := append([]Forward(nil), cfg.Forward...)
	for i := range forward {
		f := &forward[i]
		if f.Port == 0 {
			return cfg, errors.New("uplink: a Forward has no Port")
		}
		if f.To == 0 {
			f.To = f.Port
		}
	}
	cfg.Forward = forward
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}
