package uplink

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/gomptcp/gomptcp/tun"
)

// Path is a device that somebody else has made and routed, unlike those of New, and the interface by
// which its packets leave the machine.
type Path struct {
	// Device is its name. It exists before and after its use: a persistent TUN device.
	Device string
	// Addrs are the host's addresses on it, at least one.
	Addrs []netip.Prefix
	// Uplink names the interface by which its packets leave. Empty: that is not known, and only the
	// device is watched.
	Uplink string
}

// WatchConfig says which paths are watched. Paths and Host are required.
type WatchConfig struct {
	// Paths are given to the host in this order.
	Paths []Path
	// Host gets the device of each path as long as the path stands: the device is switched on, and the
	// uplink is, too, has carrier and an address. The host gets those of the path's addresses of whose
	// family the uplink has one.
	Host Host
	// Open opens a device. Default: tun.Open.
	Open func(name string) (tun.Device, error)
	// Logger gets what comes and goes, and what fails later. Default: nothing is logged.
	Logger *slog.Logger
}

// check returns the config with its defaults, or what is wrong with it.
func (cfg WatchConfig) check() (WatchConfig, error) {
	if len(cfg.Paths) == 0 {
		return cfg, errors.New("uplink: WatchConfig.Paths is empty")
	}
	for i, p := range cfg.Paths {
		if p.Device == "" || len(p.Addrs) == 0 {
			return cfg, fmt.Errorf("uplink: WatchConfig.Paths[%d] has no Device, or no Addrs", i)
		}
		if slices.ContainsFunc(cfg.Paths[:i], func(o Path) bool { return o.Device == p.Device }) {
			return cfg, fmt.Errorf("uplink: WatchConfig.Paths has the device %s twice", p.Device)
		}
	}
	if cfg.Host == nil {
		return cfg, errors.New("uplink: WatchConfig.Host is nil: it takes the devices")
	}
	if cfg.Open == nil {
		cfg.Open = tun.Open
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Paths = slices.Clone(cfg.Paths)
	return cfg, nil
}

// footing is what a path stands on: as long as it is there the path works.
type footing struct {
	device, uplink int // indexes
	// hosts are those of the path's addresses that work.
	hosts []netip.Prefix
	// addrs are the uplink's of the same families. Packets may leave with any of them.
	addrs []netip.Prefix
}

// footing returns what the path stands on now; false if it does not.
func (p *Path) footing(links []link) (footing, bool) {
	device := find(links, p.Device)
	if device == nil || !device.enabled {
		return footing{}, false
	}
	if p.Uplink == "" {
		return footing{device: device.index, hosts: p.Addrs}, true
	}
	up := find(links, p.Uplink)
	if up == nil || !up.up {
		return footing{}, false
	}
	f := footing{device: device.index, uplink: up.index}
	f.hosts = sharing(p.Addrs, up.addrs)
	f.addrs = sharing(up.addrs, p.Addrs)
	return f, len(f.hosts) > 0
}

// sharing returns those of list that have the family of one of others.
func sharing(list, others []netip.Prefix) (all []netip.Prefix) {
	for _, a := range list {
		if slices.ContainsFunc(others, func(o netip.Prefix) bool { return o.Addr().Is4() == a.Addr().Is4() }) {
			all = append(all, a)
		}
	}
	return all
}

// holds reports whether all of f is there still, and no family more: further addresses change nothing.
func (f footing) holds(now footing) bool {
	return f.device == now.device && f.uplink == now.uplink && slices.Equal(f.hosts, now.hosts) &&
		!slices.ContainsFunc(f.addrs, func(a netip.Prefix) bool { return !slices.Contains(now.addrs, a) })
}

func find(links []link, name string) *link {
	i := slices.IndexFunc(links, func(l link) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return &links[i]
}
