package subflow

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun"
)

// FuzzIncoming plays a hostile peer against an established subflow. Each step of the input is
// a segment (position, acknowledgment, flags, options, payload length), an ACK of the
// endpoint, some time, or data of our own. Nothing may panic, what is kept stays bounded, and
// DATA_ACK never goes beyond what was mapped.
func FuzzIncoming(f *testing.F) {
	dss := option.DSS{HasMap: true, DSN: uint64(keyB.IDSN().Add(1)), SSN: 1, Len: 5}.AppendTo(nil)
	step := func(kind byte, at, ack int16, flags, n byte, opts []byte) []byte {
		b := []byte{kind}
		b = binary.BigEndian.AppendUint16(b, uint16(at))
		b = binary.BigEndian.AppendUint16(b, uint16(ack))
		b = append(b, flags, n, byte(len(opts)))
		return append(b, opts...)
	}
	join := func(steps ...[]byte) (b []byte) {
		for _, s := range steps {
			b = append(b, s...)
		}
		return b
	}
	f.Add(byte(0), step(0, 0, 0, packet.FlagACK, 5, dss))
	f.Add(byte(1), join(step(0, 0, 0, packet.FlagACK, 5, dss), step(1, 5, 0, packet.FlagACK, 0, nil), step(0, 5, 0, packet.FlagACK|packet.FlagFIN, 3, nil)))
	f.Add(byte(2), join(step(3, 100, 0, 0, 0, nil), step(0, 0, 100, packet.FlagACK, 0, option.DSS{HasAck: true, Ack: uint64(keyA.IDSN().Add(101))}.AppendTo(nil))))
	f.Add(byte(3), step(0, 0, 0, packet.FlagACK, 9, option.DSS{HasMap: true, DSN64: true, DataFin: true, DSN: uint64(keyB.IDSN().Add(1)), SSN: 1, Len: 10}.AppendTo(nil)))
	f.Add(byte(4), step(0, 0, 0, packet.FlagRST, 0, option.FastClose{ReceiverKey: keyA}.AppendTo(nil)))
	f.Add(byte(5), step(0, 0, 0, packet.FlagACK, 5, option.DSS{HasMap: true}.AppendTo(nil)))
	// A third packet with a bad HMAC, and a segment after: it found no sender.
	f.Add(byte(8), join(step(0, 0, 0, packet.FlagACK, 0, option.JoinAck{}.AppendTo(nil)), step(0, 0, 0, packet.FlagACK, 0, nil)))
	f.Add(byte(9), step(0, 0, 0, packet.FlagSYN|packet.FlagACK, 0, option.MPCapable{Form: option.CapableSynAck, Version: 1, Flags: sha, SenderKey: keyB}.AppendTo(nil)))

	f.Fuzz(func(t *testing.T, how byte, b []byte) {
		p := fuzzed(t, how)
		took := 0 // what the endpoint has acknowledged, as far as the peer sent it
		for len(b) >= 8 {
			kind, at, ack := b[0], int(int16(binary.BigEndian.Uint16(b[1:]))), int(int16(binary.BigEndian.Uint16(b[3:])))
			flags, n, optsLen := b[5], int(b[6]), min(int(b[7])%41, len(b)-8)
			opts := append([]byte(nil), b[8:8+optsLen]...)
			b = b[8+optsLen:]
			switch kind % 4 {
			case 0:
				opts = option.Pad(opts[:min(len(opts), 40)], 0)
				head := packet.AppendTCP(nil, &packet.Fields{
					Src: p.f.Remote, Dst: p.f.Local, Seq: peerISS + 1 + uint32(at), Ack: ourISS + 1 + uint32(ack), Flags: flags,
					Window: uint16(at), Options: opts, PayloadLen: n,
				})
				head = append(head, make([]byte, n)...)
				view, ok := packet.ParseTCP(head)
				require.True(t, ok)
				p.f.Incoming(p.now, &tun.Packet{Head: head}, view)
			case 1:
				took = max(took, at)
				p.endpoint(packet.FlagACK|flags&(packet.FlagFIN|packet.FlagRST), ourISS+1+uint32(flags>>7), peerISS+1+uint32(took))
			case 2:
				p.wait(time.Duration(n) * 10 * time.Millisecond)
				if p.f.Sender() != nil {
					p.f.Sender().Run(p.now)
				}
			case 3:
				if p.f.Usable() {
					p.place(1 + n)
				}
			}
			p.check(took)
		}
	})
}

// fuzzed returns a subflow in one of several states.
func fuzzed(t testing.TB, how byte) *script {
	role := Role(how & 1)
	switch how >> 1 % 6 {
	case 0:
		return opened(t, setup{role: role})
	case 1:
		return opened(t, setup{role: role, wantChecksum: true})
	case 2:
		return joined(t, setup{role: role})
	case 3:
		return opened(t, setup{role: role, keys: [2]option.Key{keyK7, keyK7}})
	case 4:
		p := newScript(t, setup{kind: Join, role: Responder})
		p.synIn(option.JoinSyn{ID: 7, Token: keyA.Token(), Nonce: nonceB})
		p.synAck()
		return p
	default:
		p := newScript(t, setup{role: role})
		if role == Opener {
			p.syn()
		} else {
			p.synIn(capable(option.CapableSyn, sha))
			p.synAck()
		}
		return p
	}
}

// check tells that what the connection counts as received was received.
func (p *script) check(took int) {
	p.t.Helper()
	require.LessOrEqual(p.t, p.f.maps.len(), maxMappings)
	require.LessOrEqual(p.t, len(p.f.sums.list), maxRxSums)
	// The peer may have begun with another number than the script counts from.
	require.LessOrEqual(p.t, p.owner.bytes, max(seq.SSN(peerISS).Add(took).Sub(p.f.irs), 0))
	require.False(p.t, p.shared.SndEnd.Less(p.shared.SndUna), "acknowledged more than was sent")
	if p.f.State() >= Established {
		require.False(p.t, p.f.rcvNxt.Less(p.f.accounted))
	}
	var last seq.SSN
	for i, m := range p.f.maps.list[p.f.maps.head:] {
		require.Positive(p.t, m.n)
		if i > 0 {
			require.True(p.t, last.LessEq(m.start), "mappings overlap")
		}
		last = m.end()
	}
}
