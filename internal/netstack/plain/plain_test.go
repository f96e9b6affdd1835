package plain_test

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/netstack/plain"
	"github.com/gomptcp/gomptcp/tun"
)

// pair returns two stacks joined by a pipe, and a connection between them.
func pair(t testing.TB, cfg tun.PipeConfig, prefixes [2]string) (client, server net.Conn) {
	a, b := tun.Pipe(cfg)
	sa, err := plain.New(a, netip.MustParsePrefix(prefixes[0]))
	require.NoError(t, err)
	t.Cleanup(sa.Close)
	sb, err := plain.New(b, netip.MustParsePrefix(prefixes[1]))
	require.NoError(t, err)
	t.Cleanup(sb.Close)

	l, err := sb.Listen(80)
	require.NoError(t, err)
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
		close(accepted)
	}()
	at := netip.AddrPortFrom(netip.MustParsePrefix(prefixes[1]).Addr(), 80)
	client, err = sa.Dial(context.Background(), at)
	require.NoError(t, err)
	server = <-accepted
	require.NotNil(t, server)
	return client, server
}

var (
	families = map[string][2]string{
		"v4": {"192.0.2.1/24", "192.0.2.2/24"},
		"v6": {"2001:db8::1/64", "2001:db8::2/64"},
	}
	devices = map[string]tun.PipeConfig{
		"offload":    {},
		"no GSO":     {NoGSO: true},
		"no offload": {NoGSO: true, NoChecksum: true},
	}
)

func TestTransferArrivesWhole(t *testing.T) {
	data := make([]byte, 4<<20)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(data)
	for family, prefixes := range families {
		for device, cfg := range devices {
			t.Run(family+" "+device, func(t *testing.T) {
				client, server := pair(t, cfg, prefixes)
				go func() {
					_, _ = client.Write(data)
					_ = client.Close()
				}()
				h := sha256.New()
				n, err := io.Copy(h, server)
				require.NoError(t, err)
				require.EqualValues(t, len(data), n)
				want := sha256.Sum256(data)
				require.Equal(t, want[:], h.Sum(nil))
			})
		}
	}
}

func TestDialWithoutListenerFails(t *testing.T) {
	a, b := tun.Pipe(tun.PipeConfig{})
	sa, err := plain.New(a, netip.MustParsePrefix("192.0.2.1/24"))
	require.NoError(t, err)
	defer sa.Close()
	sb, err := plain.New(b, netip.MustParsePrefix("192.0.2.2/24"))
	require.NoError(t, err)
	defer sb.Close()
	c, err := sa.Dial(context.Background(), netip.MustParseAddrPort("192.0.2.2:81"))
	require.ErrorContains(t, err, "refused")
	require.Nil(t, c)
}

func BenchmarkTransfer(b *testing.B) {
	for device, cfg := range devices {
		b.Run(device, func(b *testing.B) {
			client, server := pair(b, cfg, families["v4"])
			chunk := make([]byte, 256<<10)
			done := make(chan struct{})
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				defer close(done)
				buf := make([]byte, 256<<10)
				for left := int64(b.N) * int64(len(chunk)); left > 0; {
					n, err := server.Read(buf)
					if err != nil {
						return
					}
					left -= int64(n)
				}
			}()
			for range b.N {
				if _, err := client.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			<-done
		})
	}
}
