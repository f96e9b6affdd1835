package main

import (
	"net/netip"

	"github.com/gomptcp/gomptcp/tun"
)

// route forwards packets between the server's line and the far ends of the paths, as
// the routers between two access networks and a server do: what comes from a path goes
// to the server, what comes from the server goes to the path of its destination. It
// ends when the devices are closed.
func route(server tun.Device, paths map[netip.Addr]tun.Device) {
	for _, path := range paths {
		go forward(path, func(tun.Packet) tun.Device { return server })
	}
	go forward(server, func(p tun.Packet) tun.Device { return paths[destination(p)] })
}

// forward passes on what it reads from a device until that is closed.
func forward(from tun.Device, next func(tun.Packet) tun.Device) {
	pkts := make([]tun.Packet, 32)
	buffers := make([][]byte, len(pkts))
	for i := range buffers {
		buffers[i] = make([]byte, tun.MaxPacketSize)
	}
	for {
		for i := range pkts {
			pkts[i] = tun.Packet{Head: buffers[i]}
		}
		n, err := from.Read(pkts)
		if err != nil {
			return
		}
		for i := range pkts[:n] {
			if to := next(pkts[i]); to != nil {
				to.Write(pkts[i : i+1]) // a closed path loses its packets, as a real one
			}
		}
	}
}

// destination is where an IPv4 packet wants to go.
func destination(p tun.Packet) netip.Addr {
	if len(p.Head) < 20 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(p.Head[16:20]))
}
