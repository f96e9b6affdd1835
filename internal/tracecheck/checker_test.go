package tracecheck

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// tape is a trace made by hand: a connection between a client, side 0, and a server, with
// DSS checksums, and a second subflow.
type tape struct {
	*Checker
	t    *testing.T
	keys [2][]byte
	idsn [2]uint64
}

var ends = [2][2]netip.AddrPort{
	{netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("192.0.2.1:443")},
	{netip.MustParseAddrPort("[2001:db8::1]:2000"), netip.MustParseAddrPort("[2001:db8::2]:443")},
}

const isn = 0xfffffff0 // of all subflows; wraps soon

func newTape(t *testing.T) *tape {
	p := &tape{Checker: New(), t: t, keys: [2][]byte{[]byte("client's"), []byte("server's")}}
	for i, k := range p.keys {
		h := sha256.Sum256(k)
		p.idsn[i] = binary.BigEndian.Uint64(h[24:])
	}
	return p
}

// packet adds a segment of subflow number sub from a side, at offset ssn of its stream.
func (p *tape) packet(sub, side int, ssn uint32, flags byte, payload []byte, opts ...[]byte) {
	b := p.build(sub, side, ssn, flags, payload, opts...)
	p.Add(0, "here", b)
}

func (p *tape) build(sub, side int, ssn uint32, flags byte, payload []byte, opts ...[]byte) []byte {
	src, dst := ends[sub][side], ends[sub][1-side]
	o := bytes.Join(opts, nil)
	for len(o)%4 != 0 {
		o = append(o, 1)
	}
	require.LessOrEqual(p.t, len(o), 40)
	tcp := make([]byte, 20, 20+len(o)+len(payload))
	binary.BigEndian.PutUint16(tcp, src.Port())
	binary.BigEndian.PutUint16(tcp[2:], dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], isn+ssn)
	tcp[12], tcp[13] = byte(5+len(o)/4)<<4, flags
	tcp = append(append(tcp, o...), payload...)
	pseudo := sum(sum(6+uint64(len(tcp)), src.Addr().AsSlice()), dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(tcp[16:], ^fold(sum(pseudo, tcp)))
	if src.Addr().Is4() {
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 64, 6
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
		copy(ip[12:], src.Addr().AsSlice())
		copy(ip[16:], dst.Addr().AsSlice())
		return append(ip, tcp...)
	}
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 0x60, 6, 64
	binary.BigEndian.PutUint16(ip[4:], uint16(len(tcp)))
	copy(ip[8:], src.Addr().AsSlice())
	copy(ip[24:], dst.Addr().AsSlice())
	return append(ip, tcp...)
}

func option30(parts ...[]byte) []byte {
	b := append([]byte{30, 0}, bytes.Join(parts, nil)...)
	b[1] = byte(len(b))
	return b
}

func (p *tape) handshake() {
	p.packet(0, 0, 0, flagSYN, nil, option30([]byte{0x01, 0x81}))
	p.packet(0, 1, 0, flagSYN|flagACK, nil, option30([]byte{0x01, 0x81}, p.keys[1]))
	p.packet(0, 0, 1, flagACK, nil, option30([]byte{0x01, 0x81}, p.keys[0], p.keys[1]))
}

var nonces = [2][]byte{[]byte("nonA"), []byte("nonB")}

func (p *tape) mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

func (p *tape) token(side int) []byte {
	h := sha256.Sum256(p.keys[side])
	return h[:4]
}

func (p *tape) joinSYNs() { p.joinSYNsWith(nonces[1]) }

// joinSYNsWith has the nonce of the SYN/ACK.
func (p *tape) joinSYNsWith(nonce []byte) {
	p.packet(1, 0, 0, flagSYN, nil, option30([]byte{0x10, 1}, p.token(1), nonces[0]))
	mac := p.mac(bytes.Join([][]byte{p.keys[1], p.keys[0]}, nil), bytes.Join([][]byte{nonce, nonces[0]}, nil))
	p.packet(1, 1, 0, flagSYN|flagACK, nil, option30([]byte{0x10, 1}, mac[:8], nonce))
}

