package subflow

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/rangeset"
	"github.com/gomptcp/gomptcp/internal/sendbuf"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun"
)

// The numbers of the scripts: initial sequence numbers, keys T-K1 and T-K2, nonces of T-J1.
const (
	ourISS  = 0x1000
	peerISS = 0x5000
	// ourClock and peerClock are the timestamps of the SYNs.
	ourClock, peerClock = 7000, 90000
	// epWindow is the window field of the endpoint, scaled by ourScale.
	epWindow, ourScale  = 1 << 13, 7
	peerScale           = 6
	peerWindow          = 1 << 10 // field
	connectionWindow    = 1 << 18
	withTimestampsBytes = 12
)

var (
	keyA   = key("0102030405060708") // ours
	keyB   = key("1112131415161718") // the peer's
	keyK7  = key("b000000000da41bf") // the low half of its DSNs wraps after 49 bytes
	nonceA = option.Nonce{0xa1, 0xa2, 0xa3, 0xa4}
	nonceB = option.Nonce{0xb1, 0xb2, 0xb3, 0xb4}
)

func key(s string) option.Key {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return option.Key(b)
}

// recorder is an Owner that does what a connection does, and remembers it.
type recorder struct {
	shared    *Shared
	window    int
	got       rangeset.Set[seq.DSN]
	mapped    []string // "dsn+n", relative to the first byte
	acks      []ackSeen
	fins      []seq.DSN
	peerFins  int
	options   []option.Option
	resets    []*ResetError
	fallbacks int
	pathMTUs  int
	alone     bool
	failed    []seq.DSN
	up        int // calls of OnTCPEstablished
	usable    int
	bytes     int
}

type ackSeen struct {
	ack    seq.DSN
	window int
}

func (r *recorder) ReceiveWindow() int { return r.window }

func (r *recorder) OnTCPEstablished(time.Time, *Subflow) { r.up++ }

func (r *recorder) OnUsable(_ time.Time, f *Subflow) {
	r.usable++
	if f.Kind == Initial {
		r.shared.Advertised = r.shared.RcvNxt
	}
}

func (r *recorder) OnDataAck(_ time.Time, _ *Subflow, ack seq.DSN, window int) {
	r.acks = append(r.acks, ackSeen{ack, window})
	r.shared.SndUna = r.shared.SndUna.Max(ack)
}

func (r *recorder) OnMapped(_ time.Time, _ *Subflow, dsn seq.DSN, n int) {
	r.bytes += n
	r.mapped = append(r.mapped, fmt.Sprintf("%d+%d", dsn.Sub(r.shared.RemoteIDSN.Add(1)), n))
	r.got.Add(dsn, dsn.Add(n))
	r.shared.RcvNxt = r.got.ContiguousFrom(r.shared.RcvNxt)
}

func (r *recorder) OnDataFin(_ time.Time, _ *Subflow, dsn seq.DSN) { r.fins = append(r.fins, dsn) }

func (r *recorder) OnPeerFin(time.Time, *Subflow) { r.peerFins++ }

func (r *recorder) OnOption(_ time.Time, _ *Subflow, o option.Option) {
	r.options = append(r.options, o)
}

func (r *recorder) OnReset(_ time.Time, f *Subflow, why *ResetError) {
	r.resets = append(r.resets, why)
	f.Close()
}

func (r *recorder) OnPathMTU(time.Time, *Subflow) { r.pathMTUs++ }
func (r *recorder) Alone(*Subflow) bool           { return r.alone }

func (r *recorder) MayFallBack(_ *Subflow, next seq.DSN) (seq.DSN, bool) {
	return r.shared.SndEnd, next.LessEq(r.shared.RcvNxt) // all that is written is placed at once
}

func (r *recorder) OnChecksumFailed(_ time.Time, _ *Subflow, dsn seq.DSN) {
	r.failed = append(r.failed, dsn)
}

func (r *recorder) OnFallback(time.Time, *Subflow) { r.fallbacks++ }

// sent is a segment that left.
type sent struct {
	packet.TCP
	*option.Set
	payload []byte
	gso     int
}

func (s sent) has(flags uint8) bool { return s.Flags()&flags == flags }

// wire is a Link that remembers what was sent.
type wire struct {
	t        testing.TB
	features tun.Features
	out      []sent
}

func (w *wire) Name() string           { return "wire" }
func (w *wire) MTU() int               { return 1500 }
func (w *wire) Features() tun.Features { return w.features }

