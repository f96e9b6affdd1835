package subflow

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.1-02, -06, -10, -11, -20, -25: what the opener says, and that flag A of either SYN
// makes checksums.
func TestOpenerHandshake(t *testing.T) {
	for _, ours := range []bool{false, true} {
		for _, theirs := range []bool{false, true} {
			t.Run(fmt.Sprintf("checksum %v %v", ours, theirs), func(t *testing.T) {
				p := newScript(t, setup{wantChecksum: ours})
				c, ok := p.syn().Capable()
				require.True(t, ok)
				require.Equal(t, option.CapableSyn, c.Form)
				require.EqualValues(t, 1, c.Version)
				require.Equal(t, flagsOf(ours), c.Flags)

				require.NotNil(t, p.synAckIn(capable(option.CapableSynAck, flagsOf(theirs), keyB)))
				require.Equal(t, MPTCP, p.shared.Mode)
				require.Equal(t, ours || theirs, p.shared.Checksum)
				require.Equal(t, keyB.IDSN().Add(1), p.shared.RcvNxt)
				require.Zero(t, p.owner.usable, "not before the third packet")

				c, ok = p.acks(0).Capable()
				require.True(t, ok)
				require.Equal(t, option.CapableAck, c.Form)
				require.Equal(t, keyA, c.SenderKey)
				require.Equal(t, keyB, c.ReceiverKey)
				require.Equal(t, flagsOf(ours || theirs), c.Flags, "the result shows in A")
				require.Equal(t, 1, p.owner.up)
				require.Equal(t, 1, p.owner.usable)
				require.Equal(t, 20*time.Millisecond, p.f.HandshakeRTT())
				require.Equal(t, peerWindow, p.f.PeerWindow(), "the window of a SYN is not scaled")
			})
		}
	}
}

func flagsOf(checksum bool) option.CapableFlags {
	if checksum {
		return sha | option.ChecksumRequired
	}
	return sha
}

// 8684-3.1-03, -20, -27, -29: what the responder says.
func TestResponderHandshake(t *testing.T) {
	for _, ours := range []bool{false, true} {
		for _, theirs := range []bool{false, true} {
			t.Run(fmt.Sprintf("checksum %v %v", ours, theirs), func(t *testing.T) {
				p := newScript(t, setup{role: Responder, wantChecksum: ours})
				p.synIn(capable(option.CapableSyn, flagsOf(theirs)))
				out := p.synAck()
				c, ok := out.Capable()
				require.True(t, ok)
				require.Equal(t, option.CapableSynAck, c.Form)
				require.EqualValues(t, 1, c.Version)
				require.Equal(t, keyA, c.SenderKey)
				require.Equal(t, flagsOf(ours || theirs), c.Flags)

				p.wait(30 * time.Millisecond)
				require.NotNil(t, p.ack(0, 0, capable(option.CapableAck, flagsOf(ours || theirs), keyB, keyA)))
				require.Equal(t, MPTCP, p.shared.Mode)
				require.Equal(t, ours || theirs, p.shared.Checksum)
				require.Equal(t, keyB.IDSN().Add(1), p.shared.RcvNxt)
				require.Equal(t, 1, p.owner.usable)
				require.Equal(t, 30*time.Millisecond, p.f.HandshakeRTT())
			})
		}
	}
}

