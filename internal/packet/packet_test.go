package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"
)

var (
	v4 = [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1234"), netip.MustParseAddrPort("198.51.100.7:443")}
	v6 = [2]netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:1234"), netip.MustParseAddrPort("[2001:db8:ffff::7]:443")}
)

// families runs f once for each address family.
func families(t *testing.T, f func(t *testing.T, ends [2]netip.AddrPort)) {
	for name, ends := range map[string][2]netip.AddrPort{"v4": v4, "v6": v6} {
		t.Run(name, func(t *testing.T) { f(t, ends) })
	}
}

func fields(ends [2]netip.AddrPort, payloadLen int) *Fields {
	return &Fields{
		Src: ends[0], Dst: ends[1], TTL: 33, TOS: 0xb9, ID: 0x1234,
		Seq: 0xfffffff0, Ack: 0x01020304, Flags: FlagACK | FlagPSH, Window: 0xabcd,
		Options:    []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8},
		PayloadLen: payloadLen,
	}
}

func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// decode reads pkt with gopacket and verifies IPv4 and TCP checksums by making
// gopacket compute them.
func decode(t *testing.T, pkt []byte) (gopacket.NetworkLayer, *layers.TCP) {
	t.Helper()
	first := layers.LayerTypeIPv4
	if pkt[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(pkt, first, gopacket.Default)
	require.Nil(t, p.ErrorLayer())
	tcp := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	nl := p.NetworkLayer()
	require.NoError(t, tcp.SetNetworkLayerForChecksum(nl))
	buf := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true},
		nl.(gopacket.SerializableLayer), tcp, gopacket.Payload(tcp.Payload)))
	require.Equal(t, buf.Bytes(), pkt, "gopacket writes other headers or checksums")
	return nl, tcp
}

func TestAppendTCPAgreesWithGopacket(t *testing.T) {
	families(t, func(t *testing.T, ends [2]netip.AddrPort) {
		for _, n := range []int{0, 1, 2, 7, 63, 64, 65, 1460} {
			f := fields(ends, n)
			payload := randomBytes(n)
			pkt := AppendTCP([]byte("before"), f)[len("before"):]
			require.False(t, n > 0 && VerifyChecksum(pkt, [][]byte{payload}), "partial must not verify")
			CompleteChecksum(pkt, [][]byte{payload[:n/3], nil, payload[n/3:]})
			require.True(t, VerifyChecksum(pkt, [][]byte{payload}))
			pkt = append(pkt, payload...)

			nl, tcp := decode(t, pkt)
			if ip, ok := nl.(*layers.IPv4); ok {
				require.Equal(t, layers.IPv4DontFragment, ip.Flags)
				require.EqualValues(t, 33, ip.TTL)
				require.EqualValues(t, 0xb9, ip.TOS)
				require.EqualValues(t, 0x1234, ip.Id)
			} else {
				require.EqualValues(t, 33, nl.(*layers.IPv6).HopLimit)
				require.EqualValues(t, 0xb9, nl.(*layers.IPv6).TrafficClass)
			}
			require.EqualValues(t, f.Seq, tcp.Seq)
			require.EqualValues(t, f.Window, tcp.Window)
			require.True(t, tcp.ACK && tcp.PSH && !tcp.SYN && !tcp.FIN)
			require.Equal(t, payload, append([]byte{}, tcp.Payload...))
		}
	})
}