func (w *wire) Send(p *tun.Packet) error {
	head := append([]byte(nil), p.Head...)
	t, ok := packet.ParseTCP(head)
	require.True(w.t, ok, "the packet is well-formed")
	require.LessOrEqual(w.t, len(t.Options()), packet.MaxOptionsLen)
	set := option.Parse(t.Options(), t.Flags())
	require.Zero(w.t, set.Malformed, "%x", t.Options())
	require.Zero(w.t, set.Misplaced, "%v on flags %#x", &set, t.Flags())
	require.Zero(w.t, set.Duplicates)
	s := sent{TCP: t, Set: &set, gso: p.GSOSize}
	for _, b := range p.Payload {
		s.payload = append(s.payload, b...)
	}
	w.out = append(w.out, s)
	return nil
}

// seg is a segment of the peer. Its options are timestamps (unless bare), then opts.
type seg struct {
	flags    uint8
	seq, ack uint32
	window   uint16
	opts     []option.Option
	sack     []option.SACKBlock
	payload  string
	bare     bool // without timestamps
	noMSS    bool
	tsval    uint32 // 0: the peer's clock
}

// script is a Subflow between a peer and an endpoint, both played by the test.
type script struct {
	t      testing.TB
	f      *Subflow
	shared *Shared
	owner  *recorder
	wire   *wire
	now    time.Time
	buf    *sendbuf.Buffer
	plain  bool // neither end uses timestamps, SACK or window scaling
}

type setup struct {
	kind           Kind
	role           Role
	wantChecksum   bool
	plain          bool          // no TCP options but MSS
	keys           [2]option.Key // ours, the peer's; zero: keyA, keyB
	gso            bool
	backup         bool
	mode           Mode
	ipv6           bool
	sharedChecksum bool // joins: what was negotiated
}

func newScript(t testing.TB, s setup) *script {
	if s.keys[0].IsZero() {
		s.keys[0] = keyA
	}
	if s.keys[1].IsZero() {
		s.keys[1] = keyB
	}
	shared := &Shared{Mode: s.mode, WantChecksum: s.wantChecksum, LocalKey: s.keys[0], LocalIDSN: s.keys[0].IDSN()}
	first := shared.LocalIDSN.Add(1)
	shared.SndUna, shared.SndEnd = first, first
	if s.kind == Join {
		shared.Mode, shared.PeerConfirmed, shared.Checksum = MPTCP, true, s.sharedChecksum
		shared.RemoteKey, shared.RemoteIDSN = s.keys[1], s.keys[1].IDSN()
		shared.RcvNxt = shared.RemoteIDSN.Add(1)
		shared.Advertised = shared.RcvNxt
	}
	p := &script{
		t: t, shared: shared, plain: s.plain,
		owner: &recorder{shared: shared, window: connectionWindow},
		wire:  &wire{t: t, features: tun.Features{GSO: s.gso, Checksum: true}},
		now:   time.Unix(1000, 0),
		buf:   sendbuf.New(first),
	}
	local, remote := netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("10.0.0.2:443")
	if s.ipv6 {
		local, remote = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8::2]:443")
	}
	p.f = New(Config{
		ID: 1, Kind: s.kind, Role: s.role, Local: local, Remote: remote, Link: p.wire, Shared: shared, Owner: p.owner,
		Controller: congestion.NewCubic, Siblings: func(b []congestion.Sibling) []congestion.Sibling { return b },
		LocalID: 2, LocalNonce: nonceA, LocalBackup: s.backup,
	})
	return p
}

// wait lets time pass.
func (p *script) wait(d time.Duration) { p.now = p.now.Add(d) }

// in delivers a segment of the peer. It returns what the endpoint gets to see, or nil.
func (p *script) in(s seg) *packet.TCP {
	p.t.Helper()
	var opts []byte
	if s.flags&packet.FlagSYN != 0 {
		if !s.noMSS {
			opts = option.AppendMSS(opts, 1460)
		}
		if !p.plain {
			opts = option.AppendWindowScale(option.AppendSACKPermitted(opts), peerScale)
			opts = option.Pad(opts, 0)
		}
	}
	if !p.plain && !s.bare {
		ts := s.tsval
		if ts == 0 {
			ts = peerClock + uint32(p.now.Sub(time.Unix(1000, 0))/time.Millisecond)
		}
		opts = option.AppendTimestamps(opts, ts, ourClock)
	}
	for _, o := range s.opts {
		opts = o.AppendTo(opts)
	}
	opts = option.Pad(opts, 0)
	opts = option.AppendSACK(opts, s.sack)
	head := packet.AppendTCP(nil, &packet.Fields{
		Src: p.f.Remote, Dst: p.f.Local, Seq: s.seq, Ack: s.ack, Flags: s.flags, Window: s.window, Options: opts, PayloadLen: len(s.payload),
	})
	head = append(head, s.payload...)
	t, ok := packet.ParseTCP(head)
	require.True(p.t, ok)
	if !p.f.Incoming(p.now, &tun.Packet{Head: head}, t) {
		return nil
	}
	return &t
}

