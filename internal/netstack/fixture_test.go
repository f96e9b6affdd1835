package netstack

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// TestMain fails when a goroutine of this module or of gVisor survives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines left:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines that do not end. Those that are about to need
// nothing but a turn, and each round gives all of them one.
func leaked() string {
	buf := make([]byte, 1<<20)
	var left []string
	for range 1000 {
		left = left[:0]
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		for _, s := range stacks[1:] { // the first is this one
			if strings.Contains(s, "gvisor.dev") || strings.Contains(s, "gomptcp") {
				left = append(left, s)
			}
		}
		if len(left) == 0 {
			break
		}
		runtime.Gosched()
	}
	return strings.Join(left, "\n\n")
}

// take returns the next value of a channel. What does not come is waited for until go
// test's own time is over, which shows who waits for what.
func take[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	v, ok := <-c
	require.True(t, ok, "channel closed: %s", what)
	return v
}

// testHook lets everything pass; its functions, if set, come first.
type testHook struct {
	outgoing func(l *Link, p *tun.Packet) // in place of sending
	incoming func(l *Link, p *tun.Packet, t packet.TCP) bool
	tooBig   func(m *packet.TooBig)
	batches  atomic.Int64
	down     chan error
}

func newHook() *testHook { return &testHook{down: make(chan error, 16)} }

func (h *testHook) Outgoing(l *Link, p *tun.Packet) {
	if h.outgoing != nil {
		h.outgoing(l, p)
		return
	}
	_ = l.Send(p)
}

func (h *testHook) Incoming(l *Link, p *tun.Packet, t packet.TCP) bool {
	return h.incoming == nil || h.incoming(l, p, t)
}

func (h *testHook) TooBig(_ *Link, m *packet.TooBig) {
	if h.tooBig != nil {
		h.tooBig(m)
	}
}

func (h *testHook) BatchDone(*Link)             { h.batches.Add(1) }
func (h *testHook) LinkDown(_ *Link, err error) { h.down <- err }

