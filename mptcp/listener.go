package mptcp

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/internal/netstack"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// acceptBacklog is how many connections may wait for Accept.
	acceptBacklog = 512
	// handshakeTimeout is how long a peer has to complete a handshake.
	handshakeTimeout = 70 * time.Second
)

// Listener takes connections, Multipath TCP or plain. It is a net.Listener; all methods may
// be called concurrently. Joins to connections that it took go on after Close.
type Listener struct {
	host   *Host
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
	l, err := h.listen(network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return l, nil
}

func (h *Host) listen(network, address string) (*Listener, error) {
	locals, err := listenAddrs(network, address)
	if err != nil {
		return nil, err
	}
	l := &Listener{host: h, queue: make(chan *Conn, acceptBacklog), closed: make(chan struct{})}
	for i, a := range locals {
		if i > 0 {
			a = netip.AddrPortFrom(a.Addr(), l.lower[0].Addr().Port())
		}
		lower, err := h.stack.Listen(a, acceptBacklog)
		if err != nil {
			for _, o := range l.lower {
				o.Close()
			}
			return nil, err
		}
		l.lower = append(l.lower, lower)
	}
	l.addr = net.TCPAddrFromAddrPort(l.lower[0].Addr())
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		for _, o := range l.lower {
			o.Close()
		}
		return nil, ErrHostClosed
	}
	h.listeners[l] = struct{}{}
	for _, lower := range l.lower {
		l.wg.Go(func() { l.run(lower) })
	}
	return l, nil
}

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
		l.host.claim(s.conn)
		select {
		case l.queue <- s.conn:
		default:
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
		for _, lower := range l.lower {
			lower.Close()
		}
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

// expireHalfOpen forgets a connection whose handshake is not completed in time. c.mu is
// held.
func (h *Host) expireHalfOpen(c *Conn) {
	c.claimed = false
	c.halfOpen = h.clock.AfterFunc(handshakeTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.claimed {
			h.unclaim(c)
			c.fail(net.ErrClosed)
		}
	})
}

// claim: the connection has come out of a listener.
func (h *Host) claim(c *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claimed {
		return
	}
	c.halfOpen.Stop()
	h.unclaim(c)
}

// unclaim ends a connection's time as a half-open one. c.mu is held.
func (h *Host) unclaim(c *Conn) {
	c.claimed = true
	h.mu.Lock()
	defer h.mu.Unlock()
	h.halfOpen--
}

// expireJoin forgets a join whose handshake is not completed in time. The connection's
// lock is held.
func (h *Host) expireJoin(s *sub) {
	s.expiry = h.clock.AfterFunc(handshakeTimeout, func() {
		s.conn.mu.Lock()
		defer s.conn.mu.Unlock()
		if s.State() < subflow.Established {
			s.conn.subDown(s, context.DeadlineExceeded)
		}
	})
}