func TestParseTCPReadsWhatAppendTCPWrote(t *testing.T) {
	families(t, func(t *testing.T, ends [2]netip.AddrPort) {
		f := fields(ends, 5)
		b := append(AppendTCP(nil, f), "helloTRAILER"...)
		v, ok := ParseTCP(b)
		require.True(t, ok)
		require.Equal(t, ends[0], v.Src())
		require.Equal(t, ends[1], v.Dst())
		require.Equal(t, ends[0].Addr().Is6(), v.IsIPv6())
		require.Equal(t, f.Seq, v.Seq())
		require.Equal(t, f.Ack, v.Ack())
		require.Equal(t, f.Flags, v.Flags())
		require.Equal(t, f.Window, v.Window())
		require.Equal(t, f.TTL, v.TTL())
		require.Equal(t, f.TOS, v.TOS())
		require.Zero(t, v.Urgent())
		require.Equal(t, f.Options, v.Options())
		require.Equal(t, []byte("hello"), v.Payload())
		require.Equal(t, 5, v.PayloadLen())
		require.Equal(t, v.HeaderLen()+5, v.TotalLen())
		require.Equal(t, v.HeaderLen(), v.IPLen()+TCPMinLen+len(f.Options))

		v.SetSeq(7)
		v.SetAck(8)
		v.SetFlags(FlagRST)
		v.SetWindow(9)
		v.SetChecksum(10)
		again, ok := ParseTCP(b)
		require.True(t, ok)
		require.Equal(t, []any{uint32(7), uint32(8), FlagRST, uint16(9), uint16(10)},
			[]any{again.Seq(), again.Ack(), again.Flags(), again.Window(), again.Checksum()})
	})
}

func TestParseTCPTakesASuperSegmentsHead(t *testing.T) {
	f := fields(v4, 65000)
	v, ok := ParseTCP(AppendTCP(nil, f))
	require.True(t, ok)
	require.Equal(t, 65000, v.PayloadLen())
	require.Empty(t, v.Payload())
}

func TestParseTCPRefuses(t *testing.T) {
	whole := func(ends [2]netip.AddrPort) []byte { return AppendTCP(nil, fields(ends, 0)) }
	change := func(ends [2]netip.AddrPort, off int, v ...byte) []byte {
		b := whole(ends)
		copy(b[off:], v)
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":                        nil,
		"version 5":                      change(v4, 0, 0x55),
		"UDP":                            change(v4, 9, 17),
		"first fragment":                 change(v4, 6, 0x20),
		"later fragment":                 change(v4, 6, 0, 1),
		"IHL below 5":                    change(v4, 0, 0x44),
		"IHL beyond the bytes":           change(v4, 0, 0x4f),
		"total length short":             change(v4, 2, 0, 51),
		"total length below header":      change(v4, 2, 0, 19),
		"data offset below 5":            change(v4, 32, 0x40),
		"data offset beyond":             change(v4, 32, 0xf0),
		"v4 cut":                         whole(v4)[:51],
		"v4 cut in TCP":                  whole(v4)[:30],
		"v6 cut":                         whole(v6)[:71],
		"v6 cut in IP":                   whole(v6)[:39],
		"v6 hop-by-hop options":          change(v6, 6, 0),
		"v6 fragment header":             change(v6, 6, 44),
		"v6 payload length short":        change(v6, 4, 0, 31),
		"v6 data offset beyond the rest": change(v6, 52, 0x90),
	} {
		_, ok := ParseTCP(b)
		require.False(t, ok, name)
	}
}

func TestAppendTCPPanicsOnCallersErrors(t *testing.T) {
	for name, change := range map[string]func(*Fields){
		"families differ":  func(f *Fields) { f.Dst = v6[1] },
		"no address":       func(f *Fields) { f.Src = netip.AddrPort{} },
		"options odd":      func(f *Fields) { f.Options = make([]byte, 3) },
		"options too long": func(f *Fields) { f.Options = make([]byte, 44) },
		"payload negative": func(f *Fields) { f.PayloadLen = -1 },
		"payload too long": func(f *Fields) { f.PayloadLen = 65535 - 51 },
	} {
		f := fields(v4, 0)
		change(f)
		require.Panics(t, func() { AppendTCP(nil, f) }, name)
	}
}