func (p *tape) joinThird() {
	mac := p.mac(bytes.Join([][]byte{p.keys[0], p.keys[1]}, nil), bytes.Join([][]byte{nonces[0], nonces[1]}, nil))
	p.packet(1, 0, 1, flagACK, nil, option30([]byte{0x10, 0}, mac[:20]))
}

func (p *tape) join() {
	p.joinSYNs()
	p.joinThird()
	p.packet(1, 1, 1, flagACK, nil)
}

// mapped is a DSS without DATA_ACK, with a correct checksum over data.
func (p *tape) mapped(side int, off int64, ssn uint32, data []byte, fin bool) []byte {
	dsn, n, flags := p.idsn[side]+1+uint64(off), len(data), byte(dssMap)
	if fin {
		n, flags = n+1, flags|dssFin
		if len(data) == 0 {
			ssn = 0
		}
	}
	head := pseudoHeader(dsn, ssn, uint16(n))
	b := binary.BigEndian.AppendUint32([]byte{0x20, flags}, uint32(dsn))
	b = binary.BigEndian.AppendUint32(b, ssn)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return option30(binary.BigEndian.AppendUint16(b, ^fold(sum(sum(0, head[:]), data))))
}

// data sends bytes with their mapping.
func (p *tape) data(sub, side int, off int64, ssn uint32, data string) {
	p.packet(sub, side, ssn, flagACK, []byte(data), p.mapped(side, off, ssn, []byte(data), false))
}

func (p *tape) fin(sub, side int, off int64) {
	p.packet(sub, side, 1, flagACK, nil, p.mapped(side, off, 0, nil, true))
}

// ack sends a DATA_ACK up to offset off of the other side's stream.
func (p *tape) ack(sub, side int, off int64) {
	dack := binary.BigEndian.AppendUint64([]byte{0x20, dssAck | dssAck8}, p.idsn[1-side]+1+uint64(off))
	p.packet(sub, side, 1, flagACK, nil, option30(dack))
}

func TestRightTrace(t *testing.T) {
	p := newTape(t)
	p.handshake()
	p.data(0, 0, 0, 1, "hello")
	p.data(0, 0, 0, 1, "hello") // again
	p.ack(0, 1, 5)
	p.join()
	p.data(1, 0, 10, 6, "-late") // overtakes
	p.data(1, 0, 5, 1, "-join")
	p.data(0, 0, 10, 6, "-late") // reinjected
	p.ack(1, 1, 15)
	p.fin(0, 0, 15)
	p.ack(0, 1, 16)
	p.data(1, 1, 0, 1, "answer")
	p.ack(0, 0, 6)
	p.packet(0, 1, 7, flagACK, nil, option30([]byte{0x30, 7, 10, 0, 0, 9}, p.addAddrMAC(1)))
	p.packet(0, 1, 7, flagACK, nil, option30([]byte{0x31, 7, 10, 0, 0, 9})) // an echo
	p.packet(0, 0, 6, flagACK, nil, option30([]byte{0x70, 0}, p.keys[1]))
	p.packet(0, 0, 6, flagRST, nil, option30([]byte{0x80, 0}))
	p.Finish()
	require.Empty(t, p.Findings())
	require.Equal(t, 1, p.Connections())
	require.Equal(t, 2, p.Subflows())
}

// addAddrMAC is that of address 10.0.0.9 with the ID 7, without port.
func (p *tape) addAddrMAC(side int) []byte {
	key := append(append([]byte(nil), p.keys[side]...), p.keys[1-side]...)
	return p.mac(key, []byte{7, 10, 0, 0, 9, 0, 0})[24:]
}

func TestChecksumOverBlocks(t *testing.T) {
	p := newTape(t)
	p.handshake()
	data := bytes.Repeat([]byte("abc"), 333)
	for i := range 100 { // past a block, at odd offsets
		p.data(0, 0, int64(i*len(data)), 1+uint32(i*len(data)), string(data))
	}
	require.Empty(t, p.Findings())
}

