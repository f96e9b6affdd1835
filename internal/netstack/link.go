package netstack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/gomptcp/gomptcp/internal/netstack/nic"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

const (
	// minMTU4 is the datagram that every IPv4 host takes (RFC 791 section 3.1), minMTU6
	// the least MTU of an IPv6 link (RFC 8200 section 5), in bytes.
	minMTU4 = 576
	minMTU6 = 1280
)

// Link is a device with its addresses, attached to a Stack. Its methods may be called
// concurrently.
type Link struct {
	stack *Stack
	dev   tun.Device
	ep    *nic.Endpoint
	id    tcpip.NICID
	name  string
	addrs []netip.Addr

	misdirected atomic.Uint64
	removal     sync.Once     // guards the removal from the stack
	closing     sync.Once     // guards closing the device
	closeErr    error         // of closing the device
	down        atomic.Bool   // set when LinkDown is about to be called
	done        chan struct{} // closed when the reader goroutine has ended
}

// LinkStats is a snapshot of a link's counters.
type LinkStats struct {
	nic.Stats
	// Misdirected counts incoming segments dropped because their destination is not an
	// address of the link.
	Misdirected uint64
}

// AddLink attaches a device with addresses, and starts its reader goroutine. The
// prefix lengths tell which addresses are on the link; everything else is routed
// there too. From then on the stack owns the device and closes it; if AddLink fails,
// the device is untouched.
//
// It returns an error that says what is wrong with the name, the MTU or an address,
// or net.ErrClosed.
func (s *Stack) AddLink(dev tun.Device, addrs []netip.Prefix) (*Link, error) {
	l := &Link{stack: s, dev: dev, name: dev.Name(), done: make(chan struct{})}
	for _, p := range addrs {
		l.addrs = append(l.addrs, p.Addr())
	}
	if err := checkLink(dev, addrs); err != nil {
		return nil, err
	}
	l.ep = nic.New(nic.Config{
		Device:    dev,
		Incoming:  l.incoming,
		TooBig:    l.tooBig,
		Outgoing:  func(p *tun.Packet) { s.cfg.Hook.Outgoing(l, p) },
		BatchDone: func() { s.cfg.Hook.BatchDone(l) },
	})

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.links[l.name] != nil {
		return nil, fmt.Errorf("netstack: a device named %q is attached already", l.name)
	}
	for _, a := range l.addrs {
		if o := s.owners[a]; o != nil {
			return nil, fmt.Errorf("netstack: address %v belongs to device %q already", a, o.name)
		}
	}
	s.lastNIC++
	l.id = s.lastNIC
	if err := s.createNIC(l, addrs); err != nil {
		return nil, fmt.Errorf("netstack: attaching device %q: %w", l.name, err)
	}
	s.links[l.name] = l
	for _, a := range l.addrs {
		s.owners[a] = l
	}
	go l.run()
	return l, nil
}

// checkLink returns what is wrong with a device or its addresses.
func checkLink(dev tun.Device, addrs []netip.Prefix) error {
	if dev.Name() == "" {
		return errors.New("netstack: the device has no name")
	}
	if len(addrs) == 0 {
		return fmt.Errorf("netstack: device %q has no address", dev.Name())
	}
	least := minMTU4
	seen := make(map[netip.Addr]bool)
	for _, p := range addrs {
		a := p.Addr()
		switch {
		case !p.IsValid():
			return errors.New("netstack: invalid address prefix")
		case a.Is4In6() || a.Zone() != "":
			return fmt.Errorf("netstack: address %v: give IPv4 as IPv4, and no zone", a)
		case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback():
			return fmt.Errorf("netstack: address %v cannot belong to a device", a)
		case seen[a]:
			return fmt.Errorf("netstack: address %v is given twice", a)
		}
		seen[a] = true
		if a.Is6() {
			least = minMTU6
		}
	}
	if mtu := dev.MTU(); mtu < least || mtu > tun.MaxPacketSize {
		return fmt.Errorf("netstack: device %q has an MTU of %d, not within %d to %d", dev.Name(), mtu, least, tun.MaxPacketSize)
	}
	return nil
}

