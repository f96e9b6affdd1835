package simnet

import (
	"encoding/binary"
	"net/netip"

	"github.com/gomptcp/gomptcp/internal/packet"
)

// firstNATPort is where a NAT begins to count ports.
const firstNATPort = 40000

// NAT translates addresses and ports of TCP, so that everybody on the inside seems to be
// one host. Its two middleboxes belong into the two directions of one link: Out where
// packets leave the inside, In where they come back. What comes from the outside
// unasked is dropped. ICMP messages about packets that were too big are translated, too
// (RFC 5508 section 4.2). Other protocols and the other address family pass as they are.
type NAT struct {
	outside netip.Addr
	next    uint16
	out     map[natFlow]uint16
	in      map[uint16]natFlow
}

// natFlow is a connection as it is known inside.
type natFlow struct{ inside, remote netip.AddrPort }

// NewNAT returns a NAT that shows the address outside.
func NewNAT(outside netip.Addr) *NAT {
	n := &NAT{outside: outside, next: firstNATPort}
	n.reset()
	return n
}

func (n *NAT) reset() {
	n.out, n.in = make(map[natFlow]uint16), make(map[uint16]natFlow)
}

// Forget drops all translations, as a restart does: what then leaves gets new ports. It
// is a Middlebox's business and called from its goroutine: from Passage.After, or by a
// Middlebox of the user's.
func (n *NAT) Forget() { n.reset() }

// Out translates what leaves the inside.
func (n *NAT) Out(p *Passage, b []byte) {
	if t, ok := n.mine(b); ok {
		f := natFlow{t.Src(), t.Dst()}
		port, known := n.out[f]
		if !known {
			port = n.newPort()
			n.out[f], n.in[port] = port, f
		}
		setAddr(t, sourceEnd, netip.AddrPortFrom(n.outside, port))
		mend(b)
	}
	p.Forward(b)
}

// In translates what comes back.
func (n *NAT) In(p *Passage, b []byte) {
	if m, ok := packet.ParseTooBig(b); ok && m.Src.Addr() == n.outside {
		f, known := n.in[m.Src.Port()]
		t, whole := packet.ParseTCP(m.Quoted)
		if !known || f.remote != m.Dst || !whole {
			return
		}
		setAddr(t, sourceEnd, f.inside)
		p.Forward(packet.AppendTooBig(nil, m.From, m.MTU, m.Quoted))
		return
	}
	if t, ok := n.mine(b); ok {
		f, known := n.in[t.Dst().Port()]
		if !known || f.remote != t.Src() || t.Dst().Addr() != n.outside {
			return
		}
		setAddr(t, destinationEnd, f.inside)
		mend(b)
	}
	p.Forward(b)
}

func (n *NAT) mine(b []byte) (packet.TCP, bool) {
	t, ok := packet.ParseTCP(b)
	return t, ok && t.Src().Addr().Is4() == n.outside.Is4()
}

// newPort returns a port that is free, or the next one if none is.
func (n *NAT) newPort() uint16 {
	for range 0xffff - firstNATPort {
		port := n.next
		if n.next++; n.next == 0 {
			n.next = firstNATPort
		}
		if _, taken := n.in[port]; !taken {
			return port
		}
	}
	delete(n.out, n.in[n.next])
	return n.next
}

// end says which of a packet's two ends is meant.
type end int

const (
	sourceEnd end = iota
	destinationEnd
)

// setAddr writes an address and port of the packet's family. The checksums are left.
func setAddr(t packet.TCP, e end, to netip.AddrPort) {
	h, size := t.Header(), to.Addr().BitLen()/8
	at := packet.IPv4MinLen - 8 + int(e)*size
	if t.IsIPv6() {
		at = 8 + int(e)*size
	}
	copy(h[at:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(h[t.IPLen()+2*int(e):], to.Port())
}
