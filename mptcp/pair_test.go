package mptcp

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// delay is how long a packet takes from one host of a pair to the other.
const delay = 5 * time.Millisecond

// setup says what a pair begins with.
type setup struct {
	paths          int
	client, server *Config
	// shape is that of all links, in both directions; a zero Delay means delay.
	shape simnet.Shape
	// shapes, if set, are those of the single links.
	shapes []simnet.Shape
	// pipe, if set, makes the paths pipes in place of links.
	pipe *tun.PipeConfig
	// asleep, if set, is for how long the client's machine has been suspended, in nanoseconds.
	asleep *atomic.Int64
}

// pair is two hosts in a world of their own, joined by paths.
type pair struct {
	setup
	t              testing.TB
	w              *simnet.World
	nodes          [2]*simnet.Host // the client's, the server's
	client, server *Host
	links          []*simnet.Link // A is the client's end; none if the paths are pipes
	made           int            // paths
}

// onPair runs a test on a new pair, in virtual time. When it is over the hosts have to hold
// nothing any more, and no goroutine is left.
func onPair(t *testing.T, s setup, f func(t *testing.T, p *pair)) {
	t.Helper()
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
		p := newPair(t, w, s)
		t.Cleanup(p.dumpIfFailed)
		f(t, p)
	})
}

// newPair adds a pair to a world.
func newPair(t testing.TB, w *simnet.World, s setup) *pair {
	t.Helper()
	if s.shape.Delay == 0 {
		s.shape.Delay = delay
	}
	p := &pair{setup: s, t: t, w: w, nodes: [2]*simnet.Host{w.Host("client"), w.Host("server")}}
	p.client, p.server = p.newHost(0, s.client), p.newHost(1, s.server)
	for range s.paths {
		p.addPath()
	}
	return p
}

// newHost makes one side's host, with a path manager that knows where the paths lead.
func (p *pair) newHost(side int, cfg *Config) *Host {
	p.t.Helper()
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if c.PathManager == nil {
		c.PathManager = newParallel
	}
	c.Environment = p.nodes[side]
	if side == 0 && p.asleep != nil {
		c.Environment = laptop{p.nodes[side], p.asleep}
	}
	h, err := NewHost(&c)
	require.NoError(p.t, err)
	return h
}

// addPath joins the hosts by one more path.
func (p *pair) addPath() {
	p.t.Helper()
	p.made++
	var devices [2]tun.Device
	if p.pipe != nil {
		cfg := *p.pipe
		cfg.Names = [2]string{fmt.Sprint("client-server/", p.made), fmt.Sprint("server-client/", p.made)}
		a, b := tun.Pipe(cfg)
		devices = [2]tun.Device{p.nodes[0].Attach(a), p.nodes[1].Attach(b)}
	} else {
		shape := p.shape
		if p.shapes != nil {
			shape = p.shapes[p.made-1]
		}
		l := p.w.Connect(p.nodes[0], p.nodes[1], shape, shape)
		p.links = append(p.links, l)
		devices = [2]tun.Device{l.A, l.B}
	}
	for side, h := range []*Host{p.client, p.server} {
		require.NoError(p.t, h.AddDevice(devices[side], netip.PrefixFrom(address(p.made-1, side), 24)))
	}
}

// address is that of a side on a path.
func address(path, side int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(path + 1), byte(side + 1)})
}

// connect returns both ends of a connection to the server's first address.
func (p *pair) connect() (client, server *Conn) {
	p.t.Helper()
	l, err := p.server.Listen("tcp", ":443")
	require.NoError(p.t, err)
	defer l.Close()
	client, server, err = dialAccept(p.t, p.client, l)
	require.NoError(p.t, err)
	return client, server
}

// dialAccept returns both ends of a connection to a listener.
func dialAccept(t testing.TB, h *Host, l *Listener) (client, server *Conn, err error) {
	client, err = h.Dial(context.Background(), "tcp", fmt.Sprintf("10.0.1.2:%d", l.Addr().(*net.TCPAddr).Port))
	if err != nil {
		return nil, nil, err
	}
	server, err = l.AcceptMPTCP()
	return client, server, err
}

// connectFully is connect, and waits until all n subflows are up on both sides.
func (p *pair) connectFully(n int) (client, server *Conn) {
	p.t.Helper()
	client, server = p.connect()
	confirm(p.t, client, server)
	eventually(p.t, func() bool { return established(client) == n && established(server) == n }, "%d subflows", n)
	return client, server
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

// closeBoth ends a connection whose streams may have ended, and waits for the confirmations.
func closeBoth(t testing.TB, a, b *Conn) {
	t.Helper()
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
	require.NoError(t, a.Wait(context.Background()))
	require.NoError(t, b.Wait(context.Background()))
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

// stream sends n random bytes from one end to the other and compares digests.
func stream(t testing.TB, from, to net.Conn, n int, seed int64) {
	t.Helper()
	sent, got := sha256.New(), sha256.New()
	written := async(func() error {
		_, err := io.Copy(io.MultiWriter(from, sent), io.LimitReader(rand.New(rand.NewSource(seed)), int64(n)))
		if err == nil {
			err = from.(interface{ CloseWrite() error }).CloseWrite()
		}
		return err
	})
	m, err := io.Copy(got, to)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.EqualValues(t, n, m)
	require.Equal(t, sent.Sum(nil), got.Sum(nil))
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

// dumpIfFailed prints the connections that are left when the test has failed.
func (p *pair) dumpIfFailed() {
	if !p.t.Failed() {
		return
	}
	for _, h := range []*Host{p.client, p.server} {
		h.mu.Lock()
		list := h.connList()
		h.mu.Unlock()
		for _, c := range list {
			p.t.Log(c.dump())
		}
	}
}
