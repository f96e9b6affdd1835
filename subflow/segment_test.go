package subflow

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// The endpoint believes that it never sent a byte: its numbers are moved on the way out, and
// the peer's acknowledgments on the way in.
func TestSequenceTranslation(t *testing.T) {
	for _, kind := range []Kind{Initial, Join} {
		for _, role := range []Role{Opener, Responder} {
			t.Run(fmt.Sprintf("kind %d role %d", kind, role), func(t *testing.T) {
				p := connected(t, kind, role)
				require.EqualValues(t, ourISS+1, p.acks(0).TCP.Seq(), "nothing was sent")
				p.place(1000)
				require.EqualValues(t, ourISS+1001, p.acks(0).TCP.Seq())
				view := p.data(0, "hello", p.mapping(0, 0, 5, ""))
				require.NotNil(t, view)
				require.EqualValues(t, ourISS+1, view.Ack())
				require.EqualValues(t, peerISS+1, view.Seq(), "the peer's numbers stay")
				out := p.acks(5)
				require.EqualValues(t, peerISS+6, out.TCP.Ack())
				require.EqualValues(t, ourISS+1001, out.TCP.Seq())
			})
		}
	}
}

func connected(t *testing.T, kind Kind, role Role) *script {
	t.Helper()
	if kind == Join {
		return joined(t, setup{role: role})
	}
	return opened(t, setup{role: role})
}

// FIN leaves after the data, with its number; the peer's ACK of it is shown to the endpoint as
// that of its own FIN.
func TestFinTranslation(t *testing.T) {
	p := opened(t, setup{})
	p.place(1000)
	fin := p.one(packet.FlagFIN|packet.FlagACK, ourISS+1, peerISS+1)
	require.EqualValues(t, ourISS+1001, fin.TCP.Seq())
	require.True(t, fin.has(packet.FlagFIN))
	require.Equal(t, Closing, p.f.State())
	require.True(t, p.f.FinSent())

	view := p.ack(0, 500, p.dataAck(500))
	require.NotNil(t, view)
	require.EqualValues(t, ourISS+1, view.Ack())
	require.False(t, p.f.FinAcked())
	again := p.one(packet.FlagFIN|packet.FlagACK, ourISS+1, peerISS+1)
	require.EqualValues(t, ourISS+1001, again.TCP.Seq(), "FIN again has its number")

	view = p.ack(0, 1001, p.dataAck(1000))
	require.NotNil(t, view)
	require.EqualValues(t, ourISS+2, view.Ack())
	require.True(t, p.f.FinAcked())
	require.True(t, p.f.Sender().Drained())
	require.EqualValues(t, ourISS+1002, p.one(packet.FlagACK, ourISS+2, peerISS+1).TCP.Seq())
	p.f.SendAck(p.now)
	require.EqualValues(t, ourISS+1002, p.last().TCP.Seq())

	require.Nil(t, p.ack(0, 1002, p.dataAck(1000)), "beyond the FIN: never sent")
}

// After the end of a subflow its segments are still translated: TIME_WAIT.
func TestTranslationAfterClose(t *testing.T) {
	p := opened(t, setup{})
	p.place(1000)
	p.one(packet.FlagFIN|packet.FlagACK, ourISS+1, peerISS+1)
	p.ack(0, 1001, p.dataAck(1000))
	p.f.Close()
	view := p.in(seg{flags: packet.FlagFIN | packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1002, window: 10})
	require.NotNil(t, view)
	require.EqualValues(t, ourISS+2, view.Ack())
	out := p.one(packet.FlagACK, ourISS+2, peerISS+2)
	require.EqualValues(t, ourISS+1002, out.TCP.Seq())
	require.EqualValues(t, peerISS+2, out.TCP.Ack())
	require.EqualValues(t, ourISS+1002, p.one(packet.FlagRST, ourISS+2, 0).TCP.Seq())
}

