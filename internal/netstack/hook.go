// Package netstack is gVisor's TCP behind a narrow face: links made of tun.Devices,
// endpoints and listeners driven by events, and a Hook that sees every TCP segment
// between the stack and the devices and may rewrite, drop or answer it. It is the only
// importer of gvisor.dev, with its folders nic and plain.
//
// The stack keeps to the strong host model: a packet from an address leaves through
// the link that owns the address, and a segment is taken only if it came in through
// the link that owns its destination. There is no forwarding, no address resolution,
// and no traffic of the stack's own but TCP and answers to ICMP echo. ICMP about segments that
// are too big is the Hook's.
//
// Lock order: an endpoint's lock (gVisor's, held while Hook.Outgoing and a notify
// function run), then whatever the caller locks there.
package netstack

import (
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// Hook sees the TCP segments between the stack and its links. Its methods may be
// called concurrently for different links and endpoints.
type Hook interface {
	// Outgoing gets every TCP segment that the stack emits, SYN, ACK, FIN and RST, with
	// the endpoint locked (a RST that answers an unknown segment has none). p.Head is a
	// scratch copy of IP and TCP headers whose capacity exceeds its length by at least
	// 60 bytes; the hook may rewrite and grow it. Lengths and checksums need not be
	// mended: Link.Send does that. The hook sends p with l.Send, or drops it; p is valid
	// only during the call. It must not block and must not call an Endpoint or Listener.
	Outgoing(l *Link, p *tun.Packet)
	// Incoming gets every TCP segment for an address of l, on its reader goroutine,
	// checksum verified. p.Head is the whole packet, super-segments included, and t a view
	// of it. It returns true if the stack has to see it, possibly rewritten in place: the
	// length must stay, the checksum need not be mended. The bytes are valid only during
	// the call.
	Incoming(l *Link, p *tun.Packet, t packet.TCP) bool
	// TooBig gets every ICMP message "fragmentation needed" or "packet too big", on the
	// link's reader goroutine, about a TCP segment from an address of l. That the message is not
	// forged is for the hook to find out. m is valid only during the call.
	TooBig(l *Link, m *packet.TooBig)
	// BatchDone is called after the packets of one device read have been shown and
	// delivered, on the reader goroutine.
	BatchDone(l *Link)
	// LinkDown is called once for a link, last on its reader goroutine, when the device
	// has failed or RemoveLink or Close was called; the link no longer exists in the
	// stack. err is the device's.
	LinkDown(l *Link, err error)
}
