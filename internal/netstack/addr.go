package netstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// networkOf is the network protocol of an address.
func networkOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func toAddress(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func fromAddress(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice()) // the zero Addr for "any"
	return addr
}

// endsOf is the local and the remote end of a connection.
func endsOf(id stack.TransportEndpointID) (local, remote netip.AddrPort) {
	return netip.AddrPortFrom(fromAddress(id.LocalAddress), id.LocalPort),
		netip.AddrPortFrom(fromAddress(id.RemoteAddress), id.RemotePort)
}

// unmap is ap with an IPv4-mapped address as IPv4.
func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
