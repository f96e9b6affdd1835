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

// The addresses on the pipes: the server has one device with one address, to which
// each device of the client has a pipe of its own.
var (
	pipeServer  = netip.MustParsePrefix("10.0.9.1/24")
	pipeClients = []netip.Prefix{netip.MustParsePrefix("10.0.1.1/24"), netip.MustParsePrefix("10.0.2.1/24")}
)

// star returns n devices of a client and one of a server, without anything between them
// that would cost time: the clients write to one queue, and the server's packets are put
// straight into the queue of the client's device that has their destination.
func star(n int) (clients []tun.Device, server tun.Device) {
	first, last := tun.Pipe(tun.PipeConfig{Names: [2]string{"a1", "b"}})
	s := &starServer{Device: last, to: map[netip.Addr]tun.Device{pipeClients[0].Addr(): last}}
	clients = append(clients, first)
	for i := 1; i < n; i++ {
		near, far := tun.Pipe(tun.PipeConfig{Names: [2]string{fmt.Sprintf("a%d", i+1)}})
		s.to[pipeClients[i].Addr()] = far
		clients = append(clients, starClient{near, first})
	}
	return clients, s
}

type starServer struct {
	tun.Device
	to map[netip.Addr]tun.Device
}

// Write implements tun.Device.
func (s *starServer) Write(pkts []tun.Packet) error {
	for i := range pkts {
		dst := netip.AddrFrom4([4]byte(pkts[i].Head[16:20]))
		if err := s.to[dst].Write(pkts[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

type starClient struct {
	tun.Device
	hub tun.Device
}

// Write implements tun.Device.
func (c starClient) Write(pkts []tun.Packet) error { return c.hub.Write(pkts) }

// overPipe connects two hosts of the contender in this process: a connector.
func overPipe(t testing.TB, k contender) (c net.Conn, data *atomic.Int64, stop func()) {
	t.Helper()
	data = new(atomic.Int64)
	devs, hub := star(k.devices())
	for i := range devs {
		devs[i] = counted{devs[i], data}
	}
	client := k.newEnd(t, devs, pipeClients)
	server := k.newEnd(t, []tun.Device{hub}, []netip.Prefix{pipeServer})
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
	c = dial(t, client, netip.AddrPortFrom(pipeServer.Addr(), port))
	return c, data, func() {
		require.NoError(t, c.Close())
		require.NoError(t, <-served)
		client.Close()
		server.Close()
	}
}

// warm is what is transferred before counting.
const warm = 64 << 20

// benchmark is a steady transfer of 1 MiB for each operation. Connect is overPipe or
// the like.
func benchmark(b *testing.B, k contender, down bool, connect connector) {
	c, _, stop := connect(b, k)
	b.ReportAllocs()
	b.SetBytes(1 << 20)
	begin := func() {
		k.awaitSubflows(b, c)
		b.ResetTimer()
	}
	require.NoError(b, job{Down: down, Warm: warm, Bytes: int64(b.N) << 20}.run(c, begin, b.StopTimer))
	stop()
}

// connector connects a contender to an end that serves jobs. Data counts the
// super-segments that go either way. Stop ends all.
type connector func(testing.TB, contender) (c net.Conn, data *atomic.Int64, stop func())

func BenchmarkPipePlain(b *testing.B)       { benchmark(b, plainNetstack, false, overPipe) }
func BenchmarkPipeOneSubflow(b *testing.B)  { benchmark(b, oneSubflow, false, overPipe) }
func BenchmarkPipeTwoSubflows(b *testing.B) { benchmark(b, twoSubflows, false, overPipe) }
