package script

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// Peer is the far end of one subflow. What it sends has its next sequence number, and
// acknowledges what it was told to Want so far, unless Parts say otherwise.
type Peer struct {
	l             *Lab
	end           *simnet.End
	local, remote netip.AddrPort

	// Window is what it advertises, in bytes; its window scale is 0.
	Window uint16
	// ID is the address ID that it gives in MP_JOIN, Backup the B flag.
	ID     option.AddrID
	Backup bool
	// HostID is the address ID that the host gave.
	HostID option.AddrID
	// HostScale is the window scale of the host's segments after its SYN.
	HostScale uint8
	// HostNonce is the nonce of the host in MP_JOIN.
	HostNonce option.Nonce

	iss, irs uint32
	irsKnown bool
	sndNxt   uint32 // relative
	rcvNxt   uint32 // relative; 0 means nothing has been wanted yet
	nonce    option.Nonce
	inbox    chan packet.TCP
}

// Addrs are the peer's address and the host's.
func (p *Peer) Addrs() (peer, host netip.AddrPort) { return p.local, p.remote }

// SndNxt is the peer's next sequence number, relative.
func (p *Peer) SndNxt() uint32 { return p.sndNxt }

// HostSeq is the sequence number on the wire of a relative one of the host.
func (p *Peer) HostSeq(n uint32) seq.SSN { return seq.SSN(p.irs + n) }

// Wire is the sequence number on the wire of a relative one of the peer.
func (p *Peer) Wire(n uint32) seq.SSN { return seq.SSN(p.iss + n) }

// SetID sets ID and Backup and returns the peer.
func (p *Peer) SetID(id option.AddrID, backup bool) *Peer {
	p.ID, p.Backup = id, backup
	return p
}

// Send sends one segment. One that leaves a gap before it does not move the next sequence
// number. what says why, for whoever reads the test.
func (p *Peer) Send(what string, parts ...Part) {
	p.l.t.Helper()
	d := &draft{p: p, seq: p.iss + p.sndNxt, ack: p.irs + p.rcvNxt, window: p.Window}
	for _, part := range parts {
		if err := part.put(d); err != nil {
			p.l.t.Fatalf("%s: cannot send %v: %v", what, part, err)
		}
	}
	b, err := d.build()
	if err != nil {
		p.l.t.Fatalf("%s: %v", what, err)
	}
	if d.seq-p.iss <= p.sndNxt {
		p.sndNxt = max(p.sndNxt, d.end()-p.iss)
	}
	p.l.ladder.say(p.l.World.Elapsed(), what)
	if err := p.end.Write([]tun.Packet{{Head: b, Checksum: tun.ChecksumPartial}}); err != nil {
		p.l.t.Fatalf("%s: %v", what, err)
	}
}

// Inject sends one segment in the peer's name, as an attacker would: the peer knows nothing of it.
func (p *Peer) Inject(what string, parts ...Part) {
	p.l.t.Helper()
	next := p.sndNxt
	p.Send(what, parts...)
	p.sndNxt = next
}

// Want waits for the next segment and fails the test unless it has all parts.
func (p *Peer) Want(what string, parts ...Part) *Segment {
	p.l.t.Helper()
	s := p.next(patience)
	if s == nil {
		p.l.t.Fatalf("%s: want a segment with %s; nothing came in %v", what, describe(parts), patience)
	}
	if err := s.check(parts); err != nil {
		p.l.t.Fatalf("%s: want a segment with %s\nbut %v in %v", what, describe(parts), err, s)
	}
	return s
}

// Await waits for a segment that has all parts and passes over others before it.
func (p *Peer) Await(what string, parts ...Part) *Segment {
	p.l.t.Helper()
	end := time.Now().Add(patience)
	var err error
	for {
		s := p.next(time.Until(end))
		if s == nil {
			p.l.t.Fatalf("%s: no segment with %s in %v; the last: %v", what, describe(parts), patience, err)
		}
		if err = s.check(parts); err == nil {
			return s
		}
	}
}

// Never waits for a time and fails the test if a segment with all parts comes; others are
// passed over.
func (p *Peer) Never(what string, d time.Duration, parts ...Part) {
	p.l.t.Helper()
	end := time.Now().Add(d)
	for {
		s := p.next(time.Until(end))
		if s == nil {
			return
		}
		if s.check(parts) == nil {
			p.l.t.Fatalf("%s: there is a segment with %s: %v", what, describe(parts), s)
		}
	}
}