// 8684-3.1-03, -17, -23, -26, -28, -31, -32: what the responder does with odd openings.
func TestResponderOddCapable(t *testing.T) {
	with := func(change func(*option.MPCapable)) option.MPCapable {
		c := capable(option.CapableSyn, sha)
		change(&c)
		return c
	}
	third := func(change func(*option.MPCapable)) option.MPCapable {
		c := capable(option.CapableAck, sha, keyB, keyA)
		change(&c)
		return c
	}
	same := func(*option.MPCapable) {}
	for _, tc := range []struct {
		name       string
		syn, third []option.Option
		answered   bool // MP_CAPABLE in the SYN/ACK
		mptcp      bool
	}{
		{"good", []option.Option{with(same)}, []option.Option{third(same)}, true, true},
		{"no option in the SYN", nil, nil, false, false},
		{"option only in the third packet", nil, []option.Option{third(same)}, false, false},
		{"no option in the third packet", []option.Option{with(same)}, nil, true, false},
		{"version 2", []option.Option{with(func(c *option.MPCapable) { c.Version = 2 })}, []option.Option{third(same)}, true, true},
		{"version 0", []option.Option{with(func(c *option.MPCapable) { c.Version = 0 })}, nil, false, false},
		{"B in the SYN", []option.Option{with(func(c *option.MPCapable) { c.Flags |= option.Extensible })}, nil, false, false},
		{"no algorithm", []option.Option{with(func(c *option.MPCapable) { c.Flags = option.ChecksumRequired })}, nil, false, false},
		{"unknown algorithm", []option.Option{with(func(c *option.MPCapable) { c.Flags = 0x10 })}, nil, false, false},
		{"all algorithms", []option.Option{with(func(c *option.MPCapable) { c.Flags = 0x1f })}, []option.Option{third(same)}, true, true},
		{"mangled echo", []option.Option{with(same)}, []option.Option{third(func(c *option.MPCapable) { c.ReceiverKey = keyB })}, true, false},
		{"B in the third packet", []option.Option{with(same)}, []option.Option{third(func(c *option.MPCapable) { c.Flags |= option.Extensible })}, true, false},
		{"version 0 in the third packet", []option.Option{with(same)}, []option.Option{third(func(c *option.MPCapable) { c.Version = 0 })}, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newScript(t, setup{role: Responder})
			p.synIn(tc.syn...)
			out := p.synAck()
			c, ok := out.Capable()
			require.Equal(t, tc.answered, ok)
			require.Equal(t, tc.answered, out.HasMPTCP())
			if ok {
				require.Equal(t, sha, c.Flags&option.AlgorithmMask, "exactly one bit comes back")
				require.EqualValues(t, 1, c.Version)
			}
			require.NotNil(t, p.ack(0, 0, tc.third...))
			require.Equal(t, tc.mptcp, p.shared.Mode == MPTCP, p.shared.FallbackReason)
			require.Equal(t, Established, p.f.State(), "the connection goes on in any case")
			if !tc.mptcp {
				require.Equal(t, 1, p.owner.fallbacks)
				require.NotEmpty(t, p.shared.FallbackReason)
				p.data(0, "hello")
				out := p.acks(5)
				require.False(t, out.HasMPTCP(), "no option any more")
				require.Equal(t, 5, p.owner.bytes)
			}
		})
	}
}

// 8684-3.1-23, -30, 8684-Q-24: what the opener does with odd answers.
func TestOpenerOddSynAck(t *testing.T) {
	with := func(change func(*option.MPCapable)) []option.Option {
		c := capable(option.CapableSynAck, sha, keyB)
		change(&c)
		return []option.Option{c}
	}
	for _, tc := range []struct {
		name  string
		opts  []option.Option
		mptcp bool
	}{
		{"good", with(func(*option.MPCapable) {}), true},
		{"no option", nil, false},
		{"B", with(func(c *option.MPCapable) { c.Flags |= option.Extensible }), false},
		{"no H", with(func(c *option.MPCapable) { c.Flags = option.ChecksumRequired }), false},
		{"version 0", with(func(c *option.MPCapable) { c.Version = 0 }), false},
		{"version 2", with(func(c *option.MPCapable) { c.Version = 2 }), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newScript(t, setup{})
			p.syn()
			require.NotNil(t, p.synAckIn(tc.opts...))
			require.Equal(t, tc.mptcp, p.shared.Mode == MPTCP)
			third := p.acks(0)
			require.Equal(t, tc.mptcp, third.HasMPTCP())
			for _, s := range p.place(100) {
				require.Equal(t, tc.mptcp, s.HasMPTCP())
				require.Len(t, s.payload, 100)
			}
		})
	}
}

// The first data of a responder shows a window, though the endpoint has sent no ACK yet.
func TestResponderFirstDataHasWindow(t *testing.T) {
	p := newScript(t, setup{role: Responder})
	p.synIn(capable(option.CapableSyn, sha))
	p.synAck()
	p.ack(0, 0, capable(option.CapableAck, sha, keyB, keyA))
	for _, s := range p.place(10) {
		require.NotZero(t, s.Window())
	}
}

