package conformance

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
)

// FuzzPeer plays a hostile peer against a whole host. The first byte says who opens the connection
// and how; the others are steps: segments of any kind with any options, joins, time, and what
// the application does. Nothing may panic or get stuck, limits hold, and the host serves the
// next peer as if nothing had been.
func FuzzPeer(f *testing.F) {
	f.Add(byte(0), []byte("0123456789"))
	f.Add(byte(1), []byte{0, 0x10, 0, 0, 0, 0, 5, 1, 0, 0, 3, 200, 1, 20, 2, 9, 4, 0})
	for how := range byte(16) {
		var b []byte
		for i := range byte(40) {
			b = append(b, 0, 0x10|i&1<<3, 0, 0, 0, 0, i, i, 0, i, 1, 3, 2, 100, 5)
		}
		f.Add(how, append(b, 3, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0))
	}
	f.Fuzz(playHostile)
}

// playHostile plays the peer once.
func playHostile(t *testing.T, how byte, b []byte) {
	o := Options{Paths: 2, PeerChecksum: how&2 != 0, Config: mptcp.Config{
		MaxHalfOpen: 16, ReceiveBuffer: 64 << 10, Logger: slog.New(slog.DiscardHandler),
	}}
	if how&4 != 0 {
		o.Config.PathManager = pathmgr.Default
	}
	Test(t, o, func(t *testing.T, l *Lab) {
		z := newFuzzed(l, how)
		for range 200 {
			if len(b) == 0 {
				break
			}
			b = z.step(b)
		}
		z.check(t)
	})
}

// fuzzed is a host under fuzzing.
type fuzzed struct {
	l     *Lab
	peers []*Peer
	conn  *mptcp.Conn // nil if it has not come to that
	next  int         // DSN of the peer's next data

	stamped bool // segments have timestamps
}

func newFuzzed(l *Lab, how byte) *fuzzed {
	z := &fuzzed{l: l, next: 1}
	var p *Peer
	switch dials := how&1 != 0; how >> 3 & 3 {
	case 0: // the handshake is the fuzzer's too
		if dials {
			l.Dial()
			p = l.Opened("SYN", SYN, Capable)
			break
		}
		l.Listen()
		p = l.Client(0)
		p.Send("SYN", SYN, Capable)
	case 1:
		z.stamped = true
		if dials {
			dial := l.Dial()
			p = l.Opened("SYN", SYN, Capable)
			p.Send("SYN/ACK with timestamps", SYN|ACK, Capable, z.timestamps())
			p.Want("third packet", ACK, Capable)
			z.conn = dial.Result()
			break
		}
		accept := l.Listen()
		p = l.Client(0)
		p.Send("SYN with timestamps", SYN, Capable, z.timestamps())
		p.Want("SYN/ACK", SYN|ACK, Capable)
		p.Send("third packet", ACK, Capable, z.timestamps())
		z.conn = accept.Result()
	case 2:
		p, z.conn = l.Connect()
	default:
		p, z.conn = l.Accept()
		p.Confirm()
	}
	z.peers = []*Peer{p}
	if z.conn != nil {
		go func() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{z.conn}) }()
	}
	return z
}

// timestamps is the option with the peer's clock, echoing nothing.
func (z *fuzzed) timestamps() Part {
	b := binary.BigEndian.AppendUint32([]byte{8, 10}, uint32(time.Now().UnixMilli()))
	return Raw(append(b, 0, 0, 0, 0)...)
}

// step does what the first bytes of b say and returns the rest.
func (z *fuzzed) step(b []byte) []byte {
	kind := b[0]
	b = b[1:]
	arg := byte(0)
	if len(b) > 0 {
		arg, b = b[0], b[1:]
	}
	switch kind % 8 {
	case 1:
		z.l.Sleep(time.Duration(arg) * 20 * time.Millisecond)
	case 2:
		if z.conn != nil {
			_ = z.conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _ = z.conn.Write(make([]byte, int(arg)*100))
		}
	case 3:
		if z.conn != nil {
			_ = []func() error{z.conn.CloseWrite, z.conn.Close, z.conn.Abort, z.conn.CloseWrite}[arg%4]()
		}
	case 4:
		if p := z.l.Pending(); p != nil {
			z.answer(p, arg)
			break
		}
		p := z.l.Client(int(arg)%2).SetID(option.AddrID(arg), arg&8 != 0)
		p.Send("join", SYN, Join)
		z.l.Sleep(2 * Delay)
		p.Forget()
		if arg&16 == 0 {
			p.Send("third packet", ACK, Join)
		}
		z.peers = append(z.peers, p)
	case 5:
		for _, p := range z.peers {
			p.Forget() // and so what it sends next acknowledges it
		}
	default:
		return z.segment(arg, b)
	}
	return b
}

// answer plays the responder of a join of the host.
func (z *fuzzed) answer(p *Peer, arg byte) {
	p.Want("SYN of the host", SYN, Join)
	p.SetID(option.AddrID(arg), arg&8 != 0)
	p.Send("SYN/ACK", SYN|ACK, []Part{Join, Join, Join, BadHMAC, Capable}[arg%5])
	z.l.Sleep(2 * Delay)
	p.Forget()
	if arg&16 == 0 {
		p.Send("fourth packet", ACK, DataAck(1))
	}
	z.peers = append(z.peers, p)
}

