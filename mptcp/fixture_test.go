package mptcp

import (
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun"
)

// TestMain fails when the tests leave goroutines behind: every Host that was closed has none.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !settled(before, 10*time.Second) {
		buf := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "goroutines left: %d before, %d after\n%s\n", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		code = 1
	}
	os.Exit(code)
}

// settled waits until there are no more than n goroutines.
func settled(n int, patience time.Duration) bool {
	for end := time.Now().Add(patience); runtime.NumGoroutine() > n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// patience is how long tests wait for what has to happen.
const patience = 20 * time.Second

// eventually waits for a condition.
func eventually(t testing.TB, cond func() bool, msg string, args ...any) {
	t.Helper()
	require.Eventually(t, cond, patience, time.Millisecond, append([]any{msg}, args...)...)
}

// filter is a device whose outgoing packets pass through a function, which returns what is to
// be written instead. It may change the bytes of Head, not those of Payload.
type filter struct {
	tun.Device
	mu   sync.Mutex
	pass func(p tun.Packet) []tun.Packet
}

func (f *filter) Write(pkts []tun.Packet) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range pkts {
		if f.pass == nil {
			if err := f.Device.Write([]tun.Packet{p}); err != nil {
				return err
			}
			continue
		}
		p.Head = append([]byte(nil), p.Head...)
		for _, o := range f.pass(p) {
			if err := f.Device.Write([]tun.Packet{o}); err != nil {
				return err
			}
		}
	}
	return nil
}

// set replaces the function; nil lets everything pass.
func (f *filter) set(pass func(p tun.Packet) []tun.Packet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pass = pass
}

func drop(tun.Packet) []tun.Packet { return nil }

// tcpOnly applies a function to TCP packets and passes on the others.
func tcpOnly(fn func(p tun.Packet, t packet.TCP) []tun.Packet) func(tun.Packet) []tun.Packet {
	return func(p tun.Packet) []tun.Packet {
		if t, ok := packet.ParseTCP(p.Head); ok {
			return fn(p, t)
		}
		return []tun.Packet{p}
	}
}

// stripMPTCP overwrites option 30 of a packet with padding.
func stripMPTCP(t packet.TCP) {
	o := t.Options()
	for i := 0; i < len(o); {
		switch {
		case o[i] == 0:
			return
		case o[i] == 1:
			i++
			continue
		case i+1 >= len(o) || o[i+1] < 2 || i+int(o[i+1]) > len(o):
			return
		}
		n := int(o[i+1])
		if o[i] == 30 {
			for j := i; j < i+n; j++ {
				o[j] = 1
			}
		}
		i += n
	}
}

// bad is a path that drops, doubles and reorders packets, by a seed.
type bad struct {
	rng                  *rand.Rand
	loss, twice, reorder float64
	held                 []tun.Packet
}

func (b *bad) pass(p tun.Packet) []tun.Packet {
	var out []tun.Packet
	switch x := b.rng.Float64(); {
	case x < b.loss:
	case x < b.loss+b.twice:
		out = append(out, p, p)
	case x < b.loss+b.twice+b.reorder:
		b.held = append(b.held, keep(p))
		return nil
	default:
		out = append(out, p)
	}
	if len(b.held) > 0 && b.rng.Intn(3) == 0 {
		out = append(out, b.held...)
		b.held = nil
	}
	return out
}

// keep copies a packet, so that it may be sent later.
func keep(p tun.Packet) tun.Packet {
	var all []byte
	for _, v := range p.Payload {
		all = append(all, v...)
	}
	p.Payload = [][]byte{all}
	return p
}

// filtered is a pair whose devices are filters: side 0 is the client's.
type filtered struct {
	*pair
	dev [][2]*filter
}

func newFiltered(t testing.TB, paths int, cfg tun.PipeConfig, client, server *Config) *filtered {
	t.Helper()
	f := &filtered{pair: newPair(t, 0, cfg, client, server)}
	for range paths {
		f.addPath(cfg)
	}
	return f
}

// addPath joins the hosts by one more path; its devices are named by a letter.
func (f *filtered) addPath(cfg tun.PipeConfig) {
	f.t.Helper()
	i := len(f.dev)
	cfg.Names = [2]string{string(rune('a' + i)), string(rune('A' + i))}
	a, b := tun.Pipe(cfg)
	d := [2]*filter{{Device: a}, {Device: b}}
	f.dev = append(f.dev, d)
	require.NoError(f.t, f.client.AddDevice(d[0], netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 1}), 24)))
	require.NoError(f.t, f.server.AddDevice(d[1], netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 2}), 24)))
}

// established counts the subflows of c that carry data.
func established(c *Conn) int {
	n := 0
	for _, s := range c.Info().Subflows {
		if s.State == "established" {
			n++
		}
	}
	return n
}

// connectFully is connect, and waits until all n subflows are up on both sides.
func (f *pair) connectFully(n int) (client, server *Conn) {
	f.t.Helper()
	client, server = f.connect()
	confirm(f.t, client, server)
	eventually(f.t, func() bool { return established(client) == n && established(server) == n }, "%d subflows", n)
	return client, server
}

// confirm sends a byte each way: only then may further subflows be opened (8684-3.1-18).
func confirm(t testing.TB, a, b net.Conn) {
	t.Helper()
	for _, c := range []net.Conn{a, b} {
		_, err := c.Write([]byte{1})
		require.NoError(t, err)
	}
	for _, c := range []net.Conn{a, b} {
		_, err := io.ReadFull(c, make([]byte, 1))
		require.NoError(t, err)
	}
}

// exchange sends n bytes each way at once, ends both streams and checks them.
func exchange(t testing.TB, a, b net.Conn, n int) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		stream(t, b, a, n, 2)
	}()
	stream(t, a, b, n, 1)
	<-done
}

// async runs a call and gives its result later.
func async[T any](fn func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- fn() }()
	return c
}

// result waits for what async runs.
func result[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "still waiting")
		panic("not reached")
	}
}

// readErr reads until an error.
func readErr(c net.Conn) <-chan error {
	return async(func() error {
		_, err := io.Copy(io.Discard, errReader{c})
		return err
	})
}

// errReader hides Conn's type, so that io.Copy returns its error, io.EOF being none.
type errReader struct{ io.Reader }

// writeErr writes until an error.
func writeErr(c net.Conn) <-chan error {
	return async(func() error {
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
	})
}

// optionsOf parses the options of a packet.
func optionsOf(t packet.TCP) *option.Set {
	s := option.Parse(t.Options(), t.Flags())
	return &s
}
