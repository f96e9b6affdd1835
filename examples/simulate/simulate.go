package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// network is two paths between the client and the server, and what happens to them.
type network struct {
	name          string
	first, second simnet.Shape
	events        func(w *simnet.World, first, second *simnet.Link)
}

var networks = []network{
	{
		name:   "two alike",
		first:  simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 20 * time.Millisecond, Queue: simnet.Queue{Time: 100 * time.Millisecond}},
		second: simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 20 * time.Millisecond, Queue: simnet.Queue{Time: 100 * time.Millisecond}},
	},
	{
		name:   "lossy, and slow",
		first:  simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 5 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.005},
		second: simnet.Shape{Rate: 5 * simnet.Mbps, Delay: 60 * time.Millisecond, Queue: simnet.Queue{Time: time.Second}},
	},
	{
		name:   "first cut at 1.5 s",
		first:  simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 10 * time.Millisecond},
		second: simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 30 * time.Millisecond},
		events: func(w *simnet.World, first, _ *simnet.Link) {
			w.At(1500*time.Millisecond, first.Down)
			w.At(6*time.Second, first.Up)
		},
	},
}

// result is what came of a run.
type result struct {
	took   time.Duration // from dialling to the last byte at the server
	stall  time.Duration // the longest time in which the server's program got nothing
	second float64       // share of the bytes that went over the second path
}

// simulate sends size bytes from the client to the server in a world of their own.
func simulate(n network, c contender, size int, seed uint64) (r result, err error) {
	stuck := simnet.Run(simnet.Config{Seed: seed, Deadline: time.Hour}, func(w *simnet.World) {
		r, err = transfer(w, n, c, size)
	})
	if stuck != nil {
		return result{}, stuck
	}
	return r, err
}

func transfer(w *simnet.World, n network, c contender, size int) (result, error) {
	client, server, paths, err := build(w, n, c)
	if err != nil {
		return result{}, err
	}
	listener, err := server.Listen("tcp", ":80")
	if err != nil {
		return result{}, err
	}
	conn, err := client.Dial(context.Background(), "tcp", "192.0.2.1:80")
	if err != nil {
		return result{}, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(make([]byte, size))
		if err == nil {
			err = conn.Close()
		}
		sent <- err
	}()
	from, err := listener.Accept()
	if err != nil {
		return result{}, err
	}
	r, got, err := receive(w, from)
	switch {
	case err != nil:
		return result{}, err
	case got != size:
		return result{}, fmt.Errorf("%d of %d bytes have come", got, size)
	}
	first, second := paths[0].There.Stats().ArrivedBytes, paths[1].There.Stats().ArrivedBytes
	r.second = float64(second) / float64(first+second)
	return r, <-sent
}

// receive reads to the end and returns the number of bytes.
func receive(w *simnet.World, from io.Reader) (r result, got int, err error) {
	buf := make([]byte, 64<<10)
	last := w.Elapsed()
	for {
		n, err := from.Read(buf)
		now := w.Elapsed()
		if err == io.EOF {
			return r, got, nil
		}
		if err != nil {
			return r, got, err
		}
		got += n
		r.took, r.stall, last = now, max(r.stall, now-last), now
	}
}

// build makes two hosts: the client with both paths, which meet at a router in front of the
// server.
func build(w *simnet.World, n network, c contender) (client, server *mptcp.Host, paths []*simnet.Link, err error) {
	here, internet, there := w.Host("client"), w.Router("internet"), w.Host("server")
	if client, err = mptcp.NewHost(&mptcp.Config{Environment: here, Scheduler: c.scheduler, PathManager: c.pathManager}); err != nil {
		return nil, nil, nil, err
	}
	if server, err = mptcp.NewHost(&mptcp.Config{Environment: there}); err != nil {
		return nil, nil, nil, err
	}
	last := w.Connect(internet, there, simnet.Shape{}, simnet.Shape{})
	internet.Route(netip.MustParsePrefix("192.0.2.0/24"), last)
	if err = server.AddDevice(last.B, netip.MustParsePrefix("192.0.2.1/24")); err != nil {
		return nil, nil, nil, err
	}
	for i, shape := range []simnet.Shape{n.first, n.second} {
		l := w.Connect(here, internet, shape, shape)
		address := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 1}), 24)
		internet.Route(address, l)
		if err = client.AddDevice(l.A, address); err != nil {
			return nil, nil, nil, err
		}
		paths = append(paths, l)
	}
	if n.events != nil {
		n.events(w, paths[0], paths[1])
	}
	return client, server, paths, nil
}