// 8684-3.1-24: flag C is kept for the path manager.
func TestDenyJoin(t *testing.T) {
	p := newScript(t, setup{})
	p.syn()
	p.synAckIn(capable(option.CapableSynAck, sha|option.DenyJoinInitial, keyB))
	require.True(t, p.shared.RemoteDeniesJoin)
	p = newScript(t, setup{role: Responder})
	p.synIn(capable(option.CapableSyn, sha|option.DenyJoinInitial))
	require.True(t, p.shared.RemoteDeniesJoin)
}

// 8684-3.1-33: after three SYNs with MP_CAPABLE a plain one.
func TestOpenerGivesMPTCPUp(t *testing.T) {
	p := newScript(t, setup{})
	for range 3 {
		out := p.syn()
		require.True(t, out.Has(option.SubtypeCapable))
		p.wait(time.Second)
	}
	out := p.syn()
	require.False(t, out.HasMPTCP())
	require.Equal(t, Plain, p.shared.Mode)
	require.NotNil(t, p.synAckIn(capable(option.CapableSynAck, sha, keyB)), "a late answer")
	out = p.acks(0)
	require.False(t, out.HasMPTCP())
	require.Zero(t, p.f.HandshakeRTT(), "Karn: which SYN was answered is not known")
}

// 8684-3.1-11, -12, 8684-Q-08: the third packet's option is repeated until a DSS came.
func TestOpenerRepeatsThirdPacket(t *testing.T) {
	p := newScript(t, setup{})
	p.syn()
	p.synAckIn(capable(option.CapableSynAck, sha, keyB))
	for range 3 {
		out := p.acks(0)
		c, ok := out.Capable()
		require.True(t, ok)
		require.Equal(t, option.CapableAck, c.Form)
	}
	p.mapped(0, 0, "hello")
	out := p.acks(5)
	require.False(t, out.Has(option.SubtypeCapable))
	d, ok := out.DSS()
	require.True(t, ok)
	require.Equal(t, uint32(keyB.IDSN().Add(6)), uint32(d.Ack))
}

// A SYN/ACK again, because the third packet was lost: the endpoint answers and the answer
// carries the option again.
func TestOpenerSynAckAgain(t *testing.T) {
	p := newScript(t, setup{})
	p.syn()
	p.synAckIn(capable(option.CapableSynAck, sha, keyB))
	p.acks(0)
	p.place(100)
	view := p.synAckIn(capable(option.CapableSynAck, sha, keyB))
	require.NotNil(t, view)
	require.EqualValues(t, ourISS+1, view.Ack())
	out := p.acks(0)
	require.EqualValues(t, ourISS+101, out.Seq(), "after the data that was sent")
	require.True(t, out.Has(option.SubtypeCapable))
}

// 8684-3.1-12, 8684-W-22: the first data of the client carries MP_CAPABLE in place of a DSS,
// also when it is sent again; later data a DSS.
func TestOpenerFirstData(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		t.Run(fmt.Sprintf("checksum %v", checksum), func(t *testing.T) {
			p := newScript(t, setup{wantChecksum: checksum})
			p.syn()
			p.synAckIn(capable(option.CapableSynAck, sha, keyB))
			p.acks(0)
			check := func(s sent) {
				t.Helper()
				c, ok := s.Capable()
				require.True(t, ok)
				require.Equal(t, keyA, c.SenderKey)
				require.Equal(t, keyB, c.ReceiverKey)
				require.EqualValues(t, 100, c.DataLen)
				require.EqualValues(t, ourISS+1, s.TCP.Seq())
				require.Len(t, s.payload, 100)
				require.Equal(t, checksum, c.Form == option.CapableDataChecksum)
				if checksum {
					want := option.DSSChecksum(uint64(keyA.IDSN().Add(1)), 1, 100, option.SumBytes(s.payload))
					require.Equal(t, want, c.Checksum)
				}
			}
			out := p.place(100)
			require.Len(t, out, 1)
			check(out[0])
			p.wait(20 * time.Millisecond)
			second := p.place(50)
			require.Len(t, second, 1)
			d, ok := second[0].DSS()
			require.True(t, ok)
			require.EqualValues(t, 101, d.SSN)
			require.EqualValues(t, uint32(keyA.IDSN().Add(101)), uint32(d.DSN))

			found := false
			for range 5 {
				p.wait(3 * time.Second)
				for _, s := range p.run() {
					if s.TCP.Seq() == ourISS+1 {
						check(s)
						found = true
					}
				}
			}
			require.True(t, found, "sent again")

			require.Nil(t, p.ack(0, 150, p.dataAck(150)))
			p.wait(time.Millisecond)
			out = p.place(10)
			require.Len(t, out, 1)
			require.True(t, out[0].Has(option.SubtypeDSS))
		})
	}
}

