package simnet_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

func TestDropNth(t *testing.T) {
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		l.link.There.Through(
			simnet.DropNth(2, nil), // number 1
			simnet.DropNth(2, func(b []byte) bool { return number(b)%2 == 0 }), // of 0, 2, 4, …
			simnet.DropIf(func(b []byte) bool { return number(b) == 7 }),
		)
		l.send(8, 100)
		sleep(1)
		require.Equal(t, []int{0, 3, 4, 5, 6}, l.numbers())
		l.link.There.Clear()
		l.got = nil
		l.send(8, 100)
		sleep(1)
		require.Equal(t, count(8), l.numbers())
	})
}

func options(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestStripMPTCP(t *testing.T) {
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		l.link.There.Through(simnet.StripMPTCP(simnet.HasPayload))
		f := packet.Fields{Src: addrA, Dst: addrB, Flags: packet.FlagSYN, Options: options(t, "020405b41e040001")}
		l.write(build(f, nil))
		l.write(build(f, []byte("data")))
		sleep(1)
		require.Len(t, l.got, 2)
		for i, want := range []string{"020405b41e040001", "020405b401010101"} {
			p, _ := packet.ParseTCP(l.got[i].bytes)
			require.Equal(t, options(t, want), p.Options())
			require.True(t, packet.VerifyChecksum(l.got[i].bytes, nil))
		}
	})
}

func TestMalformedOptionsAreLeftAlone(t *testing.T) {
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		l.link.There.Through(simnet.StripMPTCP(nil))
		for _, s := range []string{"1e000000", "1e010000", "1e050000", "0101011e", "001e0400"} {
			l.write(build(packet.Fields{Src: addrA, Dst: addrB, Options: options(t, s)}, nil))
			sleep(1)
			p, _ := packet.ParseTCP(l.got[len(l.got)-1].bytes)
			require.Equal(t, options(t, s), p.Options())
		}
		l.write([]byte("no packet at all"))
		sleep(1)
		require.Len(t, l.got, 6)
	})
}

func TestSplitAndCoalesce(t *testing.T) {
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		data := bytes.Repeat([]byte("0123456789"), 100)
		l.link.There.Through(simnet.SplitSegments(300), simnet.CoalesceSegments(700, ms(3)))
		l.write(build(packet.Fields{Src: addrA, Dst: addrB, Seq: 5, Flags: packet.FlagACK | packet.FlagPSH}, data))
		sleep(time.Second)
		require.Equal(t, []int{5, 605}, l.numbers())
		require.Equal(t, []time.Duration{0, ms(3)}, l.times())
		var got []byte
		for _, a := range l.got {
			require.True(t, packet.VerifyChecksum(a.bytes, nil))
			got = append(got, a.bytes[40:]...)
		}
		require.Equal(t, data, got)
		last, _ := packet.ParseTCP(l.got[1].bytes)
		require.Equal(t, packet.FlagACK|packet.FlagPSH, last.Flags())
	})
}

func TestShiftSequence(t *testing.T) {
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		x := simnet.ShiftSequence{By: 1000, ByBack: 1 << 31}
		l.link.There.Through(x.There)
		l.write(build(packet.Fields{
			Src: addrA, Dst: addrB, Seq: ^uint32(0), Ack: 5, Flags: packet.FlagACK, Options: options(t, "0101050a8000000780000009"),
		}, nil))
		sleep(1)
		p, _ := packet.ParseTCP(l.got[0].bytes)
		require.EqualValues(t, 999, p.Seq())
		require.Equal(t, uint32(1<<31+5), p.Ack())
		require.Equal(t, options(t, "0101050a0000000700000009"), p.Options())
		require.True(t, packet.VerifyChecksum(l.got[0].bytes, nil))
	})
}