// What comes for a subflow that ended in its handshake does no harm.
func TestSegmentsAfterEarlyClose(t *testing.T) {
	for _, role := range []Role{Opener, Responder} {
		for _, kind := range []Kind{Initial, Join} {
			p := newScript(t, setup{role: role, kind: kind})
			if role == Opener {
				p.syn()
			} else {
				p.synIn(option.JoinSyn{Nonce: nonceB})
				p.synAck()
			}
			p.f.Close()
			p.synAckIn(capable(option.CapableSynAck, sha, keyB))
			p.synAckIn(p.joinSynAck())
			p.data(0, "hello")
			p.ack(0, 0, capable(option.CapableAck, sha, keyB, keyA))
			p.in(seg{flags: packet.FlagFIN | packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1})
			p.in(seg{flags: packet.FlagRST, seq: peerISS + 1})
			p.endpoint(packet.FlagACK, ourISS+1, peerISS+1)
			p.endpoint(packet.FlagRST|packet.FlagACK, ourISS+1, peerISS+1)
			if role == Opener {
				p.syn()
			} else {
				p.synAck()
			}
			require.Equal(t, Closed, p.f.State(), "it stays over")
			require.Zero(t, p.owner.up)
		}
	}
}

// All that leaves is stamped by one clock, learnt from the SYN, and echoes what the peer sent
// in order (RFC 7323 section 4.3).
func TestTimestampsFromOneClock(t *testing.T) {
	p := opened(t, setup{})
	start := p.now
	stamp := func(s sent) (val, ecr uint32) {
		t.Helper()
		ts, ok := s.Timestamps()
		require.True(t, ok)
		return ts.Val, ts.Ecr
	}
	base, _ := stamp(p.acks(0))
	p.wait(100 * time.Millisecond)
	p.data(0, "hello", p.mapping(0, 0, 5, ""))
	recent := uint32(peerClock + p.now.Sub(time.Unix(1000, 0))/time.Millisecond)
	for _, s := range p.place(100) {
		val, ecr := stamp(s)
		require.Equal(t, base+100, val)
		require.Equal(t, recent, ecr)
	}
	p.wait(50 * time.Millisecond)
	val, ecr := stamp(p.acks(5))
	require.Equal(t, base+uint32(p.now.Sub(start)/time.Millisecond), val)
	require.Equal(t, recent, ecr)
	p.f.SendAck(p.now)
	val2, _ := stamp(p.last())
	require.Equal(t, val, val2)
	val, _ = stamp(p.one(packet.FlagRST|packet.FlagACK, ourISS+1, peerISS+6))
	require.Equal(t, val2, val)

	p.in(seg{flags: packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1, window: 1, tsval: recent - 50})
	_, ecr = stamp(p.acks(5))
	require.GreaterOrEqual(t, int32(ecr-recent), int32(0), "an older timestamp is not taken")
	p.data(100, "ahead", p.mapping(100, 100, 5, ""))
	_, before := stamp(p.acks(5))
	p.wait(time.Second)
	p.data(110, "ahead", p.mapping(110, 110, 5, ""))
	_, ecr = stamp(p.acks(5))
	require.Equal(t, before, ecr, "a segment after a hole is not echoed")
}

// No timestamps, no SACK, no scaling when the peer has none.
func TestPlainOldPeer(t *testing.T) {
	p := opened(t, setup{plain: true})
	out := p.acks(0)
	_, ok := out.Timestamps()
	require.False(t, ok)
	require.EqualValues(t, epWindow, out.Window())
	require.Equal(t, 1460, p.f.mss(0))
	p.place(100)
	p.ack(0, 0, p.dataAck(0))
	require.Equal(t, peerWindow, p.owner.acks[len(p.owner.acks)-1].window)
}

// 8684-4-02, 8684-3-01, 8684-Q-05: the third duplicate ACK is a sign of congestion when it has no option but
// DSS, and none when it has another one.
func TestDuplicateAcks(t *testing.T) {
	for name, c := range map[string]struct {
		extra option.Option
		lost  bool
	}{
		"DSS only":    {nil, true},
		"ADD_ADDR":    {option.NewAddAddr(keyB, keyA, 9, netip.MustParseAddrPort("192.0.2.9:0")), false},
		"REMOVE_ADDR": {option.NewRemoveAddr(9), false},
		"MP_PRIO":     {option.Prio{}, false},
	} {
		p := opened(t, setup{plain: true})
		require.NotEmpty(t, p.place(400), name)
		p.wait(time.Second / 100)
		require.NotEmpty(t, p.place(400), name)
		p.wait(time.Second / 100)
		from := len(p.wire.out)
		for range 4 {
			opts := []option.Option{p.dataAck(0)}
			if c.extra != nil {
				opts = append(opts, c.extra)
			}
			p.ack(0, 0, opts...)
			p.run()
		}
		again := 0
		for _, s := range p.wire.out[from:] {
			if len(s.payload) > 0 && s.TCP.Seq() == ourISS+1 {
				again++
			}
		}
		require.Equal(t, c.lost, again == 1, "%s: sent again %d times", name, again)
	}
}