// 8684-3.1-13, -16, -32: MP_CAPABLE with data as the third packet, as first data after it,
// and again.
func TestResponderCapableWithData(t *testing.T) {
	data := func(payload string, checksum bool) option.MPCapable {
		c := capable(option.CapableData, sha, keyB, keyA)
		c.DataLen = uint16(len(payload))
		if checksum {
			c.Form = option.CapableDataChecksum
			c.Checksum = option.DSSChecksum(uint64(keyB.IDSN().Add(1)), 1, c.DataLen, option.SumBytes([]byte(payload)))
		}
		return c
	}
	for _, checksum := range []bool{false, true} {
		for _, bareThird := range []bool{false, true} {
			t.Run(fmt.Sprintf("checksum %v, third packet first %v", checksum, bareThird), func(t *testing.T) {
				p := newScript(t, setup{role: Responder, wantChecksum: checksum})
				p.synIn(capable(option.CapableSyn, sha))
				p.synAck()
				if bareThird {
					p.ack(0, 0, capable(option.CapableAck, sha, keyB, keyA))
					require.False(t, p.shared.PeerConfirmed)
				}
				require.NotNil(t, p.data(0, "hello", data("hello", checksum)))
				require.Equal(t, MPTCP, p.shared.Mode)
				require.True(t, p.shared.PeerConfirmed)
				require.NotNil(t, p.data(0, "hello", data("hello", checksum)), "once more is harmless")
				d, ok := p.acks(5).DSS()
				require.True(t, ok)
				require.Equal(t, keyB.IDSN().Add(6), d.WideAck(p.shared.RcvNxt))
				require.True(t, d.Ack64, "MP_CAPABLE stands for a 64-bit DSN (8684-W-22)")
				require.Empty(t, p.owner.resets)
			})
		}
	}
}

// 8684-3.7-01: no mapping on the first data: plain TCP, and the bytes are kept.
func TestFirstDataStripped(t *testing.T) {
	p := newScript(t, setup{role: Responder})
	p.synIn(capable(option.CapableSyn, sha))
	p.synAck()
	p.ack(0, 0, capable(option.CapableAck, sha, keyB, keyA))
	require.NotNil(t, p.data(0, "hello"))
	out := p.acks(5)
	require.Equal(t, Plain, p.shared.Mode)
	require.False(t, out.HasMPTCP())
	require.Equal(t, 5, p.owner.bytes)
}

// 8684-3.7-04: our data acknowledged without DATA_ACK, nothing confirmed before: plain TCP.
func TestDataAckStripped(t *testing.T) {
	p := newScript(t, setup{})
	p.syn()
	p.synAckIn(capable(option.CapableSynAck, sha, keyB))
	p.acks(0)
	p.place(100)
	p.ack(0, 100)
	require.Equal(t, Plain, p.shared.Mode)
	require.NotEmpty(t, p.owner.acks)
	last := p.owner.acks[len(p.owner.acks)-1]
	require.Equal(t, keyA.IDSN().Add(101), last.ack, "the ACK counts for the data")
	told := p.place(10)
	require.Len(t, told, 1)
	d, ok := told[0].DSS()
	require.True(t, ok && d.Infinite() && !d.HasAck, "new data tells the peer (8684-3.7-11)")
}

// 8684-3.1-17: a SYN/ACK that acknowledges something else is left to the endpoint.
func TestOpenerBadSynAck(t *testing.T) {
	p := newScript(t, setup{})
	p.syn()
	view := p.in(seg{flags: packet.FlagSYN | packet.FlagACK, seq: peerISS, ack: ourISS + 2, opts: []option.Option{capable(option.CapableSynAck, sha, keyB)}})
	require.NotNil(t, view)
	require.Equal(t, SynSent, p.f.State())
	require.Equal(t, Negotiating, p.shared.Mode)
}

