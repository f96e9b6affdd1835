package tun

import (
	"encoding/binary"

	"github.com/gomptcp/gomptcp/internal/packet"
)

// vnetHdrLen is the length of a struct virtio_net_hdr, which goes before every
// packet on a TUN device with IFF_VNET_HDR. Its fields are in the machine's order.
const vnetHdrLen = 10

// Offsets, flags and types of struct virtio_net_hdr (virtio 1.2 section 5.1.6).
const (
	vnetFlags      = 0
	vnetGSOType    = 1
	vnetHdrSize    = 2
	vnetGSOSize    = 4
	vnetCsumStart  = 6
	vnetCsumOffset = 8

	vnetNeedsCsum = 1
	vnetDataValid = 2

	vnetGSONone  = 0
	vnetGSOTCPv4 = 1
	vnetGSOTCPv6 = 4
	vnetGSOECN   = 0x80 // a bit that goes with the type
)

// putVnetHdr describes p in h. It leaves a super-segment that is none (no more
// payload than one segment) to go as a plain packet.
func putVnetHdr(h *[vnetHdrLen]byte, p *Packet) {
	*h = [vnetHdrLen]byte{}
	if p.Checksum == ChecksumPartial {
		if start, offset, ok := packet.ChecksumField(p.Head); ok {
			h[vnetFlags] = vnetNeedsCsum
			binary.NativeEndian.PutUint16(h[vnetCsumStart:], uint16(start))
			binary.NativeEndian.PutUint16(h[vnetCsumOffset:], uint16(offset))
		}
	}
	if p.GSOSize == 0 {
		return
	}
	t, ok := packet.ParseTCP(p.Head)
	if !ok || p.Len()-t.HeaderLen() <= p.GSOSize {
		return
	}
	h[vnetGSOType] = vnetGSOTCPv4
	if t.IsIPv6() {
		h[vnetGSOType] = vnetGSOTCPv6
	}
	binary.NativeEndian.PutUint16(h[vnetHdrSize:], uint16(t.HeaderLen()))
	binary.NativeEndian.PutUint16(h[vnetGSOSize:], uint16(p.GSOSize))
}

// readVnetHdr sets in p what h says of it.
func readVnetHdr(h *[vnetHdrLen]byte, p *Packet) {
	switch {
	case h[vnetFlags]&vnetNeedsCsum != 0:
		p.Checksum = ChecksumPartial
	case h[vnetFlags]&vnetDataValid != 0:
		p.Checksum = ChecksumVerified
	default:
		p.Checksum = ChecksumComplete
	}
	p.GSOSize = 0
	switch h[vnetGSOType] &^ vnetGSOECN {
	case vnetGSOTCPv4, vnetGSOTCPv6:
		p.GSOSize = int(binary.NativeEndian.Uint16(h[vnetGSOSize:]))
	}
}
