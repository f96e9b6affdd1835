// Package nic joins a tun.Device to gVisor's stack as its link endpoint: a reader
// that turns batches of packets into gVisor's buffers, and a way out that completes
// checksums and splits super-segments.
//
// TCP segments can be shown to the owner in both directions (Config.Incoming and
// Config.Outgoing). Nothing reaches gVisor's TCP without having been shown:
// fragments and IPv6 extension headers that would hide a TCP header are dropped.
package nic

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// Config says what an Endpoint is made of. Device is needed; a nil function lets
// everything pass.
type Config struct {
	// Device carries the packets. The endpoint never closes it.
	Device tun.Device
	// HostGSO lets gVisor send super-segments if the device takes them.
	HostGSO bool
	// Incoming is shown every valid TCP segment, on the goroutine of Run, and returns
	// whether gVisor gets it. p.Head is the whole packet and may be rewritten in place.
	Incoming func(p *tun.Packet, t packet.TCP) bool
	// TooBig is told of ICMP messages about segments that were too long, on the goroutine of
	// Run. gVisor, which sends no such segments, does not see them.
	TooBig func(m *packet.TooBig)
	// Outgoing gets every TCP segment that gVisor sends and takes over sending it. The
	// packet is valid during the call; cap(p.Head) exceeds its length by at least 60.
	Outgoing func(p *tun.Packet)
	// BatchDone is called after the packets of each device read, on the goroutine of Run.
	BatchDone func()
}

// Endpoint is a stack.LinkEndpoint over a device. Its methods may be called
// concurrently, except Run, which is called once.
type Endpoint struct {
	cfg      Config
	features tun.Features
	mtu      int
	stats    counters
	writers  sync.Pool // of *writer
	scratch  sync.Pool // of *scratch

	mu         sync.RWMutex // guards dispatcher
	dispatcher stack.NetworkDispatcher
}

var (
	_ stack.LinkEndpoint = (*Endpoint)(nil)
	_ stack.GSOEndpoint  = (*Endpoint)(nil)
)

// New returns an endpoint over cfg.Device, to be given to CreateNIC. Packets come in
// once Run is called.
func New(cfg Config) *Endpoint {
	e := &Endpoint{cfg: cfg, features: cfg.Device.Features(), mtu: cfg.Device.MTU()}
	e.writers.New = func() any { return newWriter(e) }
	e.scratch.New = func() any { return new(scratch) }
	return e
}

// offloads reports whether the device takes super-segments, whose checksum is
// always partial.
func (e *Endpoint) offloads() bool { return e.features.GSO && e.features.Checksum }

// MTU implements stack.LinkEndpoint.
func (e *Endpoint) MTU() uint32 { return uint32(e.mtu) }

// SetMTU implements stack.LinkEndpoint. The device's MTU does not change.
func (e *Endpoint) SetMTU(uint32) {}

// MaxHeaderLength implements stack.LinkEndpoint: a TUN device has no link header.
func (e *Endpoint) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.LinkEndpoint.
func (e *Endpoint) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.LinkEndpoint.
func (e *Endpoint) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.LinkEndpoint. Checksums are ours in both directions,
// and without CapabilityResolutionRequired there is no ARP and no neighbour
// discovery.
func (e *Endpoint) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
}

// SupportedGSO implements stack.GSOEndpoint.
func (e *Endpoint) SupportedGSO() stack.SupportedGSO {
	if e.cfg.HostGSO && e.offloads() {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// GSOMaxSize implements stack.GSOEndpoint. gVisor counts the payload with it; the
// headers have to fit besides.
func (e *Endpoint) GSOMaxSize() uint32 { return tun.MaxPacketSize - 120 }

// Attach implements stack.LinkEndpoint; nil detaches.
func (e *Endpoint) Attach(d stack.NetworkDispatcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dispatcher = d
}

// IsAttached implements stack.LinkEndpoint.
func (e *Endpoint) IsAttached() bool { return e.attached() != nil }

func (e *Endpoint) attached() stack.NetworkDispatcher {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.dispatcher
}

// Wait implements stack.LinkEndpoint. The caller of Run knows when it ends.
func (e *Endpoint) Wait() {}

// Close implements stack.LinkEndpoint. The owner closes the device.
func (e *Endpoint) Close() {}

// SetOnCloseAction implements stack.LinkEndpoint.
func (e *Endpoint) SetOnCloseAction(func()) {}

// ARPHardwareType implements stack.LinkEndpoint.
func (e *Endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.LinkEndpoint.
func (e *Endpoint) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.LinkEndpoint.
func (e *Endpoint) ParseHeader(*stack.PacketBuffer) bool { return true }