// slowSum is RFC 1071 section 4.1 by the letter.
func slowSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		sum += w
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestSum(t *testing.T) {
	for n := range 300 {
		b := randomBytes(n)
		require.Equal(t, slowSum(b), Fold(Sum(0, b)), "%d bytes", n)
		for i := range b {
			b[i] = 0xff // every addition carries
		}
		require.Equal(t, slowSum(b), Fold(Sum(0, b)), "%d bytes of ones", n)
	}
	b := randomBytes(1001)
	for cut := range 20 {
		require.Equal(t, slowSum(b), Fold(SumAt(Sum(0, b[:cut]), b[cut:], cut)), "cut at %d", cut)
	}
}

func TestChecksumUDP(t *testing.T) {
	families(t, func(t *testing.T, ends [2]netip.AddrPort) {
		payload := randomBytes(33)
		f := fields(ends, len(payload)-TCPMinLen+udpLen)
		f.Options = nil
		pkt := AppendTCP(nil, f)
		v, _ := ParseTCP(pkt)
		ipLen := v.IPLen()
		pkt = pkt[:ipLen+udpLen]
		if ends[0].Addr().Is4() {
			pkt[9] = protoUDP
			setIPv4Checksum(pkt[:ipLen])
		} else {
			pkt[6] = protoUDP
		}
		binary.BigEndian.PutUint16(pkt[ipLen+4:], uint16(udpLen+len(payload)))
		SetChecksumPartial(pkt)
		CompleteChecksum(pkt, [][]byte{payload})
		require.True(t, VerifyChecksum(pkt, [][]byte{payload}))
		require.True(t, VerifyChecksum(append(append(pkt, payload...), "padding"...), nil))
		payload[3]++
		require.False(t, VerifyChecksum(pkt, [][]byte{payload}))

		// Two bytes that make the sum come out as zero, which is written as ones.
		payload[0], payload[1] = 0, 0
		SetChecksumPartial(pkt)
		CompleteChecksum(pkt, [][]byte{payload})
		copy(payload, pkt[ipLen+6:ipLen+8])
		SetChecksumPartial(pkt)
		CompleteChecksum(pkt, [][]byte{payload})
		require.Equal(t, []byte{0xff, 0xff}, pkt[ipLen+6:ipLen+8])
		require.True(t, VerifyChecksum(pkt, [][]byte{payload}))

		pkt[ipLen+6], pkt[ipLen+7] = 0, 0
		require.Equal(t, ends[0].Addr().Is4(), VerifyChecksum(pkt, [][]byte{payload}), "no checksum")
	})
}

func TestSetChecksumPartialRestoresWhatAppendTCPWrote(t *testing.T) {
	families(t, func(t *testing.T, ends [2]netip.AddrPort) {
		want := AppendTCP(nil, fields(ends, 1000))
		got := bytes.Clone(want)
		v, _ := ParseTCP(got)
		v.SetChecksum(0xdead)
		SetChecksumPartial(got)
		require.Equal(t, want, got)
	})
}

func TestSplit(t *testing.T) {
	families(t, func(t *testing.T, ends [2]netip.AddrPort) {
		for _, c := range []struct{ total, inHead, gso, want int }{
			{0, 0, 1000, 1}, {1, 1, 1000, 1}, {1000, 0, 1000, 1}, {1001, 500, 1000, 2},
			{9999, 3, 1333, 8}, {64000, 0, 1448, 45}, {17, 17, 1, 17},
		} {
			t.Run(fmt.Sprint(c), func(t *testing.T) {
				f := fields(ends, c.total)
				f.Flags |= FlagFIN | FlagCWR
				payload := randomBytes(c.total)
				head := append(AppendTCP(nil, f), payload[:c.inHead]...)
				rest := payload[c.inHead:]
				var got []byte
				var n int
				err := Split(nil, head, [][]byte{rest[:len(rest)/3], {}, rest[len(rest)/3:]}, c.gso, func(seg []byte) error {
					nl, tcp := decode(t, seg)
					last := len(got)+len(tcp.Payload) == c.total
					require.Equal(t, f.Seq+uint32(len(got)), tcp.Seq)
					require.Equal(t, last, tcp.FIN)
					require.Equal(t, last, tcp.PSH)
					require.Equal(t, n == 0, tcp.CWR)
					require.True(t, tcp.ACK)
					require.True(t, last || len(tcp.Payload) == c.gso)
					if ip, ok := nl.(*layers.IPv4); ok {
						require.Equal(t, f.ID+uint16(n), ip.Id)
					}
					v, ok := ParseTCP(seg)
					require.True(t, ok)
					require.Equal(t, f.Options, v.Options())
					require.Equal(t, len(seg), v.TotalLen())
					got = append(got, tcp.Payload...)
					n++
					return nil
				})
				require.NoError(t, err)
				require.Equal(t, payload, append([]byte{}, got...))
				require.Equal(t, c.want, n)
			})
		}
	})
}

