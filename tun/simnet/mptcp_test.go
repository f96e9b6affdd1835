package simnet_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// pair is two MPTCP hosts with a link for each shape.
type pair struct {
	w              *simnet.World
	client, server *mptcp.Host
	links          []*simnet.Link
}

func newPair(t testing.TB, w *simnet.World, cfg *mptcp.Config, shapes ...simnet.Shape) *pair {
	t.Helper()
	if cfg == nil {
		cfg = &mptcp.Config{}
	}
	cn, sn := w.Host("client"), w.Host("server")
	cc, sc := *cfg, *cfg
	cc.Environment, sc.Environment = cn, sn
	c, err := mptcp.NewHost(&cc)
	require.NoError(t, err)
	s, err := mptcp.NewHost(&sc)
	require.NoError(t, err)
	p := &pair{w: w, client: c, server: s}
	for i, sh := range shapes {
		l := w.Connect(cn, sn, sh, sh)
		p.links = append(p.links, l)
		require.NoError(t, c.AddDevice(l.A, prefix(i, 1)))
		require.NoError(t, s.AddDevice(l.B, prefix(i, 2)))
	}
	return p
}

func prefix(link, host int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(link + 1), byte(host)}), 24)
}

// connect returns both ends of a connection to the server's first address.
func (p *pair) connect(t testing.TB) (client, server *mptcp.Conn) {
	t.Helper()
	l, err := p.server.Listen("tcp", ":443")
	require.NoError(t, err)
	defer l.Close()
	client, err = p.client.Dial(t.Context(), "tcp", "10.0.1.2:443")
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

func TestTransferWithLoss(t *testing.T) {
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		p := newPair(t, w, nil, simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 25 * time.Millisecond, Loss: 0.01})
		c, s := p.connect(t)
		took := stream(t, c, s, 20<<20)
		fmt.Println(took, p.links[0].There, p.links[0].Back)
	})
}