// endpoint lets the endpoint send a segment, with its own numbers, and returns all that
// left because of it.
func (p *script) endpoint(flags uint8, at, ack uint32, opts ...byte) []sent {
	p.t.Helper()
	n := len(p.wire.out)
	head := packet.AppendTCP(nil, &packet.Fields{
		Src: p.f.Local, Dst: p.f.Remote, Seq: at, Ack: ack, Flags: flags, Window: epWindow, Options: opts,
	})
	t, ok := packet.ParseTCP(head)
	require.True(p.t, ok)
	p.f.Outgoing(p.now, &tun.Packet{Head: head}, t)
	return p.wire.out[n:]
}

// one is endpoint when exactly one segment has to leave.
func (p *script) one(flags uint8, at, ack uint32, opts ...byte) sent {
	p.t.Helper()
	out := p.endpoint(flags, at, ack, opts...)
	require.Len(p.t, out, 1)
	return out[0]
}

// synOptions are those of the endpoint's SYN.
func (p *script) synOptions() []byte {
	opts := option.AppendMSS(nil, 1460)
	if p.plain {
		return opts
	}
	opts = option.AppendWindowScale(option.AppendSACKPermitted(opts), ourScale)
	return option.AppendTimestamps(option.Pad(opts, 0), ourClock, 0)
}

// acks lets the endpoint acknowledge the peer's bytes before offset n, counted from the
// first, and returns the ACK that leaves.
func (p *script) acks(n int, opts ...byte) sent {
	p.t.Helper()
	return p.one(packet.FlagACK, ourISS+1, peerISS+1+uint32(n), opts...)
}

// syn lets the opener's SYN leave; synIn the peer's come.
func (p *script) syn() sent {
	p.t.Helper()
	return p.one(packet.FlagSYN, ourISS, 0, p.synOptions()...)
}

func (p *script) synIn(opts ...option.Option) {
	p.t.Helper()
	require.NotNil(p.t, p.in(seg{flags: packet.FlagSYN, seq: peerISS, window: peerWindow, opts: opts}), "the endpoint has to see the SYN")
}

func (p *script) synAck() sent {
	p.t.Helper()
	return p.one(packet.FlagSYN|packet.FlagACK, ourISS, peerISS+1, p.synOptions()...)
}

func (p *script) synAckIn(opts ...option.Option) *packet.TCP {
	p.t.Helper()
	p.wait(20 * time.Millisecond)
	return p.in(seg{flags: packet.FlagSYN | packet.FlagACK, seq: peerISS, ack: ourISS + 1, window: peerWindow, opts: opts})
}

// ack delivers an ACK of the peer for our bytes before offset n, after its own bytes
// before offset at.
func (p *script) ack(at, n int, opts ...option.Option) *packet.TCP {
	p.t.Helper()
	return p.in(seg{flags: packet.FlagACK, seq: peerISS + 1 + uint32(at), ack: ourISS + 1 + uint32(n), window: peerWindow, opts: opts})
}

// data delivers bytes of the peer from its offset at on.
func (p *script) data(at int, payload string, opts ...option.Option) *packet.TCP {
	p.t.Helper()
	return p.in(seg{
		flags: packet.FlagACK | packet.FlagPSH, seq: peerISS + 1 + uint32(at), ack: ourISS + 1, window: peerWindow, opts: opts, payload: payload,
	})
}

// mapping is a DSS that maps n bytes at the subflow offset at to the stream offset d. With
// checksums in use the field is that of payload.
func (p *script) mapping(at, d, n int, payload string) option.DSS {
	o := option.DSS{HasMap: true, DSN: uint64(p.shared.RemoteIDSN.Add(1 + d)), SSN: uint32(at) + 1, Len: uint16(n)}
	if p.shared.Checksum {
		o.HasChecksum, o.Checksum = true, option.DSSChecksum(o.DSN, o.SSN, o.Len, option.SumBytes([]byte(payload)))
	}
	return o
}

