package nic

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

const (
	// batchSize is the number of packets asked for in one device read.
	batchSize = 32
	// handOverSize is the packet length in bytes from which gVisor gets the read buffer
	// itself instead of a copy. Below, the 64 KB buffer would waste more memory in a
	// receive queue than the copy costs.
	handOverSize = 16 << 10
)

// batch is the buffers of one device read. Each view is ours alone until it is handed
// over, so that writing to its bytes is safe.
type batch struct {
	views [batchSize]*buffer.View
	pkts  [batchSize]tun.Packet
}

// ready gives every packet a whole buffer.
func (b *batch) ready() {
	for i := range b.pkts {
		if b.views[i] == nil {
			b.views[i] = buffer.NewViewSize(tun.MaxPacketSize)
		}
		b.pkts[i] = tun.Packet{Head: b.views[i].AsSlice()}
	}
}

// take returns a view of packet i: the buffer that it was read into or, for a small
// one, a copy.
func (b *batch) take(i int) *buffer.View {
	head, buf := b.pkts[i].Head, b.views[i].AsSlice()
	off := cap(buf) - cap(head)
	if len(head) < handOverSize || off < 0 || off+len(head) > len(buf) || &buf[off] != &head[0] {
		return buffer.NewViewWithData(head)
	}
	v := b.views[i]
	b.views[i] = nil
	v.TrimFront(off)
	v.CapLength(len(head))
	return v
}

// release gives the buffers back.
func (b *batch) release() {
	for i, v := range b.views {
		if v != nil {
			v.Release()
			b.views[i] = nil
		}
	}
}

// Run reads from the device and delivers, until the device fails or is closed. It
// returns the device's error.
func (e *Endpoint) Run() error {
	b := new(batch)
	defer b.release()
	for {
		b.ready()
		n, err := e.cfg.Device.Read(b.pkts[:])
		for i := range n {
			e.receive(b, i)
		}
		if err != nil {
			return err
		}
		if e.cfg.BatchDone != nil {
			e.cfg.BatchDone()
		}
	}
}

// receive passes packet i of the batch on, if it deserves that.
func (e *Endpoint) receive(b *batch, i int) {
	p := &b.pkts[i]
	e.stats.inPackets.Add(1)
	e.stats.inBytes.Add(uint64(len(p.Head)))
	headers := 0
	if t, ok := packet.ParseTCP(p.Head); ok {
		headers = t.HeaderLen()
		if !e.admit(p, t) {
			return
		}
		if e.cfg.Incoming != nil && !e.cfg.Incoming(p, t) {
			return
		}
	} else if m, ok := packet.ParseTooBig(p.Head); ok {
		if e.cfg.TooBig != nil {
			e.cfg.TooBig(&m)
		}
		return
	} else if !isICMP(p.Head) {
		e.stats.malformed.Add(1)
		return
	}
	e.deliver(p.Head[0]>>4, b.take(i), headers)
}

// admit checks lengths and checksums of a TCP segment and cuts what trails it.
func (e *Endpoint) admit(p *tun.Packet, t packet.TCP) bool {
	if t.TotalLen() > len(p.Head) {
		e.stats.malformed.Add(1)
		return false
	}
	p.Head = p.Head[:t.TotalLen()]
	if p.Checksum != tun.ChecksumComplete {
		return true
	}
	headerOK := t.IsIPv6() || packet.Fold(packet.Sum(0, p.Head[:t.IPLen()])) == 0xffff
	if !headerOK || !packet.VerifyChecksum(p.Head, nil) {
		e.stats.badChecksum.Add(1)
		return false
	}
	return true
}

// isICMP reports whether b is ICMP over IPv4, or ICMPv6 without extension headers.
func isICMP(b []byte) bool {
	switch {
	case len(b) >= packet.IPv4MinLen && b[0]>>4 == 4:
		return b[9] == uint8(header.ICMPv4ProtocolNumber)
	case len(b) >= packet.IPv6Len && b[0]>>4 == 6:
		return b[6] == uint8(header.ICMPv6ProtocolNumber)
	}
	return false
}

// deliver hands the packet in v, which begins with so many bytes of headers, to gVisor, which
// releases v.
func (e *Endpoint) deliver(version uint8, v *buffer.View, headers int) {
	d := e.attached()
	if d == nil {
		v.Release()
		return
	}
	proto := tcpip.NetworkProtocolNumber(header.IPv4ProtocolNumber)
	if version == 6 {
		proto = header.IPv6ProtocolNumber
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: split(v, headers)})
	d.DeliverNetworkPacket(proto, pkt)
	pkt.DecRef()
}

// split returns a buffer whose first view holds the n bytes of headers alone. gVisor copies
// the view that a header lies in when somebody else, the receive queue, has a reference to
// it: with the payload of a super-segment in it that costs a quarter of all receiving.
func split(v *buffer.View, n int) buffer.Buffer {
	if v.Size() < handOverSize || n == 0 {
		return buffer.MakeWithView(v)
	}
	b := buffer.MakeWithView(buffer.NewViewWithData(v.AsSlice()[:n]))
	v.TrimFront(n)
	_ = b.Append(v) // never fails
	return b
}
