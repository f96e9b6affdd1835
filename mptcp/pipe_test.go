package mptcp

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
)

// pair is two hosts joined by pipes, one for each path.
type pair struct {
	t              testing.TB
	client, server *Host
}

func newPair(t testing.TB, paths int, cfg tun.PipeConfig, client, server *Config) *pair {
	t.Helper()
	c, err := NewHost(overPipes(client))
	require.NoError(t, err)
	s, err := NewHost(overPipes(server))
	require.NoError(t, err)
	for i := range paths {
		net := byte(i + 1)
		cfg.Names = [2]string{string('a' + rune(i)), string('A' + rune(i))}
		a, b := tun.Pipe(cfg)
		require.NoError(t, c.AddDevice(a, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, net, 1}), 24)))
		addrs := []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, net, 2}), 24)}
		require.NoError(t, s.AddDevice(b, addrs...))
	}
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
	})
	return &pair{t, c, s}
}

// overPipes returns cfg with a path manager that knows where pipes lead.
func overPipes(cfg *Config) *Config {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if c.PathManager == nil {
		c.PathManager = newParallel
	}
	return &c
}

// connect returns both ends of a connection to the server's first address.
func (p *pair) connect() (client, server *Conn) {
	p.t.Helper()
	l, err := p.server.Listen("tcp", ":443")
	require.NoError(p.t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	client, err = p.client.Dial(ctx, "tcp", "10.0.1.2:443")
	require.NoError(p.t, err)
	server, err = l.AcceptMPTCP()
	require.NoError(p.t, err)
	return client, server
}

// stream sends n random bytes from one end to the other and compares digests.
func stream(t testing.TB, from, to net.Conn, n int, seed int64) {
	sent, got := sha256.New(), sha256.New()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.MultiWriter(from, sent), io.LimitReader(rand.New(rand.NewSource(seed)), int64(n)))
		if err == nil {
			err = from.(interface{ CloseWrite() error }).CloseWrite()
		}
		done <- err
	}()
	m, err := io.Copy(got, to)
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.EqualValues(t, n, m)
	require.Equal(t, sent.Sum(nil), got.Sum(nil))
}

func TestTransferOverOnePipe(t *testing.T) {
	p := newPair(t, 1, tun.PipeConfig{}, nil, nil)
	c, s := p.connect()
	stream(t, c, s, 20<<20, 1)
	stream(t, s, c, 20<<20, 2)
	require.NoError(t, c.Close())
	require.NoError(t, s.Close())
	require.NoError(t, c.Wait(t.Context()))
	require.NoError(t, s.Wait(t.Context()))
	require.True(t, c.Info().MPTCP)
	require.True(t, s.Info().MPTCP)
}

func TestTransferBothWaysAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name           string
		paths          int
		pipe           tun.PipeConfig
		client, server *Config
		mptcp          bool
	}{
		{"two paths", 2, tun.PipeConfig{}, nil, nil, true},
		{"two paths with checksums", 2, tun.PipeConfig{}, &Config{Checksum: true}, nil, true},
		{"two paths without offload", 2, tun.PipeConfig{NoGSO: true, NoChecksum: true}, nil, nil, true},
		{"plain client", 2, tun.PipeConfig{}, &Config{DisableMPTCP: true}, nil, false},
		{"plain server", 2, tun.PipeConfig{}, nil, &Config{DisableMPTCP: true}, false},
		{"small windows", 2, tun.PipeConfig{}, &Config{ReceiveBuffer: 8 << 10}, &Config{ReceiveBuffer: 64 << 10}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t, tc.paths, tc.pipe, tc.client, tc.server)
			c, s := p.connect()
			watch(t, 5*time.Second, c, s)
			done := make(chan struct{})
			go func() {
				defer close(done)
				stream(t, s, c, 10<<20, 2)
			}()
			stream(t, c, s, 10<<20, 1)
			<-done
			require.NoError(t, c.Close())
			require.NoError(t, s.Close())
			require.NoError(t, c.Wait(t.Context()))
			require.NoError(t, s.Wait(t.Context()))
			info := c.Info()
			require.Equal(t, tc.mptcp, info.MPTCP, info.FallbackReason)
			require.Equal(t, tc.mptcp, s.Info().MPTCP)
			require.EqualValues(t, 10<<20, info.BytesSent)
			require.EqualValues(t, 10<<20, info.BytesReceived)
			if tc.mptcp {
				require.Len(t, info.Subflows, tc.paths)
			} else {
				require.Len(t, info.Subflows, 1)
			}
		})
	}
}
