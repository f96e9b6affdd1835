package simnet_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// pair is a client with several links to a router and a server behind that.
type pair struct {
	w              *simnet.World
	client, server *mptcp.Host
	links          []*simnet.Link // from the client, in the order of the shapes
}

var (
	address = netip.MustParsePrefix("192.0.2.1/24") // of the server
	all     = netip.MustParsePrefix("0.0.0.0/0")
)

func newPair(t testing.TB, w *simnet.World, cfg *mptcp.Config, shapes ...simnet.Shape) *pair {
	t.Helper()
	if cfg == nil {
		cfg = &mptcp.Config{}
	}
	cn, sn, hub := w.Host("client"), w.Host("server"), w.Router("hub")
	cc, sc := *cfg, *cfg
	cc.Environment, sc.Environment = cn, sn
	c, err := mptcp.NewHost(&cc)
	require.NoError(t, err)
	s, err := mptcp.NewHost(&sc)
	require.NoError(t, err)
	p := &pair{w: w, client: c, server: s}
	last := w.Connect(hub, sn, simnet.Shape{}, simnet.Shape{})
	hub.Route(all, last)
	require.NoError(t, s.AddDevice(last.B, address))
	for i, shape := range shapes {
		l := w.Connect(cn, hub, shape, shape)
		p.links = append(p.links, l)
		require.NoError(t, c.AddDevice(l.A, clientAddress(i)))
		hub.Route(clientAddress(i), l)
	}
	return p
}

// clientAddress is what the client has on a link.
func clientAddress(link int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(link + 1), 1}), 24)
}

// connect returns both ends of a connection to the server's first address.
func (p *pair) connect(t testing.TB) (client, server *mptcp.Conn) {
	t.Helper()
	l, err := p.server.Listen("tcp", ":443")
	require.NoError(t, err)
	defer l.Close()
	client, err = p.client.Dial(context.Background(), "tcp", "192.0.2.1:443")
	require.NoError(t, err)
	server, err = l.AcceptMPTCP()
	require.NoError(t, err)
	return client, server
}

// stream sends n bytes, checks that they arrive, and returns the virtual time it took.
func stream(t testing.TB, from, to *mptcp.Conn, n int) time.Duration {
	t.Helper()
	began := time.Now()
	sent, got := sha256.New(), sha256.New()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.MultiWriter(from, sent), io.LimitReader(rand.New(rand.NewSource(1)), int64(n)))
		if err == nil {
			err = from.CloseWrite()
		}
		done <- err
	}()
	m, err := io.Copy(got, to)
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.EqualValues(t, n, m)
	require.Equal(t, sent.Sum(nil), got.Sum(nil))
	return time.Since(began)
}

// The design's yardstick: BBR fills a lossy path, CUBIC cannot.
func TestTransferWithLoss(t *testing.T) {
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		p := newPair(t, w, &mptcp.Config{Congestion: congestion.NewBBR}, simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 25 * time.Millisecond, Loss: 0.01})
		c, s := p.connect(t)
		size := 20 << 20
		if raceDetector {
			size /= 8
		}
		took := stream(t, c, s, size)
		t.Log(took, p.links[0].There, p.links[0].Back)
		require.Less(t, took, 14*time.Second)
	})
}

func TestTwoPathsAddUp(t *testing.T) {
	simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		p := newPair(t, w, nil,
			simnet.Shape{Rate: 8 * simnet.Mbps, Delay: 10 * time.Millisecond},
			simnet.Shape{Rate: 4 * simnet.Mbps, Delay: 30 * time.Millisecond})
		c, s := p.connect(t)
		took := stream(t, c, s, 8<<20)
		t.Log(took, p.links[0].There, p.links[1].There)
		require.Len(t, c.Info().Subflows, 2)
		require.Less(t, took, 7500*time.Millisecond, "5.9 s if both links were full all the time")
	})
}

func TestPathIsCutAndComesBack(t *testing.T) {
	simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		shape := simnet.Shape{Rate: 4 * simnet.Mbps, Delay: 10 * time.Millisecond}
		p := newPair(t, w, nil, shape, shape)
		c, s := p.connect(t)
		first := p.links[0]
		w.At(2*time.Second, first.Down)
		var down, up uint64
		w.At(3*time.Second, func() { down = first.There.Stats().ArrivedBytes })
		w.At(5*time.Second, first.Up)
		w.At(12*time.Second, func() { up = first.There.Stats().ArrivedBytes })
		took := stream(t, c, s, 10<<20)
		t.Log(took, first.There, p.links[1].There)
		require.Greater(t, down, uint64(600<<10))
		require.Greater(t, up, down+1<<20, "it is in use again")
	})
}

