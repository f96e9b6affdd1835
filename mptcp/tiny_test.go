package mptcp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// tinyNet is a client with some paths of one shape to a server.
type tinyNet struct {
	shape simnet.Shape
	paths int
	proxy bool
	cfg   Config
}

// transfer sends n bytes either way over the network and returns how long that took; it fails
// the test if it takes longer than bound.
func (n tinyNet) transfer(t *testing.T, size int, bound time.Duration) time.Duration {
	var took time.Duration
	err := simnet.Run(simnet.Config{Seed: 7, Deadline: bound + time.Minute}, func(w *simnet.World) {
		client, server := w.Host("client"), w.Host("server")
		hosts := [2]*Host{}
		for i, node := range []*simnet.Host{client, server} {
			cfg := n.cfg
			cfg.Environment = node
			h, err := NewHost(&cfg)
			require.NoError(t, err)
			hosts[i] = h
		}
		hub := w.Router("hub")
		last := w.Connect(hub, server, simnet.Shape{}, simnet.Shape{})
		hub.Route(netip.MustParsePrefix("192.0.2.0/24"), last)
		require.NoError(t, hosts[1].AddDevice(last.B, netip.MustParsePrefix("192.0.2.1/24")))
		for i := range n.paths {
			link := w.Connect(client, hub, n.shape, n.shape)
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 24)
			hub.Route(prefix, link)
			if n.proxy {
				x := &simnet.AckProxy{Skip: 20} // earlier ones make the ends disagree about MPTCP
				link.There.Through(x.Data)
				link.Back.Through(x.Acks)
			}
			require.NoError(t, hosts[0].AddDevice(link.A, prefix))
		}
		l, err := hosts[1].Listen("tcp", ":443")
		require.NoError(t, err)
		c, err := hosts[0].Dial(context.Background(), "tcp", "192.0.2.1:443")
		require.NoError(t, err)
		s, err := l.AcceptMPTCP()
		require.NoError(t, err)
		began := w.Elapsed()
		data := make([]byte, size)
		rand.New(rand.NewSource(1)).Read(data)
		for _, e := range []*Conn{c, s} {
			go func() {
				_, _ = e.Write(data) // what is missing is noticed below
				_ = e.CloseWrite()
			}()
		}
		got := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(c)
			got <- b
		}()
		fromClient, err := io.ReadAll(s)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, fromClient), "client to server")
		require.True(t, bytes.Equal(data, <-got), "server to client")
		require.NoError(t, c.Wait(context.Background()))
		require.NoError(t, s.Wait(context.Background()))
		took = w.Elapsed() - began
	})
	require.NoError(t, err)
	require.Less(t, took, bound)
	return took
}

// Small buffers never stall: whatever the network does to a transfer, it goes on. The bounds
// are some times what the rate, or a window in each round trip, allows.
func TestTinyBuffers(t *testing.T) {
	troubles := []struct {
		name   string
		change func(n *tinyNet)
	}{
		{"none", func(*tinyNet) {}},
		{"loss", func(n *tinyNet) { n.shape.Loss = 0.03 }},
		{"reordering", func(n *tinyNet) { n.shape.Reorder, n.shape.ReorderBy = 0.1, 50*time.Millisecond }},
		{"short queue", func(n *tinyNet) { n.shape.Queue.Packets = 3 }},
		{"ACK proxy", func(n *tinyNet) { n.proxy = true }},
		{"all of it", func(n *tinyNet) {
			n.proxy, n.shape.Loss, n.shape.Reorder, n.shape.ReorderBy = true, 0.01, 0.05, 30*time.Millisecond
		}},
	}
	for _, buffer := range []int{4 << 10, 8 << 10, 16 << 10}[:few(3)] {
		for _, rate := range []simnet.Rate{simnet.Mbps / 10, simnet.Mbps / 2, 10 * simnet.Mbps} {
			for _, trouble := range troubles {
				for paths := 1; paths <= 3; paths++ {
					t.Run(fmt.Sprintf("%d bytes, %v, %s, %d paths", buffer, rate, trouble.name, paths), func(t *testing.T) {
						n := tinyNet{shape: simnet.Shape{Rate: rate, Delay: 20 * time.Millisecond}, paths: paths}
						n.cfg.SendBuffer, n.cfg.ReceiveBuffer = buffer, buffer
						trouble.change(&n)
						const size = 100_000
						wire := time.Duration(float64(size*8) / float64(rate) * float64(time.Second))
						bound := 4*wire + size/2000*80*time.Millisecond
						if n.proxy {
							bound += time.Minute // it repeats one segment every 300 ms
						}
						took := n.transfer(t, size, bound)
						t.Logf("%v of %v", took, bound)
					})
				}
			}
		}
	}
}
