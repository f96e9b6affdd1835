//go:build linux

package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/uplink"
)

// recorder is an uplink.Host that only takes notes.
type recorder struct {
	mu     sync.Mutex
	now    map[string]tun.Device
	addrs  map[string][]netip.Prefix
	events chan event
}

type event struct {
	what string // "add" or "remove"
	name string
	at   time.Time
}

func newRecorder() *recorder {
	return &recorder{now: map[string]tun.Device{}, addrs: map[string][]netip.Prefix{}, events: make(chan event, 100)}
}

func (r *recorder) AddDevice(dev tun.Device, addrs ...netip.Prefix) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now[dev.Name()], r.addrs[dev.Name()] = dev, addrs
	r.events <- event{"add", dev.Name(), time.Now()}
	return nil
}

func (r *recorder) RemoveDevice(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	dev := r.now[name]
	if dev == nil {
		return errors.New("no such device")
	}
	delete(r.now, name)
	r.events <- event{"remove", name, time.Now()}
	return dev.Close()
}

// device returns a device that is attached, with its addresses.
func (r *recorder) device(name string) (tun.Device, []netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now[name], r.addrs[name]
}

// next is the next event.
func (r *recorder) next(t testing.TB, what string) event {
	t.Helper()
	select {
	case e := <-r.events:
		require.Equal(t, what, e.what)
		return e
	case <-time.After(patience):
		require.FailNow(t, "no event", "waiting for %s", what)
		return event{}
	}
}

func (r *recorder) requireQuiet(t testing.TB) {
	t.Helper()
	time.Sleep(50 * time.Millisecond)
	require.Empty(t, r.events)
}

// open opens the client's uplinks.
func (h *home) open(t testing.TB, cfg uplink.Config) *uplink.Uplinks {
	t.Helper()
	var u *uplink.Uplinks
	require.NoError(t, h.client.Do(func() (err error) {
		u, err = uplink.New(cfg)
		return err
	}))
	t.Cleanup(func() { u.Close() })
	return u
}

// What the dry run prints does the same, and undoes it, as a shell script.
func TestUplinkDryRunIsWhatIsDone(t *testing.T) {
	try(t, func(t testing.TB) {
		h := newHome(t)
		forward := []uplink.Forward{{Port: 443}, {Port: 80, To: 8080}}
		var text bytes.Buffer
		h.open(t, uplink.Config{Match: []string{"auto"}, Forward: forward, DryRun: &text})
		require.Equal(t, h.before, h.dump(t), "a dry run does nothing")

		tables := func() string {
			return h.client.run(t, `ip rule; ip -6 rule; nft list ruleset | sed 's/counter packets 0 bytes 0/counter/'
			for n in 0 1; do ip route show table 21300$n; ip -6 route show table 21300$n; ip address show gomptcp$n | grep -v 'scope link' | grep inet; done
			grep . /proc/sys/net/ipv?/conf/*/*forwarding`)
		}
		var do, undo string
		lines := &do
		for line := range strings.Lines(text.String()) {
			switch {
			case strings.HasPrefix(line, "# uplink"):
				lines = &do
			case strings.HasPrefix(line, "# undone by"):
				lines = &undo
			default:
				*lines += line
			}
		}
		h.client.run(t, do)
		byHand := tables()
		h.client.run(t, undo)
		h.requireUndone(t)

		u := h.open(t, uplink.Config{Match: []string{"auto"}, Forward: forward, Host: newRecorder()})
		require.Equal(t, byHand, tables())
		require.NoError(t, u.Close())
		h.requireUndone(t)
	})
}