func TestDeviceFailsAndComesBack(t *testing.T) {
	simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		shape := simnet.Shape{Rate: 4 * simnet.Mbps, Delay: 10 * time.Millisecond}
		p := newPair(t, w, nil, shape, shape)
		c, s := p.connect(t)
		dev := p.links[1].A
		w.At(2*time.Second, func() { dev.Fail(errors.New("unplugged")) })
		w.At(3*time.Second, func() { assert.NoError(t, p.client.AddDevice(dev.Device(), clientAddress(1))) })
		stream(t, c, s, 4<<20)
		require.Len(t, c.Info().Subflows, 3)
	})
}

func TestThroughMiddleboxes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		set   func(l *simnet.Link)
		mptcp bool
	}{
		{"NAT", func(l *simnet.Link) {
			nat := simnet.NewNAT(netip.MustParseAddr("10.0.1.9"))
			l.There.Through(nat.Out)
			l.Back.Through(nat.In)
		}, true},
		{"new sequence numbers", func(l *simnet.Link) {
			x := simnet.ShiftSequence{By: 0x12345678, ByBack: 0xfedcba98}
			l.There.Through(x.There)
			l.Back.Through(x.Back)
		}, true},
		{"segments split", func(l *simnet.Link) { l.There.Through(simnet.SplitSegments(500)) }, true},
		{"options stripped from SYN", func(l *simnet.Link) { l.There.Through(simnet.StripMPTCP(simnet.IsSYN)) }, false},
		{"options stripped", func(l *simnet.Link) { l.Back.Through(simnet.StripMPTCP(nil)) }, false},
		{"ACK proxy", func(l *simnet.Link) {
			proxy := &simnet.AckProxy{Skip: 20}
			l.There.Through(proxy.Data)
			l.Back.Through(proxy.Acks)
		}, true},
		// The proxy acknowledges the first data before the server can add a DATA_ACK: the
		// client goes on as plain TCP and tells the server so by the infinite mapping
		// (8684-3.7-04).
		{"ACK proxy from the start", func(l *simnet.Link) {
			proxy := &simnet.AckProxy{}
			l.There.Through(proxy.Data)
			l.Back.Through(proxy.Acks)
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
				p := newPair(t, w, nil, simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 10 * time.Millisecond, Loss: 0.001})
				tc.set(p.links[0])
				c, s := p.connect(t)
				stream(t, c, s, 1<<20)
				require.Equal(t, tc.mptcp, c.Info().MPTCP)
			})
		})
	}
}

func TestIPv6(t *testing.T) {
	simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		cn, sn := w.Host("client"), w.Host("server")
		l := w.Connect(cn, sn, simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 5 * time.Millisecond}, simnet.Shape{Delay: 5 * time.Millisecond})
		client, err := mptcp.NewHost(&mptcp.Config{Environment: cn})
		require.NoError(t, err)
		server, err := mptcp.NewHost(&mptcp.Config{Environment: sn})
		require.NoError(t, err)
		require.NoError(t, client.AddDevice(l.A, netip.MustParsePrefix("2001:db8::1/64")))
		require.NoError(t, server.AddDevice(l.B, netip.MustParsePrefix("2001:db8::2/64")))
		listener, err := server.Listen("tcp", ":443")
		require.NoError(t, err)
		c, err := client.Dial(t.Context(), "tcp", "[2001:db8::2]:443")
		require.NoError(t, err)
		s, err := listener.AcceptMPTCP()
		require.NoError(t, err)
		stream(t, c, s, 1<<20)
		require.True(t, c.Info().MPTCP)
	})
}

// A peer that is gone is missed by keepalive, on a connection that is closed in one
// direction too, plain TCP or not.
func TestPeerIsMissedAfterHalfClose(t *testing.T) {
	for _, plain := range []bool{false, true} {
		simnet.Test(t, simnet.Config{Deadline: 30 * time.Minute}, func(t *testing.T, w *simnet.World) {
			p := newPair(t, w, &mptcp.Config{DisableMPTCP: plain}, simnet.Shape{Delay: 10 * time.Millisecond}, simnet.Shape{Delay: 20 * time.Millisecond})
			c, s := p.connect(t)
			require.NoError(t, c.CloseWrite())
			_, err := s.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			time.Sleep(time.Second)
			for _, l := range p.links {
				l.Down()
			}
			began := w.Elapsed()
			_, err = c.Read(make([]byte, 1))
			require.Error(t, err)
			require.Less(t, w.Elapsed()-began, 5*time.Minute)
		})
	}
}