// A SYN without MSS means 536 bytes, over IPv6 1220 (RFC 9293 section 3.7.1).
func TestSynWithoutMSS(t *testing.T) {
	p := newScript(t, setup{role: Responder})
	p.in(seg{flags: packet.FlagSYN, seq: peerISS, window: 100, noMSS: true, opts: []option.Option{capable(option.CapableSyn, sha)}})
	p.synAck()
	p.ack(0, 0, capable(option.CapableAck, sha, keyB, keyA))
	require.Equal(t, 536-12-20, p.f.MSS())
}

// 8684-3-03 (RFC 5961 section 5): what acknowledges unsent data, or lies beyond the window,
// changes nothing, whatever options it carries.
func TestInvalidSegments(t *testing.T) {
	for name, s := range map[string]seg{
		"acknowledges unsent data": {flags: packet.FlagACK, seq: peerISS + 1, ack: ourISS + 102},
		"far beyond the window":    {flags: packet.FlagACK, seq: peerISS + 1 + 1<<28, ack: ourISS + 51},
		"no ACK":                   {flags: packet.FlagPSH, seq: peerISS + 1, ack: ourISS + 51},
	} {
		for _, payload := range []string{"", "hello"} {
			t.Run(name+payload, func(t *testing.T) {
				p := joined(t, setup{})
				p.place(100)
				p.owner.acks = nil
				s.window, s.payload = 999, payload
				d := p.mapping(int(s.seq-peerISS-1), 0, 5, "")
				d.HasAck, d.Ack = true, p.dataAck(50).Ack
				s.opts = []option.Option{option.Prio{Backup: true}, d}
				require.Nil(t, p.in(s))
				require.Empty(t, p.owner.acks)
				require.Empty(t, p.owner.options)
				require.Zero(t, p.f.maps.len())
				require.Zero(t, p.f.Sender().BytesAcked())
				require.False(t, p.f.RemoteBackup)
				require.Empty(t, p.owner.resets)
			})
		}
	}
}

// An ACK number from the past (before what is acknowledged) frees nothing and harms nothing.
func TestOldAck(t *testing.T) {
	p := opened(t, setup{})
	p.place(100)
	p.ack(0, 100, p.dataAck(100))
	p.ack(0, 50, p.dataAck(50))
	p.in(seg{flags: packet.FlagACK, seq: peerISS + 1, ack: 1<<31 + ourISS, window: 5})
	require.EqualValues(t, 100, p.f.Sender().BytesAcked())
	require.EqualValues(t, ourISS+101, p.acks(0).TCP.Seq())
}

// RFC 5961 section 3: a RST outside of the window is a guess and is dropped.
func TestResetOutOfWindow(t *testing.T) {
	p := opened(t, setup{})
	for _, at := range []int{-1, -1000, 1 << 24} {
		require.Nil(t, p.in(seg{flags: packet.FlagRST, seq: peerISS + 1 + uint32(at), opts: []option.Option{option.FastClose{ReceiverKey: keyA}}}))
		require.Nil(t, p.f.PeerReset())
		require.Empty(t, p.owner.options)
	}
	view := p.in(seg{flags: packet.FlagRST | packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1, opts: []option.Option{option.Reset{Reason: option.ReasonPerformance, Transient: true}}})
	require.NotNil(t, view)
	require.Equal(t, &ResetError{Remote: true, Reason: option.ReasonPerformance, Transient: true}, p.f.PeerReset())
}

