package simnet

import "github.com/gomptcp/gomptcp/tun"

// Attach makes a device that is no end of a link fit for a stack that lives in this host:
// the world learns of the packets that come in. It is for the devices of tun.Pipe and
// others that wait on nothing but channels, package sync and package time. What passes
// there takes no virtual time of the world's, and its order does not follow from the seed.
func (h *Host) Attach(dev tun.Device) tun.Device { return attached{dev, h.w} }

type attached struct {
	tun.Device
	w *World
}

// Read implements tun.Device.
func (a attached) Read(pkts []tun.Packet) (int, error) {
	n, err := a.Device.Read(pkts)
	if n > 0 {
		// The event wakes the driver; it waits until the reader is at rest again.
		a.w.later(0, func() { a.w.unsettled = true })
	}
	return n, err
}
