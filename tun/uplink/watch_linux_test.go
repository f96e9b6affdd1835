package uplink

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/gomptcp/gomptcp/tun"
)

// told is a host that tells of its devices.
type told struct {
	events chan string
	open   map[string]tun.Device
}

func (h *told) AddDevice(dev tun.Device, _ ...netip.Prefix) error {
	h.open[dev.Name()] = dev
	h.events <- "add " + dev.Name()
	return nil
}

func (h *told) RemoveDevice(name string) error {
	h.events <- "remove " + name
	return h.open[name].Close()
}

// next waits for an event.
func (h *told) next(want string) error {
	if got := <-h.events; got != want {
		return fmt.Errorf("want %q, got %q", want, got)
	}
	return nil
}

// A host loses a path's device with the device, the uplink or the uplink's address, and gets it again
// when all is back.
func TestWatch(t *testing.T) {
	inNamespace(t, func(k *kernel) error {
		tuntap := func(name string) netlink.Link {
			return &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: name}, Mode: netlink.TUNTAP_MODE_TUN}
		}
		up1, mp0 := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "up1"}}, tuntap("mp0")
		up2 := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "up2"}}
		addr, err := netlink.ParseAddr("192.0.2.7/24")
		if err != nil {
			return err
		}
		setUp := errors.Join(k.nl.LinkAdd(mp0), k.nl.LinkAdd(tuntap("mp1")), k.nl.AddrAdd(up1, addr),
			k.nl.LinkSetUp(up1), k.nl.LinkSetUp(up2), k.nl.LinkSetUp(mp0))
		if setUp != nil {
			return setUp
		}
		host := &told{events: make(chan string, 16), open: map[string]tun.Device{}}
		w, err := Watch(WatchConfig{Host: host, Paths: []Path{
			{Device: "mp1", Addrs: prefixes("10.72.0.2/24"), Uplink: "up2"}, // is not switched on
			{Device: "mp0", Addrs: prefixes("10.71.0.2/24"), Uplink: "up1"},
		}})
		if err != nil {
			return err
		}
		defer w.Close()
		for _, step := range []struct {
			what, want string
			do         func() error
		}{
			{"the start", "add mp0", func() error { return nil }},
			{"uplink off", "remove mp0", func() error { return k.nl.LinkSetDown(up1) }},
			{"uplink on", "add mp0", func() error { return k.nl.LinkSetUp(up1) }},
			{"address gone", "remove mp0", func() error { return k.nl.AddrDel(up1, addr) }},
			{"address back", "add mp0", func() error { return k.nl.AddrAdd(up1, addr) }},
			{"device off", "remove mp0", func() error { return k.nl.LinkSetDown(mp0) }},
			{"device on", "add mp0", func() error { return k.nl.LinkSetUp(mp0) }},
			{"uplink gone", "remove mp0", func() error { return k.nl.LinkDel(up1) }},
		} {
			if err := step.do(); err != nil {
				return err
			}
			if err := host.next(step.want); err != nil {
				return fmt.Errorf("%s: %w", step.what, err)
			}
		}
		if left := w.Names(); left != nil {
			return fmt.Errorf("still there: %q", left)
		}
		return w.Close()
	})
}