// segment sends a segment; which says from which peer, b the rest.
func (z *fuzzed) segment(which byte, b []byte) []byte {
	if len(b) < 9 {
		return nil
	}
	p := z.peers[int(which)%len(z.peers)]
	flags := Flags(b[0] & 0x1f)
	at := p.SndNxt() + uint32(int32(int16(binary.BigEndian.Uint16(b[1:]))))
	ack := int16(binary.BigEndian.Uint16(b[3:]))
	parts := []Part{flags, Seq(at), Win(binary.BigEndian.Uint16(b[5:]))}
	if z.stamped && flags&SYN == 0 {
		parts = append(parts, z.timestamps())
	}
	if ack != 0 {
		parts = append(parts, AckNo(uint32(int32(ack))))
	}
	n := 0
	if b[7] > 0 && flags&SYN == 0 {
		n = int(b[7])*int(b[7])/16 + 1
		parts = append(parts, Data(string(make([]byte, n))))
	}
	kind := b[8]
	b = b[9:]
	if o, rest, ok := z.option(kind, p, at, n, b); ok {
		parts = append(parts, o)
		b = rest
	}
	p.Send("fuzzed", parts...)
	return b
}

// option makes an option from a few bytes, for a segment at a sequence number with n bytes of data.
func (z *fuzzed) option(kind byte, p *Peer, at uint32, n int, b []byte) (Part, []byte, bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	x, y := int(int8(b[0])), int(b[1])
	l := z.l
	if fin := kind%16 == 2; x > 0 && (fin || kind%16 == 1 && n > 0) { // as an honest peer maps
		dsn, ssn := z.next, at
		z.next += n
		switch {
		case !fin:
			return Map(dsn, ssn, n), b[2:], true
		case n == 0:
			ssn = 0
		}
		return MapFin(dsn, ssn, n+1), b[2:], true
	}
	switch kind % 16 {
	case 0:
		return DataAck(x), b[2:], true
	case 1:
		return Map(1+x, at, y), b[2:], true
	case 2:
		return MapFin(1+x, at, y), b[2:], true
	case 3:
		return MapFin(1+x, 0, 1), b[2:], true
	case 4:
		return Option(option.NewAddAddr(l.PeerKey, l.HostKey, option.AddrID(x), peerAt(l, y%2, uint16(y)))), b[2:], true
	case 5:
		return Option(option.NewRemoveAddr(option.AddrID(x), option.AddrID(y))), b[2:], true
	case 6:
		return Option(option.Prio{Backup: y&1 != 0}), b[2:], true
	case 7:
		return Option(option.Fail{DSN: l.PeerDSN(x)}), b[2:], true
	case 8:
		key := l.HostKey
		key[0] ^= byte(y & 1)
		return Option(option.FastClose{ReceiverKey: key}), b[2:], true
	case 9:
		return Option(option.Reset{Reason: option.ResetReason(x), Transient: y&1 != 0}), b[2:], true
	case 10:
		return sack(p, uint32(x), uint32(x+y)), b[2:], true
	case 11:
		return Map(1+x, at, 0), b[2:], true
	default:
		n := min(int(kind)%15, len(b), 16)
		return Raw(append([]byte{30, byte(2 + n)}, b[:n]...)...), b[n:], true
	}
}

// check tells that limits hold and that the host serves others.
func (z *fuzzed) check(t *testing.T) {
	l := z.l
	if z.conn != nil {
		live := 0
		for _, s := range z.conn.Info().Subflows {
			if s.State != "closed" {
				live++
			}
		}
		require.LessOrEqual(t, live, 8+16)
		require.LessOrEqual(t, len(z.conn.Info().Subflows), 64+live)
		_ = z.conn.Abort()
	}
	l.Sleep(time.Second)
	l.HostKey, l.Checksum = option.Key{}, false
	listener, err := l.Host.Listen("tcp", ":444")
	require.NoError(t, err)
	accept := Start(l, "Accept", listener.AcceptMPTCP)
	p := l.ClientTo(0, 444)
	p.Send("SYN of another peer", SYN, Capable)
	p.Want("SYN/ACK", SYN|ACK, Capable)
	p.Send("third packet", ACK, Capable)
	conn := accept.Result()
	p.Send("data", Data("x"), Capable)
	require.Equal(t, "x", l.Read(conn, 1).Result())
	l.Write(conn, "y").Result()
	p.Await("data", Data("y"), Map(1, 1, 1))
	require.NoError(t, l.Host.Close())
}

// TestHostilePeers drives the same peer by seeds: segments near the right place, with options that
// are nearly right, come far more often than a fuzzer finds them.
func TestHostilePeers(t *testing.T) {
	for seed := range int64(*hostile) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(seed))
			playHostile(t, byte(rng.Intn(32)), hostileSteps(rng))
		}) {
			break
		}
	}
}

var hostile = flag.Int("hostile", 100, "how many seeds TestHostilePeers tries")

// hostileSteps makes the bytes of some steps.
func hostileSteps(rng *rand.Rand) []byte {
	near := func() []byte {
		n := 0
		if rng.Intn(3) == 0 {
			n = []int{-1, 1, -10, 10, -1000, 1000, 20000, -20000}[rng.Intn(8)]
		}
		return []byte{byte(n >> 8), byte(n)}
	}
	var b []byte
	for range 5 + rng.Intn(80) {
		kind := []byte{0, 0, 0, 0, 0, 0, 6, 7, 1, 2, 4, 5}[rng.Intn(12)]
		if rng.Intn(40) == 0 {
			kind = 3
		}
		b = append(b, kind, byte(rng.Intn(256)))
		if kind != 0 && kind < 6 {
			continue
		}
		flags := byte(ACK)
		if rng.Intn(8) == 0 {
			flags = byte(rng.Intn(32))
		}
		b = append(append(append(b, flags), near()...), near()...)
		b = append(b, byte(rng.Intn(256)), byte(rng.Intn(256)), byte(rng.Intn(2)*rng.Intn(120)))
		b = append(b, byte(rng.Intn(16)), byte(rng.Intn(20)-2), byte(rng.Intn(64)))
	}
	return b
}