// createNIC makes the link known to gVisor, with a default route for each family. It
// leaves nothing behind when it fails.
func (s *Stack) createNIC(l *Link, addrs []netip.Prefix) error {
	if err := s.gv.CreateNICWithOptions(l.id, l.ep, stack.NICOptions{Name: l.name}); err != nil {
		return translate(err)
	}
	for _, p := range addrs {
		err := s.gv.AddProtocolAddress(l.id, tcpip.ProtocolAddress{
			Protocol:          networkOf(p.Addr()),
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: toAddress(p.Addr()), PrefixLen: p.Bits()},
		}, stack.AddressProperties{})
		if err != nil {
			s.gv.RemoveNIC(l.id)
			return translate(err)
		}
	}
	s.gv.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: l.id})
	s.gv.AddRoute(tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: l.id})
	return nil
}

// run is the reader goroutine.
func (l *Link) run() {
	defer close(l.done)
	err := l.ep.Run()
	l.remove()
	_ = l.closeDevice() // it may have failed without being closed
	l.down.Store(true)
	l.stack.cfg.Hook.LinkDown(l, err)
}

// incoming shows a segment to the hook if it is for this link.
func (l *Link) incoming(p *tun.Packet, t packet.TCP) bool {
	if !slices.Contains(l.addrs, t.Dst().Addr()) {
		l.misdirected.Add(1)
		return false
	}
	return l.stack.cfg.Hook.Incoming(l, p, t)
}

// tooBig shows an ICMP message to the hook if it is about a segment of this link.
func (l *Link) tooBig(m *packet.TooBig) {
	if slices.Contains(l.addrs, m.Src.Addr()) {
		l.stack.cfg.Hook.TooBig(l, m)
	}
}

// remove takes the link out of the stack, once.
func (l *Link) remove() {
	l.removal.Do(func() {
		s := l.stack
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.links, l.name)
		for _, a := range l.addrs {
			delete(s.owners, a)
		}
		s.gv.RemoveNIC(l.id)
	})
}

// closeDevice closes the device, once, and returns what that returned.
func (l *Link) closeDevice() error {
	l.closing.Do(func() { l.closeErr = l.dev.Close() })
	return l.closeErr
}

// RemoveLink detaches a link, closes its device and waits for its reader goroutine,
// which calls Hook.LinkDown last; called from LinkDown it does not wait. It must not be
// called from the other methods of the Hook. Endpoints of the link stay, mute; the
// caller aborts them. Removing a link again does nothing.
//
// It returns the error of closing the device.
func (s *Stack) RemoveLink(l *Link) error {
	if l.stack != s {
		return errors.New("netstack: the link belongs to another stack")
	}
	l.remove()
	err := l.closeDevice()
	if !l.down.Load() {
		<-l.done
	}
	return err
}

// Name is the device's name.
func (l *Link) Name() string { return l.name }

// MTU is the largest IP packet of the link in bytes.
func (l *Link) MTU() int { return int(l.ep.MTU()) }

// Features tells what the device does by itself.
func (l *Link) Features() tun.Features { return l.dev.Features() }

// Addrs returns the link's addresses in the order in which they were given. The
// caller must not change the slice.
func (l *Link) Addrs() []netip.Addr { return l.addrs }

// Send puts a TCP segment or super-segment on the link. Whatever state the lengths and
// checksums in p.Head are in, it writes them anew there, and splits a super-segment
// (p.GSOSize) if the device cannot. It keeps no bytes, does not wait, and does not
// allocate in the steady state. It returns the device's error; what a full queue drops
// is no error.
func (l *Link) Send(p *tun.Packet) error { return l.ep.Send(p) }

// Stats returns the link's counters.
func (l *Link) Stats() LinkStats {
	return LinkStats{Stats: l.ep.Stats(), Misdirected: l.misdirected.Load()}
}