func TestWrongTraces(t *testing.T) {
	for _, tc := range []struct {
		rule, name string
		wrong      func(p *tape)
	}{
		{RuleKeys, "third packet with another server's key", func(p *tape) {
			p.packet(0, 0, 1, flagACK, nil, option30([]byte{0x01, 0x81}, p.keys[0], []byte("stranger")))
		}},
		{RuleKeys, "client's key changes", func(p *tape) {
			p.packet(0, 0, 1, flagACK, nil, option30([]byte{0x01, 0x81}, []byte("stranger"), p.keys[1]))
		}},
		{RuleKeys, "fast close with one's own key", func(p *tape) {
			p.packet(0, 0, 1, flagACK, nil, option30([]byte{0x70, 0}, p.keys[0]))
		}},
		{RuleToken, "join to a token of nobody", func(p *tape) {
			p.packet(1, 0, 0, flagSYN, nil, option30([]byte{0x10, 1}, []byte("none"), nonces[0]))
		}},
		{RuleHMAC, "join's SYN/ACK", func(p *tape) {
			p.packet(1, 0, 0, flagSYN, nil, option30([]byte{0x10, 1}, p.token(1), nonces[0]))
			p.packet(1, 1, 0, flagSYN|flagACK, nil, option30([]byte{0x10, 1}, make([]byte, 8), nonces[1]))
		}},
		{RuleHMAC, "join's third packet", func(p *tape) {
			p.joinSYNs()
			p.packet(1, 0, 1, flagACK, nil, option30([]byte{0x10, 0}, make([]byte, 20)))
		}},
		{RuleHMAC, "announcement with the keys in the wrong order", func(p *tape) {
			p.packet(0, 1, 1, flagACK, nil, option30([]byte{0x30, 7, 10, 0, 0, 9}, p.addAddrMAC(0)))
		}},
		{RuleEarly, "data before the third packet", func(p *tape) {
			p.joinSYNs()
			p.data(1, 0, 0, 1, "early")
		}},
		{RuleEarly, "data before the fourth packet", func(p *tape) {
			p.joinSYNs()
			p.joinThird()
			p.data(1, 0, 0, 1, "early")
		}},
		{RuleIDSN, "first byte skipped", func(p *tape) { p.data(0, 0, 1, 1, "hello") }},
		{RuleIDSN, "data before IDSN+1", func(p *tape) { p.data(0, 0, -1, 1, "hello") }},
		{RuleMap, "mapping moves", func(p *tape) {
			p.data(0, 0, 0, 1, "hello")
			p.data(0, 0, 5, 1, "hello")
		}},
		{RuleMap, "mapping shrinks", func(p *tape) {
			p.data(0, 0, 0, 1, "hello")
			p.data(0, 0, 0, 1, "hell")
		}},
		{RuleMap, "bytes without a mapping", func(p *tape) {
			p.join()
			p.packet(1, 0, 1, flagACK, []byte("hello"))
		}},
		{RuleBytes, "retransmission with other bytes", func(p *tape) {
			p.data(0, 0, 0, 1, "hello")
			p.packet(0, 0, 1, flagACK, []byte("hEllo"))
		}},
		{RuleBytes, "reinjection with other bytes", func(p *tape) {
			p.join()
			p.data(0, 0, 0, 1, "hello")
			p.data(1, 0, 0, 1, "hellO")
		}},
		{RuleBytes, "reinjection that overlaps", func(p *tape) {
			p.join()
			p.data(0, 0, 0, 1, "hello")
			p.data(0, 0, 10, 11, "there")
			p.data(1, 0, 3, 1, "l-between-there"[:8])
		}},
		{RuleChecksum, "of data", func(p *tape) {
			p.packet(0, 0, 1, flagACK, []byte("hello"), p.mapped(0, 0, 1, []byte("hullo"), false))
		}},
		{RuleChecksum, "of a DATA_FIN", func(p *tape) {
			o := p.mapped(0, 0, 0, nil, true)
			o[len(o)-1]++
			p.packet(0, 0, 1, flagACK, nil, o)
		}},
		{RuleChecksum, "missing", func(p *tape) {
			o := p.mapped(0, 0, 1, []byte("hello"), false)
			o[1] -= 2
			p.packet(0, 0, 1, flagACK, []byte("hello"), o[:len(o)-2])
		}},
		{RuleDataAck, "ahead of the data", func(p *tape) {
			p.data(0, 0, 0, 1, "hello")
			p.ack(0, 1, 6)
		}},
		{RuleDataAck, "over a gap", func(p *tape) {
			p.data(0, 0, 0, 1, "hello")
			p.data(0, 0, 10, 11, "there")
			p.ack(0, 1, 15)
		}},
		{RuleDataAck, "before IDSN+1", func(p *tape) { p.ack(0, 1, -1) }},
		{RuleDataAck, "of a DATA_FIN that did not come", func(p *tape) {
			p.data(0, 0, 0, 1, "hello")
			p.ack(0, 1, 6)
		}},
		{RuleDataFin, "moves", func(p *tape) {
			p.fin(0, 0, 7)
			p.fin(0, 0, 8)
		}},
		{RuleDataFin, "in front of data", func(p *tape) {
			p.data(0, 0, 0, 1, "hello")
			p.fin(0, 0, 4)
		}},
		{RuleDataFin, "data behind it", func(p *tape) {
			p.fin(0, 0, 4)
			p.data(0, 0, 0, 1, "hello")
		}},
		{RuleOption, "list that ends in the middle", func(p *tape) {
			p.packet(0, 0, 1, flagACK, nil, []byte{1, 1, 30, 9})
		}},
		{RuleOption, "too short", func(p *tape) { p.packet(0, 0, 1, flagACK, nil, []byte{30, 3, 0x20}) }},
		{RuleOption, "reset reason without a reset", func(p *tape) {
			p.packet(0, 0, 1, flagACK, nil, option30([]byte{0x80, 0}))
		}},
		{RuleSum, "TCP checksum", func(p *tape) {
			b := p.build(0, 0, 1, flagACK, []byte("hello"))
			b[len(b)-1]++
			p.Add(0, "here", b)
		}},
	} {
		t.Run(tc.rule+": "+tc.name, func(t *testing.T) {
			p := newTape(t)
			p.handshake()
			require.Empty(t, p.Findings())
			tc.wrong(p)
			p.Finish()
			require.NotEmpty(t, p.Findings())
			require.Equal(t, tc.rule, p.Findings()[0].Rule, p.Findings()[0].String())
		})
	}
}

