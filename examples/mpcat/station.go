package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/pcap"
	"github.com/gomptcp/gomptcp/tun/uplink"
)

// station is the host with its devices and their capture. What is nil is not open.
type station struct {
	host    *mptcp.Host
	devices []tun.Device
	uplinks *uplink.Uplinks
	capture *pcap.Writer
}

// open makes the host and gives it all devices. After an error, Close closes what was
// opened until then.
func (st *station) open(cfg *config, open func(name string) (tun.Device, error)) (err error) {
	hostConfig := cfg.host
	hostConfig.Intent, hostConfig.Scheduler, hostConfig.PathManager = cfg.intent, cfg.sched, cfg.pathmgr
	hostConfig.Checksum = cfg.checksum
	hostConfig.Logger = cfg.logger()
	if st.host, err = mptcp.NewHost(&hostConfig); err != nil {
		return err
	}
	if cfg.pcap != "" {
		if st.capture, err = pcap.Create(cfg.pcap, pcap.Options{}); err != nil {
			return fmt.Errorf("-pcap: %w", err)
		}
	}
	for _, d := range cfg.devices {
		dev, err := open(d.name)
		if err != nil {
			return fmt.Errorf("-dev %s: %w", d.name, err)
		}
		st.devices = append(st.devices, dev)
		if err := st.AddDevice(dev, d.addrs...); err != nil {
			return fmt.Errorf("-dev %s: %w", d.name, err)
		}
	}
	if len(cfg.uplinks) == 0 {
		return nil
	}
	if st.uplinks, err = uplink.New(cfg.uplinkConfig(st, nil)); err != nil {
		return fmt.Errorf("-uplinks: %w", err)
	}
	if len(st.uplinks.Names()) == 0 && len(cfg.devices) == 0 {
		return fmt.Errorf("-uplinks: no interface of %s is up with carrier, an address and a route; see ip addr and ip route", strings.Join(cfg.uplinks, ","))
	}
	return nil
}

// AddDevice gives the host a device, with the capture in between. With RemoveDevice it makes
// an uplink.Host of the station.
func (st *station) AddDevice(dev tun.Device, addrs ...netip.Prefix) (err error) {
	if st.capture != nil {
		if dev, err = st.capture.Wrap(dev); err != nil {
			return fmt.Errorf("-pcap: %w", err)
		}
	}
	return st.host.AddDevice(dev, addrs...)
}

// RemoveDevice takes a device from the host.
func (st *station) RemoveDevice(name string) error { return st.host.RemoveDevice(name) }

// Close gives up the uplinks, and closes the host, then its devices, then the capture.
func (st *station) Close() error {
	var errs []error
	if st.uplinks != nil {
		errs = append(errs, st.uplinks.Close())
	}
	if st.host != nil {
		errs = append(errs, st.host.Close())
	}
	for _, dev := range st.devices {
		errs = append(errs, dev.Close())
	}
	if st.capture != nil {
		errs = append(errs, st.capture.Close())
	}
	return errors.Join(errs...)
}