// 8684-3.5: MP_FASTCLOSE rides on a RST that comes after data that is still on its way to be
// acknowledged; its key guards it.
func TestFastCloseAfterUnacknowledgedData(t *testing.T) {
	p := opened(t, setup{})
	p.mapped(0, 0, "hello")
	p.in(seg{flags: packet.FlagRST | packet.FlagACK, seq: peerISS + 6, ack: ourISS + 1, opts: []option.Option{option.FastClose{ReceiverKey: keyA}}})
	require.Equal(t, []option.Option{option.FastClose{ReceiverKey: keyA}}, p.owner.options)
}

// A RST of ours carries the right number, the reason, and no window.
func TestResetOut(t *testing.T) {
	p := opened(t, setup{})
	p.place(1000)
	p.f.SetResetOption(option.FastClose{ReceiverKey: keyB})
	rst := p.one(packet.FlagRST|packet.FlagACK, ourISS+1, peerISS+1)
	require.EqualValues(t, ourISS+1001, rst.TCP.Seq())
	fc, ok := rst.FastClose()
	require.True(t, ok)
	require.Equal(t, keyB, fc.ReceiverKey)
	require.Zero(t, rst.Window())
}

// The peer's FIN counts once the endpoint has taken it, and takes no DSN.
func TestPeerFin(t *testing.T) {
	p := opened(t, setup{})
	view := p.in(seg{flags: packet.FlagFIN | packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1, payload: "hello", opts: []option.Option{p.mapping(0, 0, 5, "")}})
	require.NotNil(t, view)
	require.False(t, p.f.PeerFinTaken())
	p.acks(5)
	require.False(t, p.f.PeerFinTaken(), "the FIN itself is not acknowledged yet")
	p.acks(6)
	require.True(t, p.f.PeerFinTaken())
	require.Equal(t, 1, p.owner.peerFins)
	p.requireStream(5)
	p.acks(6)
	require.Equal(t, 1, p.owner.peerFins)
}

// 8684-3.3.4-02: the right edge of the connection's window never moves left, whatever the
// owner's window does; no field claims more than the endpoint takes.
func TestWindowRightEdge(t *testing.T) {
	p := opened(t, setup{role: Responder})
	edge := p.shared.Advertised
	at := 0
	for i, w := range []int{1 << 18, 1 << 17, 100, 1 << 19, 5, 0, 1 << 20, 3} {
		payload := fmt.Sprint("payload ", i)
		p.mapped(at, at, payload)
		at += len(payload)
		p.owner.window = w
		out := p.acks(at)
		shown := p.shared.RcvNxt.Add(int(out.Window()) << ourScale)
		require.False(t, shown.Less(edge), "DATA_ACK + window fell")
		edge = shown
		require.LessOrEqual(t, int(out.Window())<<ourScale, epWindow<<ourScale)
	}
}

// Two subflows share the right edge.
func TestWindowRightEdgeAcrossSubflows(t *testing.T) {
	p := opened(t, setup{role: Responder})
	other := joined(t, setup{role: Responder})
	other.f.Shared, other.shared, other.f.Owner, other.owner = p.shared, p.shared, p.owner, p.owner
	p.owner.window = 1 << 18
	p.f.SendAck(p.now)
	p.owner.window = 1 << 10
	other.f.SendAck(p.now)
	require.EqualValues(t, 1<<18>>ourScale, other.last().Window())
}

// 8684-3-02: at most two ACKs in a row for options alone.
func TestSignalsInARow(t *testing.T) {
	p := opened(t, setup{})
	echo := option.AddAddr{Echo: true, ID: 3, Addr: netip.MustParseAddrPort("192.0.2.5:0")}
	require.True(t, p.f.SendOption(p.now, echo))
	require.True(t, p.f.SendOption(p.now, echo))
	require.False(t, p.f.SendOption(p.now, echo))
	p.place(10)
	require.True(t, p.f.SendOption(p.now, echo))

	// What the peer sends is no progress unless there is something new to acknowledge.
	require.True(t, p.f.SendOption(p.now, echo))
	p.ack(0, 0)
	require.False(t, p.f.SendOption(p.now, echo))
	p.ack(0, 10, p.dataAck(10))
	require.False(t, p.f.SendOption(p.now, echo))
	p.mapped(0, 0, "hello")
	p.acks(5)
	require.True(t, p.f.SendOption(p.now, echo))
	require.True(t, p.f.SendOption(p.now, echo))

	// Without news they go on when data that was under way must have come.
	require.False(t, p.f.SendOption(p.now, echo))
	p.wait(minSignalPause)
	require.True(t, p.f.SendOption(p.now, echo))
	require.True(t, p.f.SendOption(p.now, echo))
	require.False(t, p.f.SendOption(p.now, echo))
}