// After the infinite mapping bytes are plain TCP's.
// A host that has given up a join answers the repeated SYN with another nonce; the opener may
// have taken the first.
func TestJoinAnsweredTwice(t *testing.T) {
	p := newTape(t)
	p.handshake()
	p.joinSYNs()
	p.joinSYNsWith([]byte("nonC"))
	p.joinThird()
	require.Empty(t, p.Findings())
}

func TestFallback(t *testing.T) {
	p := newTape(t)
	p.handshake()
	p.data(0, 0, 0, 1, "hello")
	o := p.mapped(0, 5, 6, nil, false)
	p.packet(0, 0, 6, flagACK, []byte("plain"), o)
	p.packet(0, 0, 11, flagACK, []byte("plain"))
	p.Finish()
	require.Empty(t, p.Findings())
}

func TestStreamIsBounded(t *testing.T) {
	var s stream
	piece := make([]byte, blockSize)
	for off := int64(0); off < 4*keepBytes; off += blockSize {
		require.True(t, s.write(off, piece))
	}
	require.LessOrEqual(t, len(s.blocks), keepBytes/blockSize+2)
	require.Equal(t, int64(4*keepBytes), s.contiguous())
	for i := range int64(maxSpans + 1) {
		s.write(5*keepBytes+2*i, []byte{1})
	}
	require.True(t, s.lost)
}

func FuzzAdd(f *testing.F) {
	p := newTape(nil)
	p.t = new(testing.T)
	f.Add(p.build(0, 0, 1, flagACK, []byte("hello"), p.mapped(0, 0, 1, []byte("hello"), true)))
	f.Add(p.build(1, 0, 0, flagSYN, nil, option30([]byte{0x10, 1}, p.token(1), nonces[0])))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newTape(t)
		p.handshake()
		p.joinSYNs()
		p.Add(0, "here", b)
		p.Finish()
	})
}
