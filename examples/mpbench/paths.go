package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// choosePaths makes the paths of -dev, -via, -uplinks and -local.
func (f *flags) choosePaths(cfg *config) (err error) {
	if f.uplinks != "" {
		if f.devices != "" || f.via != "" || f.local != "" {
			return errors.New("-uplinks makes devices itself: leave out -dev, -via and -local")
		}
		if cfg.mode == "serve" {
			return errors.New("-uplinks is for clients: a server's addresses would be private")
		}
		cfg.uplinks = strings.Split(f.uplinks, ",")
		return nil
	}
	devices := f.devices
	switch {
	case devices != "":
	case cfg.mode == "serve":
		devices = serverDevices
	default:
		devices = clientDevices
	}
	if cfg.paths, err = parseDevices(devices); err != nil {
		return fmt.Errorf("-dev: %w", err)
	}
	if f.via == "" {
		f.guessVia(cfg)
	} else if err := setVia(cfg.paths, f.via); err != nil {
		return fmt.Errorf("-via: %w", err)
	}
	return f.chooseLocal(cfg)
}

// parseDevices parses NAME=ADDR/LEN[,ADDR6/LEN][,NAME=...].
func parseDevices(s string) (paths []path, err error) {
	for _, item := range strings.Split(s, ",") {
		name, addr, named := strings.Cut(item, "=")
		switch {
		case !named && len(paths) == 0, named && name == "":
			return nil, fmt.Errorf("%q: want NAME=ADDR/LEN, for example tun0=10.1.1.2/24", item)
		case !named:
			addr = item
		case slices.ContainsFunc(paths, func(p path) bool { return p.device == name }):
			return nil, fmt.Errorf("device %s is named twice; further addresses follow the first without its name", name)
		default:
			paths = append(paths, path{device: name})
		}
		prefix, err := netip.ParsePrefix(addr)
		if err != nil {
			return nil, fmt.Errorf("%q is no address with prefix length, such as 10.1.1.2/24: %w", addr, err)
		}
		last := &paths[len(paths)-1]
		last.addrs = append(last.addrs, prefix)
	}
	return paths, nil
}

// setVia parses DEV=INTERFACE[,...].
func setVia(paths []path, s string) error {
	for _, item := range strings.Split(s, ",") {
		device, uplink, _ := strings.Cut(item, "=")
		i := slices.IndexFunc(paths, func(p path) bool { return p.device == device })
		if i < 0 || uplink == "" {
			return fmt.Errorf("%q: want DEV=INTERFACE with a device of -dev", item)
		}
		paths[i].uplink = uplink
	}
	return nil
}

// guessVia takes the rig's interfaces where they are.
func (f *flags) guessVia(cfg *config) {
	for _, item := range strings.Split(clientVia, ",") {
		_, uplink, _ := strings.Cut(item, "=")
		if _, err := net.InterfaceByName(uplink); err == nil {
			_ = setVia(cfg.paths, item) // a device of the rig that is not in use has no path
		}
	}
}

// chooseLocal moves the path of -local to the front.
func (f *flags) chooseLocal(cfg *config) error {
	if f.local == "" {
		return nil
	}
	local, err := netip.ParseAddr(strings.Trim(f.local, "[]"))
	if err != nil {
		return fmt.Errorf("-local: %w", err)
	}
	i := slices.IndexFunc(cfg.paths, func(p path) bool {
		return slices.ContainsFunc(p.addrs, func(a netip.Prefix) bool { return a.Addr() == local })
	})
	if i < 0 {
		return fmt.Errorf("-local %v: no device of -dev has this address", local)
	}
	first := cfg.paths[i]
	cfg.paths = slices.Insert(slices.Delete(cfg.paths, i, i+1), 0, first)
	return nil
}