func TestNAT(t *testing.T) {
	for _, outside := range []string{"192.0.2.1", "2001:db8::1"} {
		onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
			a, b := addrA, addrB
			if !netip.MustParseAddr(outside).Is4() {
				a, b = netip.MustParseAddrPort("[fd00::1]:1000"), netip.MustParseAddrPort("[fd00::2]:2000")
			}
			nat := simnet.NewNAT(netip.MustParseAddr(outside))
			l.link.There.Through(nat.Out)
			l.link.Back.Through(nat.In)
			back := newLine(t, l.w, &simnet.Link{A: l.link.B, B: l.link.A})
			send := func() packet.TCP {
				l.write(build(packet.Fields{Src: a, Dst: b}, nil))
				sleep(1)
				p, _ := packet.ParseTCP(l.got[len(l.got)-1].bytes)
				require.True(t, packet.VerifyChecksum(l.got[len(l.got)-1].bytes, nil))
				return p
			}
			first := send()
			require.Equal(t, netip.MustParseAddr(outside), first.Src().Addr())
			require.Equal(t, b, first.Dst())
			require.Equal(t, first.Src(), send().Src(), "the same connection")

			back.write(build(packet.Fields{Src: b, Dst: first.Src()}, nil))
			back.write(build(packet.Fields{Src: netip.AddrPortFrom(b.Addr(), 1), Dst: first.Src()}, nil)) // unasked
			back.write(build(packet.Fields{Src: b, Dst: netip.AddrPortFrom(first.Src().Addr(), 1)}, nil))
			sleep(1)
			require.Len(t, back.got, 1)
			p, _ := packet.ParseTCP(back.got[0].bytes)
			require.Equal(t, a, p.Dst())

			nat.Forget()
			require.NotEqual(t, first.Src(), send().Src())
		})
	}
}

func TestAckProxyAcknowledgesAndRepeats(t *testing.T) {
	onLine(t, simnet.Shape{Delay: ms(10)}, func(t *testing.T, l *line) {
		var proxy simnet.AckProxy
		lost := simnet.DropNth(1, func(b []byte) bool { return simnet.HasPayload(b) && number(b) == 12 })
		l.link.There.Through(proxy.Data, lost)
		l.link.Back.Through(proxy.Acks)
		back := newLine(t, l.w, &simnet.Link{A: l.link.B, B: l.link.A})
		seg := func(line *line, f packet.Fields, payload string) {
			f.Src, f.Dst = addrA, addrB
			if line == back {
				f.Src, f.Dst = addrB, addrA
			}
			f.Flags |= packet.FlagACK
			require.NoError(t, line.link.A.Write([]tun.Packet{{Head: build(f, []byte(payload))}}))
		}
		seg(l, packet.Fields{Seq: 9, Flags: packet.FlagSYN}, "")
		seg(back, packet.Fields{Seq: 99, Ack: 10, Flags: packet.FlagSYN, Window: 500}, "")
		sleep(ms(20))
		back.got, l.got = nil, nil
		seg(l, packet.Fields{Seq: 10, Ack: 100}, "01")
		seg(l, packet.Fields{Seq: 12, Ack: 100}, "23")
		seg(l, packet.Fields{Seq: 20, Ack: 100}, "beyond a hole")
		sleep(ms(20))
		var acks []uint32
		for _, a := range back.got {
			p, _ := packet.ParseTCP(a.bytes)
			require.EqualValues(t, 510-p.Ack(), p.Window(), "less what the proxy holds")
			require.EqualValues(t, 100, p.Seq())
			require.True(t, packet.VerifyChecksum(a.bytes, nil))
			acks = append(acks, p.Ack())
		}
		require.Equal(t, []uint32{12, 14}, acks)
		require.Equal(t, []int{10, 20}, l.numbers())
		seg(back, packet.Fields{Seq: 100, Ack: 12, Window: 400}, "")
		sleep(ms(20))
		p, _ := packet.ParseTCP(back.got[2].bytes)
		require.EqualValues(t, 14, p.Ack(), "what was promised is not taken back")
		seg(l, packet.Fields{Seq: 14, Ack: 105}, "")
		sleep(time.Second)
		require.Contains(t, l.numbers()[2:], 12, "sent again")
		again, _ := packet.ParseTCP(l.got[len(l.got)-1].bytes)
		require.EqualValues(t, 12, again.Seq())
		require.EqualValues(t, 105, again.Ack(), "with the newest acknowledgment of the other direction")
		require.True(t, packet.VerifyChecksum(l.got[len(l.got)-1].bytes, nil))
		seg(back, packet.Fields{Seq: 100, Ack: 14, Window: 400}, "")
		sleep(time.Second)
		n := len(l.got)
		sleep(time.Minute)
		require.Len(t, l.got, n, "done")
	})
}
