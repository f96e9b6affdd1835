// Package plain is gVisor's own TCP over a device, with nothing of ours in between:
// the baseline that benchmarks compare with. It uses super-segments and checksum
// offload where the device has them, CUBIC, SACK and large buffers.
package plain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/gomptcp/gomptcp/internal/netstack/nic"
	"github.com/gomptcp/gomptcp/tun"
)

const (
	nicID = 1
	// bufferDefault and bufferMax are the sizes of send and receive buffers in bytes;
	// gVisor grows them up to the latter.
	bufferDefault = 4 << 20
	bufferMax     = 16 << 20
)

// Stack is a TCP/IP stack with one device and one address. Its methods may be called
// concurrently.
type Stack struct {
	gv     *stack.Stack
	dev    tun.Device
	addr   netip.Addr
	closed chan struct{} // closed when the reader goroutine has ended
}

// New returns a stack over dev with one address, and starts it. The stack owns the
// device from then on, and closes it; if New fails, the device is untouched.
func New(dev tun.Device, addr netip.Prefix) (*Stack, error) {
	if !addr.IsValid() || addr.Addr().Is4In6() || addr.Addr().Zone() != "" {
		return nil, fmt.Errorf("plain: invalid address %v", addr)
	}
	s := &Stack{
		gv: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocolWithOptions(ipv6.Options{})},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC},
		}),
		dev:    dev,
		addr:   addr.Addr(),
		closed: make(chan struct{}),
	}
	ep := nic.New(nic.Config{Device: dev, HostGSO: true})
	if err := s.configure(ep, addr); err != nil {
		s.gv.Destroy()
		return nil, err
	}
	go func() {
		defer close(s.closed)
		_ = ep.Run() // the device was closed or is of no more use
	}()
	return s, nil
}

func (s *Stack) configure(ep *nic.Endpoint, addr netip.Prefix) error {
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 1, Default: bufferDefault, Max: bufferMax}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 1, Default: bufferDefault, Max: bufferMax}
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	sack := tcpip.TCPSACKEnabled(true)
	for _, o := range []tcpip.SettableTransportProtocolOption{&send, &receive, &moderate, &sack} {
		if err := s.gv.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return failed("setting an option", err)
		}
	}
	if err := s.gv.CreateNIC(nicID, ep); err != nil {
		return failed("attaching the device", err)
	}
	at := tcpip.ProtocolAddress{
		Protocol:          s.network(),
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(s.addr.AsSlice()), PrefixLen: addr.Bits()},
	}
	if err := s.gv.AddProtocolAddress(nicID, at, stack.AddressProperties{}); err != nil {
		return failed("adding the address", err)
	}
	s.gv.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	return nil
}

func failed(what string, err tcpip.Error) error {
	return fmt.Errorf("plain: %s: %s", what, err)
}

func (s *Stack) network() tcpip.NetworkProtocolNumber {
	if s.addr.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// Dial connects to remote, which is of the family of the stack's address.
func (s *Stack) Dial(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	if remote.Addr().Is4() != s.addr.Is4() {
		return nil, errors.New("plain: the address to dial is of another family")
	}
	to := tcpip.FullAddress{Addr: tcpip.AddrFromSlice(remote.Addr().AsSlice()), Port: remote.Port()}
	c, err := gonet.DialContextTCP(ctx, s.gv, to, s.network())
	if err != nil {
		return nil, err // not a nil *TCPConn in the interface
	}
	return c, nil
}

// Listen listens on a port; 0 picks one.
func (s *Stack) Listen(port uint16) (net.Listener, error) {
	at := tcpip.FullAddress{Addr: tcpip.AddrFromSlice(s.addr.AsSlice()), Port: port}
	l, err := gonet.ListenTCP(s.gv, at, s.network())
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Close resets all connections, closes the device and waits for the goroutines of the
// stack.
func (s *Stack) Close() {
	for _, e := range s.gv.RegisteredEndpoints() {
		e.Abort() // while the RSTs can still leave
	}
	_ = s.dev.Close()
	<-s.closed
	s.gv.Close()
	s.gv.Wait()
}