// Silence waits for a time in which nothing may come.
func (p *Peer) Silence(what string, d time.Duration) {
	p.l.t.Helper()
	if s := p.next(d); s != nil {
		p.l.t.Fatalf("%s: want silence for %v, got %v", what, d, s)
	}
}

// Arrived returns what has arrived and was not wanted before.
func (p *Peer) Arrived() []*Segment {
	var list []*Segment
	for {
		s := p.next(time.Microsecond)
		if s == nil {
			return list
		}
		list = append(list, s)
	}
}

// Forget drops what has arrived and was not wanted; it counts as received.
func (p *Peer) Forget() { p.Arrived() }

// next waits for a segment; nil after d.
func (p *Peer) next(d time.Duration) *Segment {
	select {
	case t := <-p.inbox:
		return p.take(t)
	case <-time.After(d):
		return nil
	}
}

// take parses a segment and counts it as received if it is the next in order.
func (p *Peer) take(t packet.TCP) *Segment {
	s := &Segment{p: p, Flags: Flags(t.Flags()), Window: t.Window(), Payload: t.Payload(), Options: option.Parse(t.Options(), t.Flags()), At: p.l.World.Elapsed()}
	if s.Flags&SYN != 0 && !p.irsKnown {
		p.irs, p.irsKnown = t.Seq(), true
		p.HostScale, _ = s.Options.WindowScale()
	}
	s.Seq, s.Ack = t.Seq()-p.irs, t.Ack()-p.iss
	if end := s.Seq + uint32(s.room()); s.Seq <= p.rcvNxt && s.Flags&RST == 0 {
		p.rcvNxt = max(p.rcvNxt, end)
	}
	return s
}

// Segment is a segment of the host, with relative numbers.
type Segment struct {
	p        *Peer
	At       time.Duration // since the start of the world
	Flags    Flags
	Seq, Ack uint32
	Window   uint16
	Payload  []byte
	Options  option.Set
}

// room is how many sequence numbers the segment takes.
func (s *Segment) room() int {
	n := len(s.Payload)
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

func (s *Segment) check(parts []Part) error {
	for _, part := range parts {
		if err := part.check(s); err != nil {
			return err
		}
	}
	return nil
}

// String is the segment in a line.
func (s *Segment) String() string {
	ack := ""
	if s.Flags&ACK != 0 {
		ack = fmt.Sprintf(" ack %d", s.Ack)
	}
	return fmt.Sprintf("%v seq %d%s len %d win %d  %v", s.Flags, s.Seq, ack, len(s.Payload), s.Window, &s.Options)
}

// draft is a segment of the peer in the making.
type draft struct {
	p        *Peer
	flags    Flags
	seq, ack uint32
	window   uint16
	payload  []byte
	options  []option.Option
	raw      []byte // of options
	capable  bool
	flagBits *option.CapableFlags
	join     bool
	badHMAC  bool
	dss      *option.DSS
	sum      sumKind
}

// end is the sequence number after the segment.
func (d *draft) end() uint32 {
	s := Segment{Flags: d.flags, Payload: d.payload}
	return d.seq + uint32(s.room())
}

func (d *draft) build() ([]byte, error) {
	var opts []byte
	if d.flags&SYN != 0 {
		opts = option.AppendMSS(opts, 1400)
		opts = option.AppendWindowScale(opts, 0)
		opts = option.AppendSACKPermitted(opts)
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	for _, o := range d.options {
		opts = o.AppendTo(opts)
	}
	opts = option.Pad(append(opts, d.raw...), 0)
	if len(opts) > packet.MaxOptionsLen {
		return nil, fmt.Errorf("the options take %d bytes", len(opts))
	}
	if d.flags&ACK == 0 {
		d.ack = 0
	}
	b := packet.AppendTCP(nil, &packet.Fields{
		Src: d.p.local, Dst: d.p.remote, Seq: d.seq, Ack: d.ack, Flags: uint8(d.flags), Window: d.window,
		Options: opts, PayloadLen: len(d.payload),
	})
	return append(b, d.payload...), nil
}
