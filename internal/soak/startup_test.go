package soak

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// firstPath is how Linux' server spreads what it sends (mptcp_subflow_get_send): the subflow that would take
// least time for what it holds, the first of the list among equals, and backups only when there is nothing
// else. It never waits for a better one.
type firstPath struct{}

func (firstPath) Name() string { return "firstpath" }

func (firstPath) Pick(req scheduler.Request, paths []scheduler.Path, picked []int) []int {
	for _, backups := range []bool{false, true} {
		best, active := -1, false
		var least float64
		for i := range paths {
			p := &paths[i]
			if p.Stale || (p.Backup || p.LocalBackup) != backups || req.Reinjection && p.ID == req.ReinjectionOf {
				continue
			}
			active = true
			if p.Room <= 0 {
				continue
			}
			linger := float64(p.InFlight+p.Unsent) / max(2*float64(p.Cwnd)/max(p.SRTT.Seconds(), 1e-3), 1)
			if best < 0 || linger < least {
				best, least = i, linger
			}
		}
		if best >= 0 {
			return append(picked, best)
		}
		if active {
			return picked
		}
	}
	return picked
}

// home is a client with its paths, and a server that answers it as Linux would.
type home struct {
	name   string
	paths  []simnet.Shape
	window int // of the server, in bytes; 0: plenty
	client mptcp.Config
}

// start runs f with a fresh connection, in virtual time.
func (h home) start(t *testing.T, seed uint64, f func(t *testing.T, w *simnet.World, c, s *mptcp.Conn)) {
	t.Helper()
	require.NoError(t, simnet.Run(simnet.Config{Seed: seed, Deadline: deadline}, func(w *simnet.World) {
		nodes, hub := [2]*simnet.Host{w.Host("client"), w.Host("server")}, w.Router("hub")
		cfg := h.client
		cfg.Environment = nodes[0]
		client, err := mptcp.NewHost(&cfg)
		require.NoError(t, err)
		other := mptcp.Config{
			Environment: nodes[1], ReceiveBuffer: h.window,
			Scheduler: func() scheduler.Scheduler { return firstPath{} },
		}
		server, err := mptcp.NewHost(&other)
		require.NoError(t, err)
		last := w.Connect(hub, nodes[1], simnet.Shape{}, simnet.Shape{})
		hub.Route(netip.MustParsePrefix("192.0.2.0/24"), last)
		require.NoError(t, server.AddDevice(last.B, netip.MustParsePrefix("192.0.2.1/24")))
		for i, shape := range h.paths {
			l := w.Connect(nodes[0], hub, shape, shape)
			a := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 1}), 24)
			hub.Route(a, l)
			require.NoError(t, client.AddDevice(l.A, a))
		}
		l, err := server.Listen("tcp", ":80")
		require.NoError(t, err)
		c, err := client.Dial(context.Background(), "tcp", "192.0.2.1:80")
		require.NoError(t, err)
		s, err := l.AcceptMPTCP()
		require.NoError(t, err)
		f(t, w, c, s)
		_ = c.Close()
		_ = s.Close()
		require.NoError(t, l.Close())
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
	}))
}

// request is what a client sends before a transfer.
const request = 100

// down is the time from a request until size bytes have come.
func (h home) down(t *testing.T, seed uint64, size int) (took time.Duration) {
	h.start(t, seed, func(t *testing.T, w *simnet.World, c, s *mptcp.Conn) {
		answered := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(s, make([]byte, request))
			if err == nil {
				_, err = s.Write(make([]byte, size))
			}
			answered <- err
		}()
		began := w.Elapsed()
		_, err := c.Write(make([]byte, request))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, size))
		require.NoError(t, err)
		took = w.Elapsed() - began
		require.NoError(t, <-answered)
	})
	return took
}

// up is the time from writing size bytes until the server has them all.
func (h home) up(t *testing.T, seed uint64, size int) (took time.Duration) {
	h.start(t, seed, func(t *testing.T, w *simnet.World, c, s *mptcp.Conn) {
		wrote := make(chan error, 1)
		began := w.Elapsed()
		go func() {
			_, err := c.Write(make([]byte, size))
			wrote <- err
		}()
		_, err := io.ReadFull(s, make([]byte, size))
		require.NoError(t, err)
		took = w.Elapsed() - began
		require.NoError(t, <-wrote)
	})
	return took
}

// firstSecond is the goodput of the first second of a long transfer in Mbit/s.
func (h home) firstSecond(t *testing.T, down bool) (mbps float64) {
	h.start(t, 1, func(t *testing.T, w *simnet.World, c, s *mptcp.Conn) {
		from, to := c, s
		if down {
			from, to = s, c
			_, err := c.Write(make([]byte, request))
			require.NoError(t, err)
			_, err = io.ReadFull(s, make([]byte, request))
			require.NoError(t, err)
		}
		began, got := w.Elapsed(), 0
		go func() { _, _ = from.Write(make([]byte, 64<<20)) }()
		buf := make([]byte, 64<<10)
		for {
			n, err := to.Read(buf)
			require.NoError(t, err)
			if w.Elapsed()-began > time.Second {
				break
			}
			got += n
		}
		mbps = float64(got) * 8 / 1e6
		c.Abort()
	})
	return mbps
}

// exchange is how long each of count requests takes until the answer has come, sorted.
func (h home) exchange(t *testing.T, seed uint64, count, req, resp int) (took []time.Duration) {
	h.start(t, seed, func(t *testing.T, w *simnet.World, c, s *mptcp.Conn) {
		go func() {
			for {
				if _, err := io.ReadFull(s, make([]byte, req)); err != nil {
					return
				}
				if _, err := s.Write(make([]byte, resp)); err != nil {
					return
				}
			}
		}()
		time.Sleep(200 * time.Millisecond)
		for range count {
			began := w.Elapsed()
			_, err := c.Write(make([]byte, req))
			require.NoError(t, err)
			_, err = io.ReadFull(c, make([]byte, resp))
			require.NoError(t, err)
			took = append(took, w.Elapsed()-began)
		}
	})
	return took
}

