package interop

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gomptcp/gomptcp/tun"
)

// Gate is a device that passes on packets until an address is cut: then everything to
// and from that address is dropped silently, as behind a radio link that has gone.
type Gate struct {
	tun.Device

	mu      sync.RWMutex
	cut     map[netip.Addr]bool
	dropped atomic.Int64
}

// NewGate wraps a device. All addresses pass.
func NewGate(dev tun.Device) *Gate {
	return &Gate{Device: dev, cut: map[netip.Addr]bool{}}
}

// Cut makes a black hole of an address, in both directions.
func (g *Gate) Cut(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut[addr] = true
}

// Restore lets the packets of an address pass again.
func (g *Gate) Restore(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.cut, addr)
}

// Dropped is the number of packets, or super-segments, that were swallowed.
func (g *Gate) Dropped() int64 { return g.dropped.Load() }

// Read implements tun.Device.
func (g *Gate) Read(pkts []tun.Packet) (int, error) {
	for {
		n, err := g.Device.Read(pkts)
		if err != nil {
			return n, err
		}
		if kept := g.filter(pkts[:n]); kept > 0 {
			return kept, nil
		}
	}
}

// Write implements tun.Device.
func (g *Gate) Write(pkts []tun.Packet) error {
	g.mu.RLock()
	open := len(g.cut) == 0
	g.mu.RUnlock()
	if open {
		return g.Device.Write(pkts)
	}
	passing := append([]tun.Packet(nil), pkts...) // the slice is the caller's
	if n := g.filter(passing); n > 0 {
		return g.Device.Write(passing[:n])
	}
	return nil
}

// filter moves the packets that pass to the front and returns their number. The
// others' buffers get their full length back, to be read into again.
func (g *Gate) filter(pkts []tun.Packet) int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	kept := 0
	for i := range pkts {
		src, dst := packetAddrs(pkts[i].Head)
		if g.cut[src] || g.cut[dst] {
			g.dropped.Add(1)
			pkts[i].Head = pkts[i].Head[:cap(pkts[i].Head)]
			continue
		}
		pkts[kept], pkts[i] = pkts[i], pkts[kept]
		kept++
	}
	return kept
}

// packetAddrs returns the addresses of an IP packet; invalid ones if it is none.
func packetAddrs(b []byte) (src, dst netip.Addr) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	case len(b) >= 40 && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	}
	return netip.Addr{}, netip.Addr{}
}