// Data that overtakes the SYN/ACK or the third packet is dropped; it comes again.
func TestDataInHandshake(t *testing.T) {
	p := newScript(t, setup{role: Responder})
	p.synIn(capable(option.CapableSyn, sha))
	p.synAck()
	require.Nil(t, p.data(100, "late", p.mapping(100, 100, 4, "late")))
	require.Equal(t, SynReceived, p.f.State())
	require.Nil(t, p.in(seg{flags: packet.FlagACK, seq: peerISS + 1, ack: ourISS, opts: []option.Option{capable(option.CapableAck, sha, keyB, keyA)}}))
	require.Equal(t, SynReceived, p.f.State())

	p = newScript(t, setup{})
	p.syn()
	p.synAckIn(capable(option.CapableSynAck, sha, keyB))
	require.Nil(t, p.mapped(0, 0, "early"))
}

// SYN cookies leave TCP's options out of the SYN/ACK; what is not there is not in use.
func TestSynAckWithoutOptions(t *testing.T) {
	p := newScript(t, setup{role: Responder})
	p.synIn(capable(option.CapableSyn, sha))
	out := p.one(packet.FlagSYN|packet.FlagACK, ourISS, peerISS+1, option.AppendMSS(nil, 1460)...)
	require.True(t, out.Has(option.SubtypeCapable))
	p.in(seg{flags: packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1, window: 5000, bare: true, opts: []option.Option{capable(option.CapableAck, sha, keyB, keyA)}})
	ack := p.acks(0)
	_, ok := ack.Timestamps()
	require.False(t, ok)
	require.EqualValues(t, epWindow, ack.Window(), "not scaled")
}

// 8684-3.2-02, -04, -11, -15: T-J1 on the wire, in both roles.
func TestJoinVectors(t *testing.T) {
	p := newScript(t, setup{kind: Join})
	j, ok := p.syn().JoinSyn()
	require.True(t, ok)
	require.Equal(t, option.JoinSyn{ID: 2, Token: 0xccad45ac, Nonce: nonceA}, j)
	require.NotNil(t, p.synAckIn(p.joinSynAck()))
	require.EqualValues(t, 7, p.f.RemoteID)
	third := p.acks(0)
	a, ok := third.JoinAck()
	require.True(t, ok)
	require.Equal(t, "MP_JOIN ACK hmac=53037f2899475529844115fd07e665d23d3554fb", a.String())
	require.Equal(t, PreEstablished, p.f.State())

	p = newScript(t, setup{kind: Join, role: Responder, keys: [2]option.Key{keyB, keyA}})
	p.f.LocalNonce = nonceB
	p.synIn(option.JoinSyn{ID: 2, Backup: true, Token: 0xccad45ac, Nonce: nonceA})
	require.True(t, p.f.RemoteBackup)
	out := p.synAck()
	s, ok := out.JoinSynAck()
	require.True(t, ok)
	require.Equal(t, [8]byte{0x86, 0x4b, 0x40, 0x42, 0x87, 0x62, 0xfd, 0x06}, s.HMAC)
	require.Equal(t, nonceB, s.Nonce)
	n := len(p.wire.out)
	require.NotNil(t, p.ack(0, 0, a))
	require.Equal(t, Established, p.f.State())
	require.Len(t, p.wire.out[n:], 1, "the fourth packet")
	require.Equal(t, packet.FlagACK, p.last().Flags())
	require.True(t, p.last().Has(option.SubtypeDSS))
	require.Empty(t, p.last().payload)
	require.NotZero(t, p.last().Window(), "what the SYN/ACK has shown")
}

// 8684-3.2-07: our own wish for a backup goes out in both roles.
func TestJoinBackupFlag(t *testing.T) {
	p := newScript(t, setup{kind: Join, backup: true})
	j, _ := p.syn().JoinSyn()
	require.True(t, j.Backup)
	p = newScript(t, setup{kind: Join, role: Responder, backup: true})
	p.synIn(option.JoinSyn{ID: 7, Token: keyA.Token(), Nonce: nonceB})
	s, _ := p.synAck().JoinSynAck()
	require.True(t, s.Backup)
}

// 8684-3.2-12, -13: a bad SYN/ACK ends a join with RST and reason 1.
func TestJoinBadSynAck(t *testing.T) {
	p := newScript(t, setup{kind: Join})
	bad := p.joinSynAck()
	bad.HMAC[3] ^= 1
	for name, opts := range map[string][]option.Option{
		"wrong HMAC": {bad}, "no option": nil, "MP_CAPABLE instead": {capable(option.CapableSynAck, sha, keyB)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newScript(t, setup{kind: Join})
			p.syn()
			require.Nil(t, p.synAckIn(opts...), "the endpoint does not see it")
			p.requireReset(option.ReasonMPTCP)
		})
	}
}