// Carrier, addresses and default routes that go and come become events at once.
func TestUplinkFollows(t *testing.T) {
	try(t, func(t testing.TB) {
		h := newHome(t)
		host := newRecorder()
		u := h.open(t, uplink.Config{Match: []string{"auto"}, Host: host})
		require.Equal(t, []string{"up1", "up2"}, u.Names())
		require.Equal(t, "gomptcp0", host.next(t, "add").name)
		require.Equal(t, "gomptcp1", host.next(t, "add").name)
		_, addrs := host.device("gomptcp0")
		require.Equal(t, []netip.Prefix{cidr("10.213.0.2/32"), cidr("fd67:6d70:7463::2/128")}, addrs)

		// The time counts from the kernel's first notification, which may come late itself, and the
		// best of several: the machine may be busy.
		const bound, rounds = 50 * time.Millisecond, 20
		told := h.monitor(t)
		best := map[string]time.Duration{}
		slow := func(d time.Duration) bool { return d >= bound }
		for n := 0; n < 4 || n < rounds && slices.ContainsFunc(slices.Collect(maps.Values(best)), slow); n++ {
			for _, c := range []struct {
				name    string
				down    func()
				up      func()
				renewed bool // the device is removed and added at once
			}{
				{name: "carrier", down: func() { h.carrier(t, 1, false) }, up: func() { h.carrier(t, 1, true) }},
				{name: "default route", down: func() { h.client.run(t, "ip route del default dev up2; ip -6 route del default dev up2") }, up: func() { h.routes(t, 2) }},
				{name: "address", renewed: true, down: func() { h.client.IP(t, "address add 192.168.77.2/24 dev up1") },
					up: func() { h.client.IP(t, "address del 192.168.77.2/24 dev up1") }},
			} {
				measure := func(what string, change func(), attached int, events ...string) {
					told.Store(0)
					change()
					first := host.next(t, events[0])
					for _, e := range events[1:] {
						host.next(t, e)
					}
					name := c.name + " " + what
					if d := first.at.Sub(time.UnixMicro(told.Load())); best[name] == 0 || d < best[name] {
						best[name] = d
					}
					host.settle(t, attached, 2)
				}
				if c.renewed {
					measure("new", c.down, 2, "remove", "add")
					measure("gone", c.up, 2, "remove", "add")
					continue
				}
				measure("down", c.down, 1, "remove")
				measure("up", c.up, 2, "add")
			}
		}
		for name, d := range best {
			t.Logf("%s: event after %v", name, d)
			require.Less(t, d, bound, name)
		}

		// What concerns nobody changes nothing.
		h.client.run(t, "ip link add other type veth peer name rehto; ip link set other up; ip link set rehto up; ip link del other")
		host.requireQuiet(t)

		h.client.IP(t, "link del gomptcp1")
		host.next(t, "remove")
		host.next(t, "add")
		require.NoError(t, u.Close())
		require.Empty(t, host.now)
		require.NoError(t, u.Close(), "again")
		h.requireUndone(t)
	})
}

// monitor returns when the kernel has told of a change of the client's network: in microseconds
// of Unix time, since it was last set to 0.
func (h *home) monitor(t testing.TB) *atomic.Int64 {
	var socket *nl.NetlinkSocket
	require.NoError(t, h.client.Do(func() (err error) {
		socket, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
		return err
	}))
	t.Cleanup(socket.Close)
	var told atomic.Int64
	go func() {
		for {
			if _, _, err := socket.Receive(); err != nil {
				return
			}
			told.CompareAndSwap(0, time.Now().UnixMicro())
		}
	}()
	return &told
}

// settle waits until so many devices are attached, with so many addresses each, and forgets the events of
// that: changes come in parts, one for each family.
func (r *recorder) settle(t testing.TB, devices, addrs int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		select {
		case <-r.events:
		case <-time.After(60 * time.Millisecond):
			if r.attached(devices, addrs) {
				return
			}
			require.True(t, time.Now().Before(deadline), "not %d devices with %d addresses: %v", devices, addrs, r.addrs)
		}
	}
}

func (r *recorder) attached(devices, addrs int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.now {
		if len(r.addrs[name]) != addrs {
			return false
		}
	}
	return len(r.now) == devices
}

// A modem is plugged in and pulled out again.
func TestUplinkHotplug(t *testing.T) {
	try(t, func(t testing.TB) {
		h := newHome(t)
		host := newRecorder()
		u := h.open(t, uplink.Config{Match: []string{"usb*"}, Host: host})
		require.Empty(t, u.Names())
		require.NoError(t, ip("-n", h.client.name, "link", "add", "usb0", "mtu", "1400", "type", "veth", "peer", "name", "r3", "netns", h.router.name))
		h.router.IP(t, "link set r3 up")
		h.client.SetAddresses(t, "usb0", cidr("192.168.3.2/24"))
		host.next(t, "add")
		host.settle(t, 1, 1)
		dev, addrs := host.device("gomptcp0")
		require.Equal(t, []netip.Prefix{cidr("10.213.0.2/32")}, addrs, "IPv4 only")
		require.Equal(t, 1400, dev.MTU())
		require.Equal(t, []string{"usb0"}, u.Names())
		h.client.IP(t, "link del usb0")
		host.next(t, "remove")
		require.NoError(t, u.Close())
		h.requireUndone(t)
	})
}

// A host that takes no device gets an error from New, and nothing is left behind.
func TestUplinkHostRefuses(t *testing.T) {
	try(t, func(t testing.TB) {
		h := newHome(t)
		err := h.client.Do(func() error {
			_, err := uplink.New(uplink.Config{Match: []string{"auto"}, Host: refusing{}})
			return err
		})
		require.ErrorContains(t, err, "up1: no more devices")
		h.requireUndone(t)
	})
}

type refusing struct{ uplink.Host }