// newStack returns a stack that the test's end closes. cfg.Hook may be nil. Its time stands
// still unless cfg says otherwise: nothing here waits for a timer.
func newStack(t testing.TB, cfg Config) *Stack {
	t.Helper()
	if cfg.Hook == nil {
		cfg.Hook = newHook()
	}
	if cfg.Clock == nil {
		cfg.Clock = newManualClock()
	}
	s, err := New(&cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func addLink(t testing.TB, s *Stack, dev tun.Device, prefixes ...string) *Link {
	t.Helper()
	var addrs []netip.Prefix
	for _, p := range prefixes {
		addrs = append(addrs, netip.MustParsePrefix(p))
	}
	l, err := s.AddLink(dev, addrs)
	require.NoError(t, err)
	return l
}

// family is a pair of addresses.
type family struct {
	name     string
	prefixes [2]string
}

var families = []family{
	{"v4", [2]string{"192.0.2.1/24", "192.0.2.2/24"}},
	{"v6", [2]string{"2001:db8::1/64", "2001:db8::2/64"}},
}

func (f family) addr(i int) netip.Addr { return netip.MustParsePrefix(f.prefixes[i]).Addr() }

func (f family) port(i int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(f.addr(i), port)
}

// forFamilies runs f once for IPv4 and once for IPv6.
func forFamilies(t *testing.T, f func(t *testing.T, fam family)) {
	for _, fam := range families {
		t.Run(fam.name, func(t *testing.T) { f(t, fam) })
	}
}

// watched is an endpoint with the events that it had.
type watched struct {
	*Endpoint
	t    testing.TB
	wake chan struct{}

	mu   sync.Mutex
	seen Event
	log  []Event
}

func watch(t testing.TB, e *Endpoint) *watched {
	w := &watched{Endpoint: e, t: t, wake: make(chan struct{}, 1)}
	e.SetNotify(func(ev Event) {
		w.mu.Lock()
		w.seen |= ev
		w.log = append(w.log, ev)
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	})
	return w
}

func (w *watched) has(ev Event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen&ev == ev
}

// want waits for an event.
func (w *watched) want(ev Event) {
	w.t.Helper()
	for !w.has(ev) {
		take(w.t, w.wake, fmt.Sprintf("event %b", ev))
	}
}

// read returns the next n bytes.
func (w *watched) read(n int) []byte {
	w.t.Helper()
	got := make([]byte, 0, n)
	for len(got) < n {
		m, err := w.Read(got[len(got):n])
		if errors.Is(err, ErrWouldBlock) {
			take(w.t, w.wake, "bytes to read")
			continue
		}
		require.NoError(w.t, err)
		got = got[:len(got)+m]
	}
	return got
}

// end reads until an error other than ErrWouldBlock, and returns that.
func (w *watched) end() error {
	w.t.Helper()
	buf := make([]byte, 4096)
	for {
		_, err := w.Read(buf)
		if err != nil && !errors.Is(err, ErrWouldBlock) {
			return err
		}
		if err != nil {
			take(w.t, w.wake, "end of the stream")
		}
	}
}

// peer is a scripted TCP at the far end of a device.
type peer struct {
	t       testing.TB
	dev     tun.Device
	local   netip.AddrPort
	remote  netip.AddrPort
	seq     uint32 // next to send
	ack     uint32
	arrived chan segment
}

// segment is a copy of what came.
type segment struct {
	packet.TCP
	bytes []byte
}

// newPeer starts reading dev; the test's end closes it.
func newPeer(t testing.TB, dev tun.Device) *peer {
	p := &peer{t: t, dev: dev, arrived: make(chan segment, 1024), seq: 1000}
	t.Cleanup(func() { _ = dev.Close() })
	go func() {
		for {
			pkts := []tun.Packet{{Head: make([]byte, tun.MaxPacketSize)}}
			n, err := dev.Read(pkts)
			if err != nil {
				return
			}
			for _, q := range pkts[:n] {
				v, _ := packet.ParseTCP(q.Head)
				p.arrived <- segment{v, q.Head}
			}
		}
	}()
	return p
}

// next returns the next packet that came.
func (p *peer) next(what string) segment {
	p.t.Helper()
	return take(p.t, p.arrived, what)
}

// build returns a segment from the peer with the checksum done.
func (p *peer) build(flags uint8, payload []byte) []byte {
	b := packet.AppendTCP(nil, &packet.Fields{
		Src: p.local, Dst: p.remote, Seq: p.seq, Ack: p.ack, Flags: flags, Window: 65535, PayloadLen: len(payload),
	})
	b = append(b, payload...)
	packet.CompleteChecksum(b, nil)
	return b
}

// write puts bytes on the device as they are.
func (p *peer) write(b []byte) {
	p.t.Helper()
	require.NoError(p.t, p.dev.Write([]tun.Packet{{Head: b}}))
}

// send sends a segment and counts what it holds.
func (p *peer) send(flags uint8, payload []byte) {
	p.t.Helper()
	p.write(p.build(flags, payload))
	p.seq += uint32(len(payload))
	if flags&(packet.FlagSYN|packet.FlagFIN) != 0 {
		p.seq++
	}
}

// answerSYN takes a SYN and completes the handshake.
func (p *peer) answerSYN() {
	p.t.Helper()
	syn := p.next("SYN")
	require.Equal(p.t, packet.FlagSYN, syn.Flags())
	p.local, p.remote, p.ack = syn.Dst(), syn.Src(), syn.Seq()+1
	p.send(packet.FlagSYN|packet.FlagACK, nil)
	require.Equal(p.t, packet.FlagACK, p.next("third ACK").Flags())
}

// connected returns an endpoint of s, connected to the peer.
func (p *peer) connected(s *Stack, fam family) *watched {
	p.t.Helper()
	e, err := s.NewEndpoint(fam.port(0, 0), fam.port(1, 80))
	require.NoError(p.t, err)
	w := watch(p.t, e)
	require.NoError(p.t, e.Connect(fam.port(1, 80)))
	p.answerSYN()
	w.want(Connected)
	return w
}