// near is what people have at home, far what they have in their pocket.
func near(loss float64) simnet.Shape {
	return simnet.Shape{Rate: 50 * simnet.Mbps, Delay: 10 * time.Millisecond, Queue: simnet.Queue{Time: 50 * time.Millisecond}, Loss: loss}
}

func far() simnet.Shape {
	return simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 40 * time.Millisecond, Queue: simnet.Queue{Time: 100 * time.Millisecond}}
}

func inMs(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Small transfers take the times of testdata/startup.txt, exactly, and no longer than over the better path alone.
func TestStartup(t *testing.T) {
	if raceDetector {
		t.Skip("slow, and the other tests have the same races")
	}
	var b strings.Builder
	b.WriteString("# ms that a transfer to, and from, a server takes which places data as Linux does, and Mbit/s of the first second;\n" +
		"# near: 50 Mbit/s, 10 ms; far: 20 Mbit/s, 40 ms.\n")
	sizes := []int{10_000, 100_000, 1_000_000, 4_000_000}
	fmt.Fprintf(&b, "%-20s", "bytes")
	for _, size := range sizes {
		fmt.Fprintf(&b, " %15d", size)
	}
	fmt.Fprintf(&b, " %11s", "1 s")
	took := map[string][]time.Duration{}
	for _, h := range []home{
		{name: "near", paths: []simnet.Shape{near(0)}},
		{name: "far", paths: []simnet.Shape{far()}},
		{name: "near, far", paths: []simnet.Shape{near(0), far()}},
		{name: "the same, unsteered", paths: []simnet.Shape{near(0), far()}, client: mptcp.Config{NoSteering: true}},
		{name: "far, near", paths: []simnet.Shape{far(), near(0)}},
	} {
		fmt.Fprintf(&b, "\n%-20s", h.name)
		for _, size := range sizes {
			up, down := h.up(t, 1, size), h.down(t, 1, size)
			took[h.name] = append(took[h.name], up, down)
			fmt.Fprintf(&b, " %15s", fmt.Sprintf("%.1f / %.1f", inMs(up), inMs(down)))
		}
		fmt.Fprintf(&b, " %11s", fmt.Sprintf("%.1f / %.1f", h.firstSecond(t, false), h.firstSecond(t, true)))
	}
	b.WriteByte('\n')
	golden(t, "testdata/startup.txt", b.String())
	for i, one := range took["near"] {
		require.Less(t, took["near, far"][i], one+one/20, "no worse than the better path")
	}
}

// What a lossy path does to questions and answers is in testdata/lossy.txt, exactly. A clean one that is as near keeps
// them from harm.
func TestLossyPath(t *testing.T) {
	if raceDetector {
		t.Skip("slow, and the other tests have the same races")
	}
	var b strings.Builder
	b.WriteString("# ms from a question until its answer: median and 99 of 100, of 1 KB and 1 KB, 64 KB up, 64 KB down; networks as in startup.txt,\n" +
		"# lossy loses 2 %.\n")
	exchanges := []struct{ req, resp, count int }{{1024, 1024, 300}, {65536, 64, 100}, {64, 65536, 100}}
	times := map[string][][2]time.Duration{}
	lossy, clean, interactive := near(0.02), near(0), mptcp.Config{Intent: mptcp.Interactive}
	for _, h := range []home{
		{name: "lossy", paths: []simnet.Shape{lossy}},
		{name: "clean", paths: []simnet.Shape{clean}},
		{name: "lossy, clean", paths: []simnet.Shape{lossy, clean}},
		{name: "interactive", paths: []simnet.Shape{lossy, clean}, client: interactive},
		{name: "lossy, far", paths: []simnet.Shape{lossy, far()}},
		{name: "far, interactive", paths: []simnet.Shape{lossy, far()}, client: interactive},
	} {
		fmt.Fprintf(&b, "%-18s", h.name)
		for _, x := range exchanges {
			var all []time.Duration
			for seed := range uint64(3) {
				all = append(all, h.exchange(t, seed+1, x.count, x.req, x.resp)...)
			}
			slices.Sort(all)
			half, most := all[len(all)/2], all[len(all)*99/100]
			times[h.name] = append(times[h.name], [2]time.Duration{half, most})
			fmt.Fprintf(&b, " %15s", fmt.Sprintf("%.1f / %.1f", inMs(half), inMs(most)))
		}
		b.WriteByte('\n')
	}
	golden(t, "testdata/lossy.txt", b.String())
	for _, name := range []string{"lossy, clean", "interactive"} {
		require.Less(t, times[name][0][1], 25*time.Millisecond, "%s: 1 KB", name)
		require.Less(t, times[name][1][0], 45*time.Millisecond, "%s: 64 KB up", name)
		require.Less(t, times[name][2][0], 45*time.Millisecond, "%s: 64 KB down", name)
	}
}

// In a small window the slower of two paths, which was there first, does not hold what the faster one could carry.
func TestSmallWindowOverUnequalPaths(t *testing.T) {
	slow, fast := near(0), near(0)
	slow.Rate = 10 * simnet.Mbps
	alone := home{paths: []simnet.Shape{fast}, window: 64 << 10}.up(t, 1, 4_000_000)
	both := home{paths: []simnet.Shape{slow, fast}, window: 64 << 10}.up(t, 1, 4_000_000)
	require.Less(t, both, alone+alone/20)
}
