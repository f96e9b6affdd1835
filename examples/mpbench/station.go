package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/uplink"
)

// station is the host with what follows its devices. What is nil is not open.
type station struct {
	host    *mptcp.Host
	uplinks *uplink.Uplinks
	watcher *uplink.Watcher
}

// open makes the host and gives it its devices. After an error, Close closes what was
// opened until then.
func (st *station) open(cfg *config, open func(name string) (tun.Device, error)) (err error) {
	if st.host, err = mptcp.NewHost(&cfg.host); err != nil {
		return err
	}
	switch {
	case len(cfg.uplinks) > 0:
		return st.useUplinks(cfg)
	case cfg.watch:
		if err := st.watchPaths(cfg, open); !errors.Is(err, uplink.ErrUnsupported) {
			return err
		}
	}
	for _, p := range cfg.paths {
		dev, err := open(p.device)
		if err != nil {
			return fmt.Errorf("-dev %s: %w", p.device, err)
		}
		if err := st.host.AddDevice(dev, p.addrs...); err != nil {
			dev.Close()
			return fmt.Errorf("-dev %s: %w", p.device, err)
		}
	}
	return nil
}

func (st *station) useUplinks(cfg *config) (err error) {
	st.uplinks, err = uplink.New(uplink.Config{Match: cfg.uplinks, Host: st.host, Logger: cfg.host.Logger})
	if err != nil {
		return fmt.Errorf("-uplinks: %w", err)
	}
	if len(st.uplinks.Names()) == 0 {
		return fmt.Errorf("-uplinks: no interface of %s is up with carrier, an address and a route; see ip addr and ip route", strings.Join(cfg.uplinks, ","))
	}
	return nil
}

// watchPaths gives the host the devices as long as they, and their uplinks, work.
func (st *station) watchPaths(cfg *config, open func(name string) (tun.Device, error)) (err error) {
	w := uplink.WatchConfig{Host: st.host, Open: open, Logger: cfg.host.Logger}
	for _, p := range cfg.paths {
		w.Paths = append(w.Paths, uplink.Path{Device: p.device, Addrs: p.addrs, Uplink: p.uplink})
	}
	if st.watcher, err = uplink.Watch(w); err != nil {
		return err
	}
	if len(st.watcher.Names()) == 0 {
		return errors.New("no device of -dev is up, with an interface of -via that is up and has an address; see ip addr (-watch=false does not ask for that)")
	}
	return nil
}

// Close closes everything.
func (st *station) Close() error {
	var errs []error
	if st.watcher != nil {
		errs = append(errs, st.watcher.Close())
	}
	if st.uplinks != nil {
		errs = append(errs, st.uplinks.Close())
	}
	if st.host != nil {
		errs = append(errs, st.host.Close())
	}
	return errors.Join(errs...)
}
