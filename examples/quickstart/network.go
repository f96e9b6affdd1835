package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/internal/linkem"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/pcap"
)

// serverAddress is where the server listens, and serverPrefix its host's address.
const serverAddress = "10.9.0.1:5001"

var serverPrefix = netip.MustParsePrefix("10.9.0.1/24")

// network is two hosts and what is between them:
//
//	client  10.1.1.2 --wifi--\
//	                          router -- 10.9.0.1  server
//	        10.1.2.2 --lte---/
type network struct {
	client, server *mptcp.Host
	attach         [2]func(tun.Device) tun.Device // makes devices fit for client and server
	links          map[string]*linkem.Link        // by the name of the path
	line           [2]tun.Device                  // between router and server
	capture        *pcap.Writer                   // nil without -pcap
}

// newNetwork builds hosts, links and router.
func newNetwork(cfg *config) (_ *network, err error) {
	n := &network{links: map[string]*linkem.Link{}}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if cfg.pcap != "" {
		if n.capture, err = pcap.Create(cfg.pcap, pcap.Options{}); err != nil {
			return nil, err
		}
	}
	if n.client, n.attach[0], err = newHost(cfg, "client"); err != nil {
		return nil, err
	}
	if n.server, n.attach[1], err = newHost(cfg, "server"); err != nil {
		return nil, err
	}

	far := map[netip.Addr]tun.Device{}
	for i, p := range cfg.paths {
		addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i + 1), 2}), 24)
		if far[addr.Addr()], err = n.addPath(p, addr); err != nil {
			return nil, err
		}
	}
	outside, inside := tun.Pipe(tun.PipeConfig{Names: [2]string{"router", "eth0"}})
	n.line = [2]tun.Device{outside, inside}
	if err := n.server.AddDevice(n.attach[1](inside), serverPrefix); err != nil {
		return nil, err
	}
	route(outside, far)
	return n, nil
}

// newHost makes a host, and says how a device is made fit for it.
func newHost(cfg *config, name string) (h *mptcp.Host, attach func(tun.Device) tun.Device, err error) {
	attach = func(dev tun.Device) tun.Device { return dev }
	hostConfig := mptcp.Config{Scheduler: cfg.sched}
	if cfg.log != nil {
		hostConfig.Logger = slog.New(slog.NewTextHandler(cfg.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if cfg.world != nil {
		node := cfg.world.Host(name)
		hostConfig.Environment, attach = node, node.Attach
	}
	h, err = mptcp.NewHost(&hostConfig)
	return h, attach, err
}

// addPath makes the link of a path, gives its near end to the client as a device with
// the address, and returns the far end.
func (n *network) addPath(p pathConfig, addr netip.Prefix) (far tun.Device, err error) {
	line := linkem.Params{Rate: int64(p.rate * 1e6), Delay: p.delay}
	link, near, far := linkem.New(linkem.Config{Names: [2]string{p.name, p.name + "-far"}, AtoB: line, BtoA: line})
	n.links[p.name] = link
	var dev tun.Device = near
	if n.capture != nil {
		if dev, err = n.capture.Wrap(dev); err != nil {
			return nil, err
		}
	}
	return far, n.client.AddDevice(n.attach[0](dev), addr)
}

// scheduleCut takes a path down and up again as c says and reports both. The returned
// function takes back what has not happened yet.
func (n *network) scheduleCut(c cut, report func(string)) (stop func()) {
	link := n.links[c.path]
	if link == nil {
		return func() {}
	}
	var mu sync.Mutex
	stopped := false
	at := func(d time.Duration, down bool, text string) *time.Timer {
		return time.AfterFunc(d, func() {
			mu.Lock()
			defer mu.Unlock()
			if !stopped {
				link.SetDown(down)
				report(text)
			}
		})
	}
	cutTimer := at(c.from, true, fmt.Sprintf("--- %s is cut: everything on it is lost", c.path))
	restoreTimer := at(c.to, false, fmt.Sprintf("--- %s is back", c.path))
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		cutTimer.Stop()
		restoreTimer.Stop()
	}
}

// Close closes the hosts, then what is between them.
func (n *network) Close() error {
	var errs []error
	for _, h := range []*mptcp.Host{n.client, n.server} {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	for _, l := range n.links {
		errs = append(errs, l.Close())
	}
	for _, d := range n.line {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	if n.capture != nil {
		errs = append(errs, n.capture.Close())
	}
	return errors.Join(errs...)
}
