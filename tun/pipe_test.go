package tun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/stretchr/testify/require"
)

var (
	src = netip.MustParseAddrPort("192.0.2.1:1000")
	dst = netip.MustParseAddrPort("192.0.2.2:2000")
)

// tcpPacket is a TCP packet with n payload bytes, of which the first inHead lie in
// Head, with a partial checksum.
func tcpPacket(n, inHead int) Packet {
	payload := make([]byte, n)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	head := packet.AppendTCP(nil, &packet.Fields{
		Src: src, Dst: dst, Seq: 1, Flags: packet.FlagACK, PayloadLen: n,
	})
	p := Packet{Head: append(head, payload[:inHead]...), Checksum: ChecksumPartial}
	if inHead < n {
		half := (n - inHead) / 2
		p.Payload = [][]byte{payload[inHead : inHead+half], payload[inHead+half:]}
	}
	return p
}

func wholeBytes(p Packet) []byte {
	return bytes.Join(append([][]byte{p.Head}, p.Payload...), nil)
}

func buffers(n int) []Packet {
	pkts := make([]Packet, n)
	for i := range pkts {
		pkts[i].Head = make([]byte, MaxPacketSize)
	}
	return pkts
}

func TestPipeKeepsWhatItCarries(t *testing.T) {
	a, b := Pipe(PipeConfig{})
	require.Equal(t, Features{GSO: true, Checksum: true}, a.Features())
	require.Equal(t, []any{"pipe0", "pipe1", DefaultMTU}, []any{a.Name(), b.Name(), b.MTU()})

	super := tcpPacket(60000, 10)
	super.GSOSize = 1460
	verified := tcpPacket(100, 100)
	verified.Checksum = ChecksumVerified
	sent := []Packet{tcpPacket(1460, 0), super, verified}
	require.NoError(t, a.Write(sent))

	got := buffers(8)
	n, err := b.Read(got)
	require.NoError(t, err)
	require.Equal(t, len(sent), n)
	for i, p := range sent {
		require.Equal(t, wholeBytes(p), got[i].Head)
		require.Nil(t, got[i].Payload)
		require.Equal(t, p.GSOSize, got[i].GSOSize)
		require.Equal(t, p.Checksum, got[i].Checksum)
	}
}

func TestPipeDropsWhatIsTooLongOrTooMuch(t *testing.T) {
	a, b := Pipe(PipeConfig{QueueLen: 3, MTU: 1000})
	long := tcpPacket(961, 0)
	longGSO := tcpPacket(3000, 0)
	longGSO.GSOSize = 961
	fits := tcpPacket(960, 0)
	fitsGSO := tcpPacket(3000, 0)
	fitsGSO.GSOSize = 960
	require.NoError(t, a.Write([]Packet{long, fits, longGSO, fitsGSO, fits, fits}))
	require.EqualValues(t, 3, a.Drops())

	got := buffers(8)
	n, err := b.Read(got)
	require.NoError(t, err)
	require.Equal(t, []int{1000, 3040, 1000}, []int{len(got[0].Head), len(got[1].Head), len(got[2].Head)})
	require.Equal(t, 3, n)
}

func TestPipeWithoutFeaturesDoesTheirWork(t *testing.T) {
	a, b := Pipe(PipeConfig{NoGSO: true, NoChecksum: true})
	require.Zero(t, a.Features())
	super := tcpPacket(10000, 100)
	super.GSOSize = 1400
	require.NoError(t, a.Write([]Packet{tcpPacket(11, 0), super, {Head: []byte("odd"), GSOSize: 9}}))
	require.EqualValues(t, 1, a.Drops(), "a super-segment that is no TCP")

	got := buffers(20)
	n, err := b.Read(got)
	require.NoError(t, err)
	require.Equal(t, 1+8, n)
	var payload []byte
	for _, p := range got[1:n] {
		require.Zero(t, p.GSOSize)
		require.Equal(t, ChecksumComplete, p.Checksum)
		require.True(t, packet.VerifyChecksum(p.Head, nil))
		v, ok := packet.ParseTCP(p.Head)
		require.True(t, ok)
		payload = append(payload, v.Payload()...)
	}
	require.Equal(t, wholeBytes(super)[40:], payload)
	require.True(t, packet.VerifyChecksum(got[0].Head, nil))
}

func TestPipeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(PipeConfig{})
		done := make(chan error, 1)
		go func() {
			_, err := a.Read(buffers(1))
			done <- err
		}()
		synctest.Wait()
		require.Empty(t, done, "Read returned without a packet")
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-done, ErrClosed)
		require.ErrorIs(t, a.Write([]Packet{tcpPacket(1, 0)}), ErrClosed)
		require.NoError(t, b.Write([]Packet{tcpPacket(1, 0)}), "the other end stays open")
		require.EqualValues(t, 1, b.Drops())
	})
}