// requireReset checks that the subflow was reset for the reason, and that the endpoint's RST
// says so.
func (p *script) requireReset(reason option.ResetReason) sent {
	p.t.Helper()
	require.Len(p.t, p.owner.resets, 1)
	require.Equal(p.t, reason, p.owner.resets[0].Reason)
	require.False(p.t, p.owner.resets[0].Remote)
	rst := p.one(packet.FlagRST|packet.FlagACK, ourISS+1, peerISS+1)
	r, ok := rst.Reset()
	require.True(p.t, ok, "MP_TCPRST on the RST")
	require.Equal(p.t, reason, r.Reason)
	return rst
}

// 8684-3.2-14: a third packet without MP_JOIN, or with a wrong HMAC: RST with reason 1. What
// comes after changes nothing.
func TestJoinBadThird(t *testing.T) {
	for name, opts := range map[string]func(*script) []option.Option{
		"wrong HMAC": func(p *script) []option.Option {
			a := p.joinAck()
			a.HMAC[19] ^= 0x80
			return []option.Option{a}
		},
		"no option": func(*script) []option.Option { return nil },
		"a DSS":     func(p *script) []option.Option { return []option.Option{p.dataAck(0)} },
	} {
		t.Run(name, func(t *testing.T) {
			p := newScript(t, setup{kind: Join, role: Responder})
			p.synIn(option.JoinSyn{ID: 7, Token: keyA.Token(), Nonce: nonceB})
			p.synAck()
			require.Nil(t, p.ack(0, 0, opts(p)...))
			require.Zero(t, p.owner.usable)
			p.requireReset(option.ReasonMPTCP)
			p.ack(0, 0, p.joinAck())
			p.mapped(0, 0, "hello")
			p.in(seg{flags: packet.FlagFIN | packet.FlagACK, seq: peerISS + 1, ack: ourISS + 1})
			require.Zero(t, p.owner.usable)
			require.Zero(t, p.owner.bytes)
			require.Equal(t, Closed, p.f.State())
		})
	}
}

// 8684-3.2-16, -17: PRE_ESTABLISHED until the fourth packet: no data, the third packet again.
func TestJoinPreEstablished(t *testing.T) {
	p := newScript(t, setup{kind: Join})
	p.syn()
	p.synAckIn(p.joinSynAck())
	p.acks(0)
	require.False(t, p.f.Usable())
	require.Zero(t, p.owner.usable)
	require.Equal(t, 1, p.owner.up)
	p.f.SendAck(p.now)
	require.True(t, p.last().Has(option.SubtypeJoin), "the third packet again")
	p.ack(0, 0, p.dataAck(0))
	require.Equal(t, 1, p.owner.usable)
	require.True(t, p.f.Usable())
	p.f.SendAck(p.now)
	require.False(t, p.last().Has(option.SubtypeJoin))
	require.True(t, p.last().Has(option.SubtypeDSS))
}

// 8684-3.7-03: on a join, data acknowledged without a DATA_ACK: RST with reason 6; once a
// DATA_ACK was seen, ACKs without one are fine.
func TestJoinDataAckStripped(t *testing.T) {
	p := joined(t, setup{})
	p.place(100)
	require.Nil(t, p.ack(0, 100))
	p.requireReset(option.ReasonMiddlebox)

	p = joined(t, setup{})
	p.place(100)
	p.ack(0, 50, p.dataAck(50))
	p.ack(0, 100)
	require.Empty(t, p.owner.resets)
}

// Where the DSS checksum is in use the SYN leaves room for the infinite mapping of a Linux sender.
func TestChecksumLowersMSS(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		want := uint16(1460)
		if checksum {
			want -= infiniteRoom
		}
		mss, _ := newScript(t, setup{wantChecksum: checksum}).syn().MSS()
		require.Equal(t, want, mss)
		p := newScript(t, setup{role: Responder})
		flags := sha
		if checksum {
			flags |= option.ChecksumRequired
		}
		p.synIn(capable(option.CapableSyn, flags))
		mss, _ = p.synAck().MSS()
		require.Equal(t, want, mss)
	}
}
