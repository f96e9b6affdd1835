package netstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// AbortHandshake gives up an incoming handshake, if the one between local and remote is still
// in progress: the stack forgets it without a word to the peer. It must not be called from
// a Hook's Outgoing or from a notify function.
func (s *Stack) AbortHandshake(local, remote netip.AddrPort) {
	local, remote = unmap(local), unmap(remote)
	l := s.LinkFor(local.Addr())
	if l == nil {
		return
	}
	id := stack.TransportEndpointID{
		LocalAddress: toAddress(local.Addr()), LocalPort: local.Port(),
		RemoteAddress: toAddress(remote.Addr()), RemotePort: remote.Port(),
	}
	ep, ok := s.gv.FindTransportEndpoint(networkOf(local.Addr()), tcp.ProtocolNumber, id, l.id).(*tcp.Endpoint)
	// What is found may be the listener.
	if ok && ep.Info().(*stack.TransportEndpointInfo).ID == id && tcp.EndpointState(ep.State()) == tcp.StateSynRecv {
		ep.Abort()
	}
}
