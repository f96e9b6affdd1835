package mptcp

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"sync"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/netstack"
	"github.com/gomptcp/gomptcp/subflow"
)

// acceptBacklog is how many connections may wait for Accept. When as many do, SYNs stay
// unanswered and their senders try again later.
const acceptBacklog = 512

// Listener takes connections, Multipath TCP or plain. It is a net.Listener; all methods may
// be called concurrently. Joins to connections that it took go on after Close.
type Listener struct {
	host   *Host
	conns  *ConnConfig // of the connections that it takes
	addr   *net.TCPAddr
	lower  []*netstack.Listener
	queue  chan *Conn
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

// Listen waits for connections at address, "host:port" with an IP address or an empty host
// for all addresses of the host, of devices added later too; port 0 picks one. network is
// "tcp", "tcp4" or "tcp6".
func (h *Host) Listen(network, address string) (*Listener, error) {
	return h.ListenWith(network, address, nil)
}

// ListenWith is Listen for connections with policies of their own; cfg may be nil, and must not be
// changed any more.
func (h *Host) ListenWith(network, address string, cfg *ConnConfig) (*Listener, error) {
	l, err := h.listen(network, address, cfg)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return l, nil
}

func (h *Host) listen(network, address string, cfg *ConnConfig) (*Listener, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	locals, err := listenAddrs(network, address)
	if err != nil {
		return nil, err
	}
	l := &Listener{host: h, conns: cfg, queue: make(chan *Conn, acceptBacklog), closed: make(chan struct{})}
	for i, a := range locals {
		if i > 0 {
			a = netip.AddrPortFrom(a.Addr(), l.lower[0].Addr().Port())
		}
		if err := l.listenAt(a); err != nil {
			l.closeLower()
			return nil, err
		}
	}
	l.addr = net.TCPAddrFromAddrPort(l.lower[0].Addr())
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		l.closeLower()
		return nil, ErrHostClosed
	}
	h.listeners[l] = struct{}{}
	for _, lower := range l.lower {
		l.wg.Go(func() { l.run(lower) })
	}
	h.mu.Unlock()
	return l, nil
}

// listenAt listens at one more address. The hook is told first, so that it takes SYNs from the
// first one on; of a port that is yet to be picked nobody knows.
func (l *Listener) listenAt(a netip.AddrPort) error {
	l.setPort(a, false)
	lower, err := l.host.stack.Listen(a, l.host.cfg.MaxHalfOpen+spareBacklog)
	if err != nil {
		return err
	}
	l.lower = append(l.lower, lower)
	l.setPort(lower.Addr(), true)
	return nil
}

// setPort notes that l listens at an address, instead of another listener only if it owns it.
func (l *Listener) setPort(a netip.AddrPort, owns bool) {
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	if owns || a.Port() != 0 && l.host.ports[a] == nil {
		l.host.ports[a] = l
	}
}

// closeLower ends listening.
func (l *Listener) closeLower() {
	for _, lower := range l.lower {
		lower.Close()
	}
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	maps.DeleteFunc(l.host.ports, func(_ netip.AddrPort, o *Listener) bool { return o == l })
}

// listenerAt returns what listens for connections to an address of the host, or nil.
func (h *Host) listenerAt(local netip.AddrPort) *Listener {
	all := netip.IPv6Unspecified()
	if local.Addr().Is4() {
		all = netip.IPv4Unspecified()
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if l := h.ports[local]; l != nil {
		return l
	}
	return h.ports[netip.AddrPortFrom(all, local.Port())]
}

// full reports whether as many connections wait for Accept as may.
func (l *Listener) full() bool { return len(l.queue) == cap(l.queue) }

// listenAddrs turns address into what to listen on, one or two families.
func listenAddrs(network, address string) ([]netip.AddrPort, error) {
	if err := checkNetwork(network); err != nil {
		return nil, err
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := lookupPort(context.Background(), network, service)
	if err != nil {
		return nil, err
	}
	if host != "" {
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return nil, err
		}
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	var list []netip.AddrPort
	if network != "tcp4" {
		list = append(list, netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	}
	if network != "tcp6" {
		list = append(list, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	}
	return list, nil
}

// run takes endpoints from below until the listener is closed.
func (l *Listener) run(lower *netstack.Listener) {
	for {
		ep, err := lower.Accept()
		if err != nil {
			return
		}
		s := l.host.flow(flowKey{ep.LocalAddr(), ep.RemoteAddr()})
		if s == nil {
			ep.Abort() // it took too long, and its subflow was forgotten
			continue
		}
		if !s.attach(ep) || s.Kind == subflow.Join {
			continue
		}
		select {
		case l.queue <- s.conn:
		default:
			l.host.mib.Add(mib.ListenOverflow)
			_ = s.conn.Abort()
		}
	}
}

// Accept waits for the next connection; see AcceptMPTCP.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptMPTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptMPTCP waits for the next connection and returns it. After Close it returns
// net.ErrClosed.
func (l *Listener) AcceptMPTCP() (*Conn, error) {
	select {
	case <-l.closed:
	default:
		select {
		case c := <-l.queue:
			return c, nil
		case <-l.closed:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "mptcp", Addr: l.addr, Err: net.ErrClosed}
}

// Addr is where the listener listens.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close stops taking connections; those that wait for Accept are aborted.
func (l *Listener) Close() error {
	err := error(&net.OpError{Op: "close", Net: "mptcp", Addr: l.addr, Err: net.ErrClosed})
	l.once.Do(func() {
		err = nil
		close(l.closed)
		l.closeLower()
		l.wg.Wait()
		for {
			select {
			case c := <-l.queue:
				_ = c.Abort()
				continue
			default:
			}
			break
		}
		l.host.mu.Lock()
		delete(l.host.listeners, l)
		l.host.mu.Unlock()
	})
	return err
}