func (refusing) AddDevice(tun.Device, ...netip.Prefix) error { return errors.New("no more devices") }

// Someone turns forwarding on for all interfaces in the meantime: it stays on.
func TestUplinkLeavesForwardingOn(t *testing.T) {
	try(t, func(t testing.TB) {
		h := newHome(t)
		u := h.open(t, uplink.Config{Match: []string{"auto"}, Host: newRecorder()})
		h.client.Sysctl(t, "net/ipv4/ip_forward", "1")
		require.NoError(t, u.Close())
		require.Equal(t, "1\n", h.client.run(t, "cat /proc/sys/net/ipv4/conf/up1/forwarding"))
		h.client.Sysctl(t, "net/ipv4/ip_forward", "0")
		h.requireUndone(t)
	})
}

// Who has a firewall that drops forwarded packets is told.
func TestUplinkWarnsOfFirewalls(t *testing.T) {
	try(t, func(t testing.TB) {
		h := newHome(t)
		h.client.run(t, "nft 'add chain inet fw strict { type filter hook forward priority 0; policy drop; }'")
		h.before = h.dump(t)
		var log bytes.Buffer
		u := h.open(t, uplink.Config{Match: []string{"none*"}, Host: newRecorder(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.Empty(t, u.Names())
		require.NoError(t, u.Close())
		require.Contains(t, log.String(), "a firewall drops forwarded packets")
		require.Contains(t, log.String(), "fw strict")
		h.requireUndone(t)
	})
}

// Two owners share an uplink: the last one restores what the first has changed.
func TestUplinkTwoOwners(t *testing.T) {
	try(t, func(t testing.TB) {
		h := newHome(t)
		first := h.open(t, uplink.Config{Match: []string{"up1"}, Host: newRecorder()})
		second := h.open(t, uplink.Config{Match: []string{"up*"}, Host: newRecorder()})
		require.Equal(t, []string{"up1"}, first.Names())
		require.Equal(t, []string{"up1", "up2"}, second.Names())
		forwarding := func() string { return h.client.run(t, "cat /proc/sys/net/ipv4/conf/up1/forwarding") }
		require.Equal(t, "1\n", forwarding())
		require.NoError(t, first.Close())
		require.Equal(t, "1\n", forwarding())
		require.NoError(t, second.Close())
		h.requireUndone(t)
	})
}

// mpcat is the example program, built for this test.
func mpcat(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mpcat")
	out, err := exec.Command("go", "build", "-o", name, "../../examples/mpcat").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return name
}

// sink counts and digests what a server gets on one connection, and answers with the digest.
type sink struct {
	got  atomic.Int64
	done chan [sha256.Size]byte
}

func (ns *Namespace) sink(t testing.TB, address string) *sink {
	s := &sink{done: make(chan [sha256.Size]byte, 1)}
	l := ns.Listen(t, address, true)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		sum := sha256.New()
		_, _ = io.Copy(sum, io.TeeReader(c, counter{&s.got}))
		s.done <- [sha256.Size]byte(sum.Sum(nil))
		_, _ = c.Write([]byte("thanks"))
	}()
	return s
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// statsOf reads mpcat's statistics.
func statsOf(t testing.TB, file string) (mptcp bool, sentBy map[string]int64) {
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var stats struct {
		MPTCP    bool `json:"mptcp"`
		Subflows []struct {
			Device    string `json:"device"`
			BytesSent int64  `json:"bytes_sent"`
		} `json:"subflows"`
	}
	require.NoError(t, json.Unmarshal(b, &stats))
	sentBy = map[string]int64{}
	for _, s := range stats.Subflows {
		sentBy[s.Device] += s.BytesSent
	}
	return stats.MPTCP, sentBy
}

// A user's command sends over both uplinks; one loses its carrier in the middle and gets it
// back; in the end nothing is left.
func TestUplinkTransfer(t *testing.T) {
	Require(t)
	program := mpcat(t)
	for name, address := range map[string]string{"IPv4": serverAddr4, "IPv6": serverAddr6} {
		run(t, name, func(t testing.TB) {
			h := newHome(t)
			s := h.server.sink(t, net.JoinHostPort(address, "5001"))
			stats := filepath.Join(t.TempDir(), "stats.json")
			cmd, stdin, out, _ := h.client.start(t, program, "-v", "-uplinks", "auto", "-scheduler", "roundrobin", "-timeout", "20s", "-stats", stats, address, "5001")
			sent, sum := int64(0), sha256.New()
			random := rand.NewChaCha8([32]byte{1})
			// send sends some and waits until the server has it.
			send := func(n int64) {
				t.Helper()
				_, err := io.CopyN(io.MultiWriter(stdin, sum), random, n)
				require.NoError(t, err)
				sent += n
				require.Eventually(t, func() bool { return s.got.Load() == sent }, patience, time.Millisecond)
			}
			carried := func(i int) int64 {
				var n int64
				_, err := fmt.Sscan(h.client.run(t, fmt.Sprintf("cat /sys/class/net/up%d/statistics/tx_bytes", i)), &n)
				require.NoError(t, err)
				return n
			}
			// untilUsed sends until an uplink carries some of it.
			untilUsed := func(i int) {
				t.Helper()
				before := carried(i)
				require.Eventually(t, func() bool { send(100e3); return carried(i)-before > 200e3 }, patience, time.Millisecond, "uplink %d is used", i)
			}
			send(1e6)
			untilUsed(1)
			untilUsed(2)
			h.carrier(t, 1, false)
			send(2e6)
			h.carrier(t, 1, true)
			untilUsed(1)
			send(1e6)
			require.NoError(t, stdin.Close())
			require.NoError(t, cmd.Wait())
			require.Equal(t, "thanks", out.String())
			require.Equal(t, [sha256.Size]byte(sum.Sum(nil)), <-s.done)

			isMPTCP, sentBy := statsOf(t, stats)
			require.True(t, isMPTCP)
			require.Greater(t, sentBy["gomptcp0"], int64(200e3))
			require.Greater(t, sentBy["gomptcp1"], int64(200e3))
			h.server.Counters(t).RequireClean(t)
			h.requireUndone(t)
		})
	}
}

// A server's port on its uplinks leads to the library.
func TestUplinkForward(t *testing.T) {
	Require(t)
	program := mpcat(t)
	for name, addresses := range map[string][2]string{"IPv4": {"0.0.0.0", "192.168.2.2"}, "IPv6": {"::", "fd00:a:2::2"}} {
		run(t, name, func(t testing.TB) {
			h := newHome(t)
			stats := filepath.Join(t.TempDir(), "stats.json")
			cmd, stdin, out, log := h.client.start(t, program, "-v", "-l", "-uplinks", "up*", "-timeout", "20s", "-stats", stats, addresses[0], "5001")
			require.Eventually(t, func() bool { return strings.Contains(log.String(), "listening at") }, patience, time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c, err := h.server.Dial(ctx, nil, net.JoinHostPort(addresses[1], "5001"), true)
			require.NoError(t, err)
			defer c.Close()
			_, err = io.WriteString(c, "question")
			require.NoError(t, err)
			require.NoError(t, c.CloseWrite())
			_, err = io.WriteString(stdin, "answer")
			require.NoError(t, err)
			require.NoError(t, stdin.Close())
			answer, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Equal(t, "answer", string(answer))
			require.NoError(t, cmd.Wait())
			require.Equal(t, "question", out.String())
			isMPTCP, sentBy := statsOf(t, stats)
			require.True(t, isMPTCP)
			require.Positive(t, sentBy["gomptcp1"])
			h.requireUndone(t)
		})
	}
}

// What a killed process leaves behind is undone by Cleanup, or by the next one that comes; what
// a live process has set up stays.
func TestUplinkCleanup(t *testing.T) {
	try(t, func(t testing.TB) {
		program := mpcat(t)
		h := newHome(t)
		kill := func() {
			s := h.server.sink(t, net.JoinHostPort(serverAddr4, "5001"))
			cmd, stdin, _, _ := h.client.start(t, program, "-uplinks", "auto", serverAddr4, "5001")
			_, err := stdin.Write([]byte("some"))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return s.got.Load() == 4 }, patience, time.Millisecond)
			require.NoError(t, cmd.Process.Signal(unix.SIGKILL))
			require.Error(t, cmd.Wait())
			require.Contains(t, h.dump(t), "lookup 213001 proto 213")
		}
		cleanup := func() (undone []string) {
			require.NoError(t, h.client.Do(func() (err error) {
				undone, err = uplink.Cleanup()
				return err
			}))
			return undone
		}
		kill()
		undone := cleanup()
		for _, want := range []string{"ip rule del pref 2130", "nft 'delete table ip6 gomptcp1'", "net/ipv4/conf/up1/forwarding=0"} {
			require.True(t, slices.ContainsFunc(undone, func(s string) bool { return strings.Contains(s, want) }), "%s in %q", want, undone)
		}
		h.requireUndone(t)
		require.Empty(t, cleanup(), "nothing is left")

		live := h.open(t, uplink.Config{Match: []string{"up2"}, Host: newRecorder()})
		with := h.dump(t)
		require.Empty(t, cleanup())
		require.Equal(t, with, h.dump(t))
		require.NoError(t, live.Close())
		h.requireUndone(t)
	})
}