// mapped delivers payload at the subflow offset at with its own mapping to the stream
// offset d.
func (p *script) mapped(at, d int, payload string) *packet.TCP {
	p.t.Helper()
	return p.data(at, payload, p.mapping(at, d, len(payload), payload))
}

// place queues n bytes of our stream on the subflow and runs the sender; it returns what
// leaves.
func (p *script) place(n int) []sent {
	p.t.Helper()
	from := p.buf.End()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	p.buf.Write(b)
	p.f.Sender().Place(p.now, Chunk{DSN: from, Data: p.buf.Span(from, n)})
	p.shared.SndEnd = p.buf.End()
	return p.run()
}

func (p *script) run() []sent {
	n := len(p.wire.out)
	p.f.Sender().Run(p.now)
	return p.wire.out[n:]
}

// dataAck is the DATA_ACK of all our bytes before the stream offset n.
func (p *script) dataAck(n int) option.DSS {
	return option.DSS{HasAck: true, Ack: uint64(p.shared.LocalIDSN.Add(1 + n))}
}

func capable(form option.CapableForm, flags option.CapableFlags, keys ...option.Key) option.MPCapable {
	c := option.MPCapable{Form: form, Version: option.Version, Flags: flags}
	if len(keys) > 0 {
		c.SenderKey = keys[0]
	}
	if len(keys) > 1 {
		c.ReceiverKey = keys[1]
	}
	return c
}

const sha = option.HMACSHA256

// opened returns an initial subflow whose handshake has passed and whose peer has shown a
// DSS. s.kind is Initial; flags are the peer's.
func opened(t testing.TB, s setup) *script {
	t.Helper()
	p := newScript(t, s)
	flags := sha
	if s.wantChecksum {
		flags |= option.ChecksumRequired
	}
	local, remote := p.shared.LocalKey, keyB
	if !s.keys[1].IsZero() {
		remote = s.keys[1]
	}
	if s.role == Opener {
		p.syn()
		require.NotNil(t, p.synAckIn(capable(option.CapableSynAck, flags, remote)))
		p.acks(0)
		p.f.EndpointUp()
		p.ack(0, 0, p.dataAck(0))
	} else {
		p.synIn(capable(option.CapableSyn, flags))
		p.synAck()
		p.wait(20 * time.Millisecond)
		require.NotNil(t, p.ack(0, 0, capable(option.CapableAck, flags, remote, local)))
		p.f.EndpointUp()
		p.ack(0, 0, p.dataAck(0))
	}
	require.Equal(t, MPTCP, p.shared.Mode, p.shared.FallbackReason)
	require.Equal(t, Established, p.f.State())
	require.True(t, p.shared.PeerConfirmed)
	p.acks(0) // shows the window
	p.owner.acks = nil
	return p
}

// joined returns a join that is established.
func joined(t testing.TB, s setup) *script {
	t.Helper()
	s.kind = Join
	p := newScript(t, s)
	if s.role == Opener {
		p.syn()
		require.NotNil(t, p.synAckIn(p.joinSynAck()))
		p.acks(0)
		p.f.EndpointUp()
		p.ack(0, 0, p.dataAck(0))
	} else {
		p.synIn(option.JoinSyn{ID: 7, Token: p.shared.LocalKey.Token(), Nonce: nonceB})
		p.synAck()
		p.wait(20 * time.Millisecond)
		require.NotNil(t, p.ack(0, 0, p.joinAck()))
		p.f.EndpointUp()
	}
	require.Equal(t, Established, p.f.State())
	p.acks(0)
	return p
}

func (p *script) joinSynAck() option.JoinSynAck {
	o := option.NewJoinSynAck(p.shared.RemoteKey, p.shared.LocalKey, nonceB, nonceA)
	o.ID = 7
	return o
}

func (p *script) joinAck() option.JoinAck {
	return option.NewJoinAck(p.shared.RemoteKey, p.shared.LocalKey, nonceB, nonceA)
}

// last is the segment that left last.
func (p *script) last() sent {
	p.t.Helper()
	require.NotEmpty(p.t, p.wire.out)
	return p.wire.out[len(p.wire.out)-1]
}

// readable checks that what was mapped is exactly n bytes of the stream from its start.
func (p *script) requireStream(n int) {
	p.t.Helper()
	require.EqualValues(p.t, n, p.shared.RcvNxt.Sub(p.shared.RemoteIDSN.Add(1)))
}
