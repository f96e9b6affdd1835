package mptcp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/gomptcp/gomptcp/internal/netstack"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

// Dial connects to address over the first device, in the order of AddDevice, that has an
// address of its family. network is "tcp", "tcp4" or "tcp6"; address is "host:port"; a name
// is resolved by net.DefaultResolver and its addresses are tried in order. The connection is
// plain TCP if the peer does not speak MPTCP: see Conn.Info.
func (h *Host) Dial(ctx context.Context, network, address string) (*Conn, error) {
	return h.DialWith(ctx, network, address, nil)
}

// DialWith is Dial for a connection with policies of its own; cfg may be nil.
func (h *Host) DialWith(ctx context.Context, network, address string, cfg *ConnConfig) (*Conn, error) {
	if err := cfg.check(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if h.cfg.DialTimeout > 0 {
		if _, has := ctx.Deadline(); !has {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, h.cfg.DialTimeout)
			defer cancel()
		}
	}
	addrs, err := resolve(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var first error
	for _, a := range addrs {
		c, err := h.dialAddr(ctx, a, cfg)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(a), Err: err}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// DialContext is Dial in the form that http.Transport and others take.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// resolve turns "host:port" into addresses of the network's family.
func resolve(ctx context.Context, network, address string) ([]netip.AddrPort, error) {
	if err := checkNetwork(network); err != nil {
		return nil, err
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := lookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	var ips []netip.Addr
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = []netip.Addr{ip}
	} else if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, err
	}
	var list []netip.AddrPort
	for _, ip := range ips {
		ip = ip.Unmap()
		if network == "tcp4" && !ip.Is4() || network == "tcp6" && ip.Is4() {
			continue
		}
		list = append(list, netip.AddrPortFrom(ip, port))
	}
	if len(list) == 0 {
		return nil, &net.AddrError{Err: "no suitable address", Addr: address}
	}
	return list, nil
}

func checkNetwork(network string) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
		return nil
	}
	return net.UnknownNetworkError(network)
}

func lookupPort(ctx context.Context, network, service string) (uint16, error) {
	if n, err := strconv.ParseUint(service, 10, 16); err == nil {
		return uint16(n), nil
	}
	n, err := net.DefaultResolver.LookupPort(ctx, network, service)
	return uint16(n), err
}

// dialAddr opens the initial subflow and waits for its handshake.
func (h *Host) dialAddr(ctx context.Context, remote netip.AddrPort, cfg *ConnConfig) (*Conn, error) {
	link, local := h.localFor(remote.Addr())
	if link == nil {
		return nil, ErrNoDevice
	}
	ep, err := h.stack.NewEndpoint(netip.AddrPortFrom(local, 0), remote)
	if err != nil {
		return nil, err
	}
	c, err := h.register(pathmgr.Client)
	if err != nil {
		ep.Close()
		return nil, err
	}
	c.mu.Lock()
	c.configure(cfg)
	key := flowKey{ep.LocalAddr(), remote}
	c.setAddrs(key)
	c.avoidBlackhole(key)
	s := c.newSub(subflow.Initial, subflow.Opener, key, link, false)
	s.ep = ep
	h.addFlow(s)
	c.mu.Unlock()
	ep.SetNotify(s.event)
	if err := ep.Connect(remote); err != nil {
		c.mu.Lock()
		c.fail(err)
		c.mu.Unlock()
		return nil, err
	}
	select {
	case <-c.dialed:
	case <-ctx.Done():
		_ = c.Close()
		return nil, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	return c, nil
}

// localFor picks the link and address from which a peer is dialled.
func (h *Host) localFor(remote netip.Addr) (*netstack.Link, netip.Addr) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, l := range h.links {
		for _, a := range l.Addrs() {
			if a.Is4() == remote.Is4() && a.IsLinkLocalUnicast() == remote.IsLinkLocalUnicast() {
				return l, a
			}
		}
	}
	return nil, netip.Addr{}
}

func (c *Conn) setAddrs(key flowKey) {
	c.local, c.remote = net.TCPAddrFromAddrPort(key.local), net.TCPAddrFromAddrPort(key.remote)
}

// String names the connection by its two ends.
func (c *Conn) String() string { return fmt.Sprintf("mptcp %v - %v", c.local, c.remote) }
