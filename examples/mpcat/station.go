package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/pcap"
)

// station is the host with its devices and their capture. What is nil is not open.
type station struct {
	host    *mptcp.Host
	devices []tun.Device
	capture *pcap.Writer
}

// open makes the host and gives it all devices. After an error, Close closes what was
// opened until then.
func (st *station) open(cfg *config, open func(name string) (tun.Device, error)) (err error) {
	hostConfig := cfg.host
	hostConfig.Scheduler, hostConfig.PathManager, hostConfig.Checksum = cfg.sched, cfg.pathmgr, cfg.checksum
	if cfg.verbose {
		hostConfig.Logger = slog.New(slog.NewTextHandler(cfg.logTo, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
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
		if st.capture != nil {
			if dev, err = st.capture.Wrap(dev); err != nil {
				return fmt.Errorf("-pcap: %w", err)
			}
		}
		if err := st.host.AddDevice(dev, d.addrs...); err != nil {
			return fmt.Errorf("-dev %s: %w", d.name, err)
		}
	}
	return nil
}

// Close closes the host, then its devices, then the capture.
func (st *station) Close() error {
	var errs []error
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