func TestSplitErrors(t *testing.T) {
	head := AppendTCP(nil, fields(v4, 10))
	payload := [][]byte{make([]byte, 10)}
	none := func([]byte) error { t.Fatal("emitted"); return nil }
	require.ErrorIs(t, Split(nil, head, payload, 0, none), ErrSegmentSize)
	require.ErrorIs(t, Split(nil, head, payload, 65535, none), ErrSegmentSize)
	require.ErrorIs(t, Split(nil, head[:30], payload, 100, none), ErrNotTCP)

	stop, calls := errors.New("stop"), 0
	require.ErrorIs(t, Split(nil, head, payload, 4, func([]byte) error { calls++; return stop }), stop)
	require.Equal(t, 1, calls)
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	f := fields(v6, 60000)
	payload := [][]byte{make([]byte, 30001), make([]byte, 29999)}
	buf, scratch := make([]byte, 0, 200), make([]byte, 2000)
	var bytesOut int
	require.Zero(t, testing.AllocsPerRun(20, func() {
		head := AppendTCP(buf, f)
		v, _ := ParseTCP(head)
		_ = v.Src()
		_ = Split(scratch, head, payload, 1428, func(seg []byte) error { bytesOut += len(seg); return nil })
		CompleteChecksum(head, payload)
	}))
}

func FuzzParseTCP(f *testing.F) {
	f.Add(AppendTCP(nil, fields(v4, 3)))
	f.Add(AppendTCP(nil, fields(v6, 60000)))
	f.Add(append(AppendTCP(nil, fields(v6, 3)), 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		VerifyChecksum(b, nil)
		v, ok := ParseTCP(b)
		if !ok {
			require.ErrorIs(t, Split(nil, b, nil, 100, nil), ErrNotTCP)
			return
		}
		require.LessOrEqual(t, v.HeaderLen(), len(b))
		require.LessOrEqual(t, v.HeaderLen(), v.TotalLen())
		require.Len(t, v.Header(), v.IPLen()+TCPMinLen+len(v.Options()))
		require.Equal(t, v.Src().Addr().Is6(), v.IsIPv6())
		n := 0
		require.NoError(t, Split(nil, b, nil, 100, func(seg []byte) error {
			require.True(t, VerifyChecksum(seg, nil))
			p, ok := ParseTCP(seg)
			require.True(t, ok)
			n += p.PayloadLen()
			return nil
		}))
		require.Equal(t, len(v.Payload()), n)
		CompleteChecksum(b, nil)
		SetChecksumPartial(b)
	})
}

func BenchmarkSum(b *testing.B) {
	data := randomBytes(64 << 10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		Sum(0, data)
	}
}

func BenchmarkSplit(b *testing.B) {
	head := AppendTCP(nil, fields(v4, 64000))
	payload := [][]byte{randomBytes(64000)}
	scratch := make([]byte, 2000)
	b.SetBytes(64000)
	for b.Loop() {
		_ = Split(scratch, head, payload, 1448, func([]byte) error { return nil })
	}
}
