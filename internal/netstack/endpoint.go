package netstack

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Endpoint is one TCP connection of the stack, or one to be. It receives; data to send
// does not pass through it. Its methods may be called concurrently, but not from a
// Hook or a notify function.
type Endpoint struct {
	stack     *Stack
	ep        tcpip.Endpoint
	entry     waiter.Entry // registered with the endpoint's queue for good
	local     netip.AddrPort
	notify    atomic.Pointer[func(Event)]
	connected atomic.Bool // Connected has been told
	released  atomic.Bool // Close or Abort was called

	mu     sync.Mutex // guards what follows; taken after gVisor's lock or without
	remote netip.AddrPort
	err    error // the hard error, which gVisor tells only once
}

// NewEndpoint returns an endpoint bound to local, whose address is one of a link's;
// with port 0 it picks a free port, see LocalAddr. remote is where Connect will lead;
// it may be the zero value if that is not known.
//
// It returns syscall.EADDRNOTAVAIL if no link has the address, and
// syscall.EADDRINUSE if the port is taken.
func (s *Stack) NewEndpoint(local, remote netip.AddrPort) (*Endpoint, error) {
	local, remote = unmap(local), unmap(remote)
	if err := s.checkOpen(); err != nil {
		return nil, err
	}
	l := s.LinkFor(local.Addr())
	if l == nil {
		return nil, fmt.Errorf("netstack: no link has the address %v: %w", local.Addr(), errAddrNotAvailable)
	}
	if remote.IsValid() {
		if err := checkRemote(local, remote); err != nil {
			return nil, err
		}
	}
	queue := new(waiter.Queue)
	ep, terr := s.gv.NewEndpoint(tcp.ProtocolNumber, networkOf(local.Addr()), queue)
	if terr != nil {
		return nil, translate(terr)
	}
	ep.SocketOptions().SetReceiveBufferSize(int64(s.receiveBuffer()), true)
	if terr := ep.Bind(tcpip.FullAddress{NIC: l.id, Addr: toAddress(local.Addr()), Port: local.Port()}); terr != nil {
		ep.Close()
		return nil, fmt.Errorf("netstack: binding to %v: %w", local, translate(terr))
	}
	e := s.wrap(ep, queue)
	e.remote = remote
	return e, nil
}

// checkRemote returns why a connection from local to remote cannot be.
func checkRemote(local, remote netip.AddrPort) error {
	a := remote.Addr()
	switch {
	case !remote.IsValid() || a.IsUnspecified() || a.IsMulticast() || remote.Port() == 0:
		return fmt.Errorf("netstack: cannot connect to %v", remote)
	case a.Is4() != local.Addr().Is4():
		return fmt.Errorf("netstack: %v and %v are not of one family", local, remote)
	}
	return nil
}

// wrap makes an Endpoint of gVisor's, with the ends that it has now.
func (s *Stack) wrap(ep tcpip.Endpoint, queue *waiter.Queue) *Endpoint {
	e := &Endpoint{stack: s, ep: ep}
	e.local, e.remote = endsOf(ep.Info().(*stack.TransportEndpointInfo).ID)
	e.entry.Init(e, eventMask)
	queue.EventRegister(&e.entry)
	return e
}

// Connect sends the SYN and returns; Connected or Failed tells how it went on. The
// segments leave through the link that owns the local address.
//
// It returns an error if the endpoint cannot connect to remote, or not any more.
func (e *Endpoint) Connect(remote netip.AddrPort) error {
	remote = unmap(remote)
	if err := checkRemote(e.local, remote); err != nil {
		return err
	}
	e.mu.Lock()
	if e.remote.IsValid() && e.remote != remote {
		e.mu.Unlock()
		return fmt.Errorf("netstack: the endpoint was made for %v, not %v", e.remote, remote)
	}
	e.remote = remote
	e.mu.Unlock()
	terr := e.ep.Connect(tcpip.FullAddress{Addr: toAddress(remote.Addr()), Port: remote.Port()})
	if _, ok := terr.(*tcpip.ErrConnectStarted); ok {
		return nil
	}
	return translate(terr)
}

// LocalAddr is the local address and port.
func (e *Endpoint) LocalAddr() netip.AddrPort { return e.local }

// RemoteAddr is the peer's address and port, the zero value before that is known.
func (e *Endpoint) RemoteAddr() netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.remote
}

func (e *Endpoint) state() tcp.EndpointState { return tcp.EndpointState(e.ep.State()) }

// sliceWriters are what Read wraps its argument in, so that it need not allocate.
var sliceWriters = sync.Pool{New: func() any { return new(tcpip.SliceWriter) }}

// Read copies what has arrived in order into p and returns how much that was. It never
// waits: it returns ErrWouldBlock when there is nothing, io.EOF after the peer's FIN,
// net.ErrClosed after Close or Abort, and what Err returns if the connection has
// failed, once what had arrived before has been read.
func (e *Endpoint) Read(p []byte) (int, error) {
	if e.released.Load() {
		return 0, net.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	w := sliceWriters.Get().(*tcpip.SliceWriter)
	*w = p
	res, terr := e.ep.Read(w, tcpip.ReadOptions{})
	*w = nil
	sliceWriters.Put(w)

	switch terr.(type) {
	case nil:
		return res.Count, nil
	case *tcpip.ErrWouldBlock:
		return 0, ErrWouldBlock
	}
	if e.state() == tcp.StateError {
		if _, told := terr.(*tcpip.ErrClosedForReceive); told {
			return 0, e.Err() // gVisor tells a hard error once, to Err or to us
		}
		return 0, e.remember(terr)
	}
	if _, end := terr.(*tcpip.ErrClosedForReceive); end {
		return 0, io.EOF
	}
	return 0, translate(terr)
}

// Err returns why the connection failed, nil if it did not: syscall.ECONNRESET,
// ECONNREFUSED, ECONNABORTED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, or net.ErrClosed
// after Abort.
func (e *Endpoint) Err() error {
	switch e.state() {
	case tcp.StateError:
		return e.remember(e.ep.LastError())
	case tcp.StateClose:
		// gVisor's word for a RST after the peer's FIN, which it takes for an end in order.
		if _, reset := e.ep.LastError().(*tcpip.ErrAborted); reset {
			return e.remember(&tcpip.ErrConnectionReset{})
		}
		return e.remember(nil)
	}
	return nil
}

// remember keeps the first hard error that gVisor tells, nil being none, and returns
// it.
func (e *Endpoint) remember(terr tcpip.Error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = translate(terr)
	}
	return e.err
}

// CloseWrite sends a FIN; reading goes on. On an endpoint that is still connecting it
// gives up. It returns an error if there is no connection any more.
func (e *Endpoint) CloseWrite() error {
	return translate(e.ep.Shutdown(tcpip.ShutdownWrite))
}

// Close ends the use of the endpoint: it sends a FIN, or a RST if there is unread data
// as RFC 2525 section 2.17 asks, and lets the stack do the rest. Only the first call of
// Close or Abort does anything.
func (e *Endpoint) Close() {
	if !e.released.Swap(true) {
		e.ep.Close()
	}
}

// Abort ends the connection with a RST, after Close too.
func (e *Endpoint) Abort() {
	e.released.Store(true)
	e.ep.Abort()
}

// errAddrNotAvailable is what translate makes of an address of no link.
var errAddrNotAvailable = translate(&tcpip.ErrBadLocalAddress{})
