package nic

import (
	"encoding/binary"
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// ErrNotTCP is returned by Send for a packet that is not a TCP segment without IPv6
// extension headers, or is longer than an IP packet can be.
var ErrNotTCP = errors.New("nic: not a TCP segment that can be sent")

// scratchSize leaves more than 60 bytes behind the longest headers (40 + 60).
const scratchSize = 256

// scratch is the room in which a packet of gVisor's is built for one call.
type scratch struct {
	head    [scratchSize]byte
	payload [][]byte
	packet  tun.Packet
}

// writer is what one call of Send needs, kept so that it need not be allocated.
type writer struct {
	ep      *Endpoint
	one     [1]tun.Packet
	segment []byte             // packet.Split builds in it
	emit    func([]byte) error // emitSegment, bound once
}

func newWriter(e *Endpoint) *writer {
	w := &writer{ep: e}
	w.emit = w.emitSegment
	return w
}

// WritePackets implements stack.LinkEndpoint. It copies the headers, never changes
// gVisor's packets and never fails: what the device does not take is lost as on a
// wire.
func (e *Endpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	list := pkts.AsSlice()
	for _, pkt := range list {
		s := e.scratch.Get().(*scratch)
		e.writePacket(s, pkt)
		clear(s.payload)
		s.packet = tun.Packet{}
		e.scratch.Put(s)
	}
	return len(list), nil
}

func (e *Endpoint) writePacket(s *scratch, pkt *stack.PacketBuffer) {
	head := append(s.head[:0], pkt.NetworkHeader().Slice()...)
	head = append(head, pkt.TransportHeader().Slice()...)
	s.payload = appendPayload(s.payload[:0], pkt)
	s.packet = tun.Packet{Head: head, Payload: s.payload}
	if pkt.TransportProtocolNumber != header.TCPProtocolNumber {
		w := e.writers.Get().(*writer)
		_ = w.write(s.packet) // counted; ICMP may be lost
		e.writers.Put(w)
		return
	}
	s.packet.Checksum = tun.ChecksumPartial
	if pkt.GSOOptions.Type != stack.GSONone {
		s.packet.GSOSize = int(pkt.GSOOptions.MSS)
	}
	if e.cfg.Outgoing != nil {
		e.cfg.Outgoing(&s.packet)
		return
	}
	_ = e.Send(&s.packet) // counted; TCP repeats what is lost
}

// appendPayload appends the pieces of what follows the headers of pkt.
func appendPayload(dst [][]byte, pkt *stack.PacketBuffer) [][]byte {
	views, skip := pkt.AsViewList()
	skip += pkt.HeaderSize()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		dst = append(dst, b[skip:])
		skip = 0
	}
	return dst
}

// Send puts a TCP segment or super-segment on the device. Whatever state the lengths
// and checksums in p.Head are in, it writes them anew there: IP length, IPv4 header
// checksum, and the TCP checksum, partial if the device completes it. It splits a
// super-segment (p.GSOSize) if the device cannot. It does not keep the bytes, does
// not wait and does not allocate in the steady state.
//
// It returns the device's error, or ErrNotTCP.
func (e *Endpoint) Send(p *tun.Packet) error {
	total := p.Len()
	setLength(p.Head, total) // first, for headers that have grown
	t, ok := packet.ParseTCP(p.Head)
	if !ok || total > tun.MaxPacketSize {
		e.stats.outErrors.Add(1)
		return ErrNotTCP
	}

	w := e.writers.Get().(*writer)
	defer e.writers.Put(w)
	out := *p
	if total-t.HeaderLen() <= out.GSOSize {
		out.GSOSize = 0
	}
	if out.GSOSize > 0 && !e.offloads() {
		return w.split(&out)
	}
	packet.SetChecksumPartial(out.Head)
	out.Checksum = tun.ChecksumPartial
	if !e.features.Checksum {
		packet.CompleteChecksum(out.Head, out.Payload)
		out.Checksum = tun.ChecksumComplete
	}
	return w.write(out)
}

// setLength writes the length of the packet into the IP header at the start of head and
// renews the IPv4 header checksum. It leaves alone what is no IP header.
func setLength(head []byte, total int) {
	switch {
	case len(head) >= packet.IPv6Len && head[0]>>4 == 6:
		binary.BigEndian.PutUint16(head[4:], uint16(total-packet.IPv6Len))
	case len(head) >= packet.IPv4MinLen && head[0]>>4 == 4:
		ip := head[:min(len(head), int(head[0]&0x0f)*4)]
		if len(ip) < packet.IPv4MinLen {
			return
		}
		binary.BigEndian.PutUint16(ip[2:], uint16(total))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], ^packet.Fold(packet.Sum(0, ip)))
	}
}

// split sends a super-segment in pieces. It stops at the first that the device
// refuses.
func (w *writer) split(p *tun.Packet) error {
	if need := len(p.Head) + p.GSOSize; cap(w.segment) < need {
		w.segment = make([]byte, need)
	}
	return packet.Split(w.segment, p.Head, p.Payload, p.GSOSize, w.emit)
}

// emitSegment sends one piece of a super-segment.
func (w *writer) emitSegment(seg []byte) error {
	return w.write(tun.Packet{Head: seg, Checksum: tun.ChecksumComplete})
}

// write gives one packet to the device and counts it.
func (w *writer) write(p tun.Packet) error {
	w.one[0] = p
	err := w.ep.cfg.Device.Write(w.one[:])
	w.one[0] = tun.Packet{}
	if err != nil {
		w.ep.stats.outErrors.Add(1)
		return err
	}
	w.ep.stats.outPackets.Add(1)
	w.ep.stats.outBytes.Add(uint64(p.Len()))
	return nil
}