// Signals act on segments that are not from the past; the endpoint need not have acknowledged
// what came before.
func TestSignals(t *testing.T) {
	p := opened(t, setup{})
	add := option.NewAddAddr(keyB, keyA, 3, netip.MustParseAddrPort("192.0.2.5:0"))
	p.ack(0, 0, add)
	p.ack(0, 0, option.NewRemoveAddr(3, 9))
	p.ack(0, 0, option.Prio{Backup: true})
	require.True(t, p.f.RemoteBackup)
	p.ack(0, 0, option.Prio{})
	require.False(t, p.f.RemoteBackup)
	p.ack(0, 0, option.FastClose{ReceiverKey: keyA})
	p.ack(0, 0, option.Fail{DSN: 5})
	require.Len(t, p.owner.options, 6)
	require.Equal(t, add, p.owner.options[0])

	p.mapped(0, 0, "hello")
	p.ack(5, 0, option.NewRemoveAddr(4))
	require.Len(t, p.owner.options, 7)
	p.acks(5)
	p.ack(0, 0, option.NewRemoveAddr(5))
	require.Len(t, p.owner.options, 7, "an old segment")
}

// 8684-A-01, -02, -03: option space: whatever is to ride on a segment, 40 bytes are not exceeded (AppendTCP
// panics else), MPTCP's option is there, and SACK takes what is left.
func TestOptionSpace(t *testing.T) {
	for i := range 1 << 10 {
		bit := func(n int) bool { return i>>n&1 != 0 }
		plain, wide, checksum, third := bit(0), bit(1), bit(2), bit(3)
		kind, ipv6, data := Kind(i>>4&1), bit(5), bit(6)
		blocks := i >> 7 & 3
		if blocks == 3 {
			blocks = 4
		}
		name := fmt.Sprintf("no timestamps %v wide %v checksum %v third %v kind %d v6 %v blocks %d wide DSN %v", plain, wide, checksum, third, kind, ipv6, blocks, bit(9))
		p := newScript(t, setup{kind: kind, wantChecksum: checksum, sharedChecksum: checksum, ipv6: ipv6, plain: plain, keys: [2]option.Key{keyA, keyB}})
		p.syn()
		if kind == Join {
			p.synAckIn(p.joinSynAck())
		} else {
			p.synAckIn(capable(option.CapableSynAck, sha, keyB))
		}
		p.f.sackOK = true
		p.acks(0)
		if !third {
			p.ack(0, 0, p.dataAck(0))
		}
		p.shared.Wide, p.shared.WideDSN = wide, bit(9)
		var sack []option.SACKBlock
		for n := range blocks {
			sack = append(sack, option.SACKBlock{Left: seq.SSN(peerISS + 101 + 20*n), Right: seq.SSN(peerISS + 111 + 20*n)})
		}
		p.f.updateMSS()
		out := p.acks(0, option.AppendSACK(nil, sack)...)
		require.True(t, out.HasMPTCP(), name)
		_, stamped := out.Timestamps()
		require.Equal(t, !plain, stamped, name)
		room := 40 - len(out.Options())
		_, n := out.SACK()
		if n < len(sack) {
			used := 0
			if n > 0 {
				used = option.SACKSize(n)
			}
			require.Less(t, room+used, option.SACKSize(n+1), "%s: room for another block", name)
		}
		if data && (kind == Initial || !third) {
			for _, s := range p.place(3000) {
				require.True(t, s.HasMPTCP(), name)
				require.LessOrEqual(t, s.TotalLen(), 1500, name)
			}
		}
		p.shared.DataFin, p.shared.DataFinPending = p.buf.End(), true
		p.f.SendDataFin(p.now)
		p.f.SendProbe(p.now)
		for _, o := range []option.Option{
			option.NewAddAddr(keyA, keyB, 3, netip.MustParseAddrPort("[2001:db8::5]:8443")),
			option.AddAddr{Echo: true, ID: 9, Addr: netip.MustParseAddrPort("[2001:db8::5]:8443")},
		} {
			p.f.dups.n = 0
			require.True(t, p.f.SendOption(p.now, o))
			require.True(t, p.last().Has(option.SubtypeAddAddr), name)
		}
		p.f.failWith = option.Fail{DSN: 1}
		for _, o := range []option.Option{option.Reset{}, option.FastClose{}} {
			p.f.SetResetOption(o)
			out := p.one(packet.FlagRST|packet.FlagACK, ourISS+1, peerISS+1)
			require.True(t, out.Has(option.SubtypeFail), name)
			require.True(t, out.Has(o.Subtype()), name)
		}
	}
}

