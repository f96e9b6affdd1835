package netstack

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// DefaultBacklog is the backlog of a listener that asks for none.
const DefaultBacklog = 4096

// Listener takes connections to an address and port. Its methods may be called
// concurrently.
type Listener struct {
	stack *Stack
	ep    tcpip.Endpoint
	queue *waiter.Queue
	addr  netip.AddrPort
	once  sync.Once
	done  chan struct{} // closed by Close
}

// Listen returns a listener at local. An unspecified address means all addresses of
// that family, of links that come later too, but for those that have a listener of
// their own; port 0 picks one. backlog bounds the handshakes in progress and, apart
// from them, the connections that wait for Accept; 0 means DefaultBacklog. Beyond the
// first bound the stack answers with SYN cookies, beyond the second it drops SYNs.
//
// It returns syscall.EADDRINUSE if the port is taken and syscall.EADDRNOTAVAIL if no
// link has the address.
func (s *Stack) Listen(local netip.AddrPort, backlog int) (*Listener, error) {
	local = unmap(local)
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	if !local.Addr().IsValid() || backlog < 0 {
		return nil, fmt.Errorf("netstack: cannot listen at %v with a backlog of %d", local, backlog)
	}
	if backlog == 0 {
		backlog = DefaultBacklog
	}
	bind := tcpip.FullAddress{Port: local.Port()}
	if !local.Addr().IsUnspecified() {
		l := s.LinkFor(local.Addr())
		if l == nil {
			return nil, fmt.Errorf("netstack: no link has the address %v: %w", local.Addr(), errAddrNotAvailable)
		}
		bind.NIC, bind.Addr = l.id, toAddress(local.Addr())
	}
	queue := new(waiter.Queue)
	ep, terr := s.gv.NewEndpoint(tcp.ProtocolNumber, networkOf(local.Addr()), queue)
	if terr != nil {
		return nil, translate(terr)
	}
	ep.SocketOptions().SetV6Only(true)
	ep.SocketOptions().SetReuseAddress(true) // beside connections of an earlier listener
	ep.SocketOptions().SetReceiveBufferSize(int64(s.receiveBuffer()), true)
	terr = ep.Bind(bind)
	if terr == nil {
		terr = ep.Listen(backlog + 1) // gVisor's cookies begin one earlier
	}
	if terr != nil {
		ep.Close()
		return nil, fmt.Errorf("netstack: listening at %v: %w", local, translate(terr))
	}
	l := &Listener{stack: s, ep: ep, queue: queue, done: make(chan struct{})}
	at, terr := ep.GetLocalAddress()
	if terr != nil {
		ep.Close()
		return nil, translate(terr)
	}
	l.addr = netip.AddrPortFrom(local.Addr(), at.Port)
	return l, nil
}

// Accept waits for a connection and returns it, established (it may have failed since,
// see Endpoint.Err). After Close it returns net.ErrClosed.
func (l *Listener) Accept() (*Endpoint, error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	l.queue.EventRegister(&entry)
	defer l.queue.EventUnregister(&entry)
	for {
		ep, queue, terr := l.ep.Accept(nil)
		switch terr.(type) {
		case nil:
			return l.stack.wrap(ep, queue), nil
		case *tcpip.ErrWouldBlock:
		default:
			return nil, translate(terr)
		}
		select {
		case <-ready:
		case <-l.done:
			return nil, net.ErrClosed
		}
	}
}

// Addr is where the listener listens, with the port that it has.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// Close ends the listener. Connections in progress and those that nobody has accepted
// are reset.
func (l *Listener) Close() {
	l.once.Do(func() {
		close(l.done)
		l.ep.Close()
	})
}
