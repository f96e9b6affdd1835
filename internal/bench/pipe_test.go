package bench

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
)

// overPipe connects two hosts of the contender in this process and serves jobs at one
// of them. Data counts the super-segments that go either way. Stop ends all.
func overPipe(t testing.TB, k contender) (c net.Conn, data *atomic.Int64, stop func()) {
	t.Helper()
	data = new(atomic.Int64)
	var devs [2][]tun.Device
	var addrs [2][]netip.Prefix
	for i := range k.devices() {
		a, b := tun.Pipe(tun.PipeConfig{Names: [2]string{fmt.Sprintf("a%d", i+1), fmt.Sprintf("b%d", i+1)}})
		devs[0], devs[1] = append(devs[0], counted{a, data}), append(devs[1], b)
		for e := range addrs {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(i + 1), byte(e + 1)})
			addrs[e] = append(addrs[e], netip.PrefixFrom(addr, 24))
		}
	}
	client, server := k.newEnd(t, devs[0], addrs[0]), k.newEnd(t, devs[1], addrs[1])
	l, err := server.Listen(port)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = serve(c)
		}
		served <- err
	}()
	c = dial(t, client, netip.AddrPortFrom(addrs[1][0].Addr(), port))
	return c, data, func() {
		require.NoError(t, c.Close())
		require.NoError(t, <-served)
		client.Close()
		server.Close()
	}
}

// warm is what is transferred before counting.
const warm = 64 << 20

// benchmark is a steady transfer over a pipe, whose two ends are both in the profile.
func benchmark(b *testing.B, k contender) {
	c, _, stop := overPipe(b, k)
	b.ReportAllocs()
	b.SetBytes(1 << 20)
	j := job{Warm: warm, Bytes: int64(b.N) << 20}
	begin := func() {
		k.awaitSubflows(b, c)
		b.ResetTimer()
	}
	require.NoError(b, j.run(c, begin, b.StopTimer))
	stop()
}

// One operation is 1 MiB.
func BenchmarkPipePlain(b *testing.B)       { benchmark(b, plainNetstack) }
func BenchmarkPipeOneSubflow(b *testing.B)  { benchmark(b, oneSubflow) }
func BenchmarkPipeTwoSubflows(b *testing.B) { benchmark(b, twoSubflows) }
