package netstack

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// The hook adds an option and a sequence offset on the way out, and takes both away on
// the way in: the peer sees right packets, and the stack a connection in order.
func TestHookRewritesBothWays(t *testing.T) {
	option := []byte{30, 4, 0xab, 0xcd}
	const offset = 5000
	forFamilies(t, func(t *testing.T, fam family) {
		hook := newHook()
		hook.outgoing = func(l *Link, p *tun.Packet) {
			if cap(p.Head)-len(p.Head) < 60 {
				t.Error("no room for options")
			}
			v, ok := packet.ParseTCP(p.Head)
			if !ok || p.Checksum != tun.ChecksumPartial {
				t.Error("not a segment to send")
			}
			v.SetSeq(v.Seq() + offset)
			p.Head = append(p.Head, option...)
			p.Head[v.IPLen()+12] += 1 << 4 // one word more of header
			_ = l.Send(p)
		}
		hook.incoming = func(_ *Link, _ *tun.Packet, v packet.TCP) bool {
			v.SetAck(v.Ack() - offset) // the checksum is wrong from here on
			return true
		}
		near, far := tun.Pipe(tun.PipeConfig{NoChecksum: true, NoGSO: true})
		s := newStack(t, Config{Hook: hook})
		addLink(t, s, near, fam.prefixes[0])
		p := newPeer(t, far)
		e := p.connected(s, fam)
		p.send(packet.FlagACK, []byte("hello"))
		require.Equal(t, []byte("hello"), e.read(5))
		ack := p.next("ACK")
		require.Equal(t, p.ack, ack.Seq())
		require.Equal(t, option, ack.Options()[len(ack.Options())-4:])
		require.True(t, packet.VerifyChecksum(ack.bytes, nil))
		require.Len(t, ack.bytes, ack.TotalLen())
		require.NotZero(t, hook.batches.Load())
	})
}

func TestHookHidesSegmentsFromTheStack(t *testing.T) {
	fam := families[0]
	near, far := namedPipe("a")
	hook := newHook()
	seen := make(chan string, 16)
	hook.incoming = func(_ *Link, p *tun.Packet, v packet.TCP) bool {
		if p.Checksum == tun.ChecksumComplete && !packet.VerifyChecksum(p.Head, nil) {
			t.Error("shown with a wrong checksum")
		}
		seen <- string(v.Payload())
		return string(v.Payload()) != "secret"
	}
	s := newStack(t, Config{Hook: hook})
	addLink(t, s, near, fam.prefixes[0])
	p := newPeer(t, far)
	e := p.connected(s, fam)
	require.Empty(t, take(t, seen, "SYN/ACK"))
	hidden := p.seq
	p.send(packet.FlagACK, []byte("secret"))
	require.Equal(t, "secret", take(t, seen, "the hidden segment"))
	p.seq = hidden
	p.send(packet.FlagACK, []byte("public"))
	require.Equal(t, []byte("public"), e.read(6))
	require.Equal(t, "public", take(t, seen, "the other segment"))
	require.Equal(t, p.seq, p.next("ACK").Ack())
}

// ICMP about segments that were too long comes to the hook, if they were sent from the link.
func TestHookIsToldOfWhatIsTooBig(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		near, far := namedPipe("a")
		hook := newHook()
		seen := make(chan packet.TooBig, 16)
		hook.tooBig = func(m *packet.TooBig) { seen <- *m }
		s := newStack(t, Config{Hook: hook})
		addLink(t, s, near, fam.prefixes[0])
		for _, src := range []int{1, 0} {
			quoted := packet.AppendTCP(nil, &packet.Fields{Src: fam.port(src, 7), Dst: fam.port(1-src, 8), Seq: 9, PayloadLen: 1440})
			icmp := packet.AppendTooBig(nil, fam.addr(1), 1300, quoted)
			require.NoError(t, far.Write([]tun.Packet{{Head: icmp}}))
		}
		m := take(t, seen, "the message for this link")
		require.Equal(t, []any{fam.port(0, 7), fam.port(1, 8), uint32(9), 1300}, []any{m.Src, m.Dst, m.Seq, m.MTU})
		require.Empty(t, seen)
	})
}