// Several writers, one reader: nothing is lost or damaged, and each writer's
// packets keep their order.
func TestPipeConcurrently(t *testing.T) {
	const writers, each = 4, 2000
	a, b := Pipe(PipeConfig{MTU: 4000, QueueLen: writers * each})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			buf := make([]byte, 8+w*900)
			for i := range each {
				buf[0] = byte(w)
				binary.BigEndian.PutUint32(buf[4:], uint32(i))
				buf[len(buf)-1] = byte(i)
				_ = a.Write([]Packet{{Head: buf[:4], Payload: [][]byte{buf[4:]}, GSOSize: 0}})
			}
		})
	}
	var next [writers]uint32
	pkts := buffers(32)
	for total := 0; total < writers*each; {
		for i := range pkts {
			pkts[i].Head = pkts[i].Head[:MaxPacketSize]
		}
		n, err := b.Read(pkts)
		require.NoError(t, err)
		for _, p := range pkts[:n] {
			w, i := p.Head[0], binary.BigEndian.Uint32(p.Head[4:])
			require.Equal(t, next[w], i)
			require.Equal(t, byte(i), p.Head[len(p.Head)-1])
			next[w]++
		}
		total += n
	}
	wg.Wait()
	require.Zero(t, a.Drops())
}

func TestPipeDoesNotAllocate(t *testing.T) {
	for _, cfg := range []PipeConfig{{}, {NoGSO: true, NoChecksum: true}} {
		a, b := Pipe(cfg)
		super := tcpPacket(60000, 0)
		super.GSOSize = 1460
		sent := []Packet{super, tcpPacket(1460, 0), super}
		got := buffers(100)
		require.Zero(t, testing.AllocsPerRun(50, func() {
			_ = a.Write(sent)
			for i := range got {
				got[i].Head = got[i].Head[:MaxPacketSize]
			}
			_, _ = b.Read(got)
			for i := range got {
				got[i].Head = got[i].Head[:MaxPacketSize]
			}
			if cfg.NoGSO { // 83 packets: more than one batch
				_, _ = b.Read(got)
			}
		}))
	}
}

func TestPacketizeRefusesWhatDoesNotFit(t *testing.T) {
	p := Packet{Head: make([]byte, 40000), Payload: [][]byte{make([]byte, 40000)}}
	err := Packetize(make([]byte, MaxPacketSize), &p, func([]byte) error { t.Fatal("emitted"); return nil })
	require.ErrorIs(t, err, errTooLong)
}

func TestVnetHdr(t *testing.T) {
	super := tcpPacket(5000, 0)
	super.GSOSize = 1460
	short := tcpPacket(1460, 0)
	short.GSOSize = 1460
	for name, c := range map[string]struct {
		p    Packet
		want Packet
	}{
		"super-segment": {super, Packet{GSOSize: 1460, Checksum: ChecksumPartial}},
		"one segment":   {short, Packet{Checksum: ChecksumPartial}},
		"plain":         {Packet{Head: super.Head}, Packet{}},
		"not IP":        {Packet{Head: []byte("x"), Checksum: ChecksumPartial, GSOSize: 1}, Packet{}},
	} {
		var h [vnetHdrLen]byte
		putVnetHdr(&h, &c.p)
		var got Packet
		readVnetHdr(&h, &got)
		require.Equal(t, c.want, got, name)
	}

	// What the kernel reads, by virtio 1.2 section 5.1.6: flags, type, then
	// lengths of headers and segment, start and offset of the checksum.
	var h [vnetHdrLen]byte
	words := func() (w [4]uint16) {
		for i := range w {
			w[i] = binary.NativeEndian.Uint16(h[2+2*i:])
		}
		return w
	}
	putVnetHdr(&h, &super)
	require.Equal(t, []byte{1, 1}, h[:2])
	require.Equal(t, [4]uint16{40, 1460, 20, 16}, words())
	super.Head = packet.AppendTCP(nil, &packet.Fields{
		Src: netip.MustParseAddrPort("[fd00::1]:1"), Dst: netip.MustParseAddrPort("[fd00::2]:2"), PayloadLen: 5000,
	})
	putVnetHdr(&h, &super)
	require.Equal(t, []byte{1, 4}, h[:2])
	require.Equal(t, [4]uint16{60, 1460, 40, 16}, words())

	var got Packet
	readVnetHdr(&[vnetHdrLen]byte{vnetDataValid}, &got)
	require.Equal(t, ChecksumVerified, got.Checksum)
}

func BenchmarkPipe(b *testing.B) {
	for _, c := range []struct{ payload, gso, batch int }{{1460, 0, 1}, {1460, 0, 32}, {64000, 1460, 1}, {64000, 1460, 8}} {
		b.Run(fmt.Sprintf("payload=%d/batch=%d", c.payload, c.batch), func(b *testing.B) {
			a, z := Pipe(PipeConfig{})
			p := tcpPacket(c.payload, 0)
			p.GSOSize = c.gso
			sent := make([]Packet, c.batch)
			for i := range sent {
				sent[i] = p
			}
			got := buffers(c.batch)
			b.SetBytes(int64(c.payload * c.batch))
			b.ReportAllocs()
			for b.Loop() {
				_ = a.Write(sent)
				for i := range got {
					got[i].Head = got[i].Head[:MaxPacketSize]
				}
				_, _ = z.Read(got)
			}
		})
	}
}