// What the sender calls a full segment fits the device with all that rides on it, and a
// super-segment is cut at that size.
func TestSegmentsFillTheMTU(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		p := opened(t, setup{gso: true, wantChecksum: checksum})
		out := p.place(14000)
		require.Len(t, out, 1)
		require.Positive(t, out[0].gso)
		require.LessOrEqual(t, out[0].HeaderLen()+out[0].gso, 1500)
		require.Greater(t, out[0].HeaderLen()+out[0].gso, 1500-8)
	}
}

// A window probe has an old number and is a pure ACK, so that the peer answers.
func TestProbe(t *testing.T) {
	p := opened(t, setup{})
	p.place(10)
	probe := func() uint32 {
		p.f.SendProbe(p.now)
		require.Empty(t, p.last().payload)
		require.Equal(t, packet.FlagACK, p.last().Flags())
		return uint32(p.last().TCP.Seq())
	}
	require.EqualValues(t, ourISS, probe(), "the peer may not have the bytes in flight, and only what it has is old")
	p.ack(0, 10)
	require.EqualValues(t, ourISS+10, probe())
}

// The SACK blocks of the peer are for the sender, not for the endpoint.
func TestSACKIsHidden(t *testing.T) {
	p := opened(t, setup{})
	out := p.place(5000)
	for len(out) < 3 {
		p.wait(2 * time.Millisecond)
		out = append(out, p.run()...)
	}
	left := seq.SSN(out[1].TCP.Seq())
	right := left.Add(len(out[1].payload))
	view := p.in(seg{
		flags: packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1, window: peerWindow, payload: "hello",
		opts: []option.Option{p.mapping(0, 0, 5, "")}, sack: []option.SACKBlock{{Left: left, Right: right}},
	})
	require.NotNil(t, view)
	set := option.Parse(view.Options(), view.Flags())
	_, n := set.SACK()
	require.Zero(t, n)
	require.Equal(t, right.Sub(left), p.f.Sender().board.sackedBytes)
}

// RFC 7323 section 4.3, 8684-3-03: the timestamp of a segment that TCP does not accept, or of
// one that is old, is not echoed; nor does such a segment count as a sign of life.
func TestTimestampsOfSegmentsOutOfPlace(t *testing.T) {
	const future, past = 1 << 30, 0xf0000000
	for name, s := range map[string]seg{
		"beyond the window":        {seq: peerISS + 1 + 1<<28, ack: ourISS + 1},
		"before the window":        {seq: past, ack: ourISS + 1},
		"acknowledges unsent data": {seq: peerISS + 6, ack: ourISS + 1000},
		"acknowledges the past":    {seq: peerISS + 6, ack: past},
		"old":                      {seq: peerISS + 2, ack: ourISS + 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := opened(t, setup{role: Responder})
			p.in(seg{flags: packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1, payload: "hello", opts: []option.Option{p.mapping(0, 0, 5, "hello")}})
			p.endpoint(packet.FlagACK, ourISS+1, peerISS+6)
			echoed, alive := p.f.tsRecent, p.f.LastReceived()
			p.wait(time.Second)
			s.flags, s.tsval = packet.FlagACK, p.f.tsRecent+future
			p.in(s)
			require.Equal(t, echoed, p.f.tsRecent)
			require.Equal(t, name != "old", alive.Equal(p.f.LastReceived()))
		})
	}
}