// superSegment is headers and payload pieces of a segment of n bytes, with lengths and
// checksums yet to be written.
func superSegment(fam family, n int) *tun.Packet {
	head := packet.AppendTCP(nil, &packet.Fields{
		Src: fam.port(0, 1), Dst: fam.port(1, 2), Seq: 100, Flags: packet.FlagACK | packet.FlagPSH,
		Options: []byte{1, 1, 1, 1},
	})
	data := bytes.Repeat([]byte("abcdefg"), n/7+1)[:n]
	return &tun.Packet{Head: head, Payload: [][]byte{data[:n/3], data[n/3:]}, Checksum: tun.ChecksumPartial, GSOSize: 1000}
}

func TestSendSplitsWhatTheDeviceCannot(t *testing.T) {
	for name, cfg := range map[string]tun.PipeConfig{
		"offload":     {},
		"no GSO":      {NoGSO: true},
		"no checksum": {NoGSO: true, NoChecksum: true},
	} {
		t.Run(name, func(t *testing.T) {
			forFamilies(t, func(t *testing.T, fam family) {
				near, far := tun.Pipe(cfg)
				s := newStack(t, Config{})
				l := addLink(t, s, near, fam.prefixes[0])
				p := superSegment(fam, 4500)
				require.NoError(t, l.Send(p))
				want := append(bytes.Clone(p.Payload[0]), p.Payload[1]...)
				require.NoError(t, l.Send(superSegment(fam, 1000)), "one piece only")

				var got []byte
				pkts := make([]tun.Packet, 8)
				read := func() []tun.Packet {
					for i := range pkts {
						pkts[i] = tun.Packet{Head: make([]byte, tun.MaxPacketSize)}
					}
					n, err := far.Read(pkts)
					require.NoError(t, err)
					return pkts[:n]
				}
				for len(got) < len(want)+1000 {
					for _, q := range read() {
						v, ok := packet.ParseTCP(q.Head)
						require.True(t, ok)
						require.Equal(t, len(q.Head), v.TotalLen())
						require.EqualValues(t, 100+len(got)%len(want), v.Seq())
						if q.Checksum == tun.ChecksumPartial {
							packet.CompleteChecksum(q.Head, nil)
						}
						require.True(t, packet.VerifyChecksum(q.Head, nil))
						require.LessOrEqual(t, len(v.Payload()), max(1000, len(want)*q.GSOSize))
						require.Equal(t, len(v.Payload()) > 1000, q.GSOSize > 0, "GSO is for several pieces")
						got = append(got, v.Payload()...)
					}
				}
				require.Equal(t, want, got[:len(want)])
				wantPackets := uint64(6)
				if cfg == (tun.PipeConfig{}) {
					wantPackets = 2
				}
				require.Equal(t, wantPackets, l.Stats().OutPackets)
			})
		})
	}
}

func TestSendRefusesWhatIsNotTCP(t *testing.T) {
	near, _ := namedPipe("a")
	s := newStack(t, Config{})
	l := addLink(t, s, near, "192.0.2.1/24")
	require.Error(t, l.Send(&tun.Packet{Head: []byte{0x45, 0}}))
	require.Error(t, l.Send(superSegment(families[0], 65530)))
	require.EqualValues(t, 2, l.Stats().OutErrors)
}

func TestSendDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop things")
	}
	for name, features := range map[string]tun.Features{
		"offload":    {GSO: true, Checksum: true},
		"no offload": {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, Config{})
			dev := &sink{features: features, closed: make(chan struct{})}
			l := addLink(t, s, dev, families[0].prefixes[0])
			p := superSegment(families[0], 20000)
			require.Zero(t, testing.AllocsPerRun(100, func() { _ = l.Send(p) }))
			require.NotZero(t, l.Stats().OutPackets)
		})
	}
}

// sink is a device that swallows what it is given and gives nothing.
type sink struct {
	features tun.Features
	closed   chan struct{}
}

func (*sink) Name() string             { return "sink" }
func (*sink) MTU() int                 { return 1500 }
func (d *sink) Features() tun.Features { return d.features }
func (*sink) Write([]tun.Packet) error { return nil }
func (d *sink) Close() error           { close(d.closed); return nil }
func (d *sink) Read([]tun.Packet) (int, error) {
	<-d.closed
	return 0, tun.ErrClosed
}
