//go:build linux

package interop

import (
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// home is a client with two uplinks to a router, behind which there is a server:
//
//	client up1 192.168.1.2 fd00:a:1::2 -- r1 192.168.1.1 router   out 10.9.0.2 fd00:9::2 -- 10.9.0.1 fd00:9::1 server
//	       up2 192.168.2.2 fd00:a:2::2 -- r2 192.168.2.1
//
// The client has rules, routes and tables of its own that look much like the library's.
type home struct {
	client, router, server *Namespace
	before                 string // the client's dump
}

const (
	serverAddr4 = "10.9.0.1"
	serverAddr6 = "fd00:9::1"
)

func newHome(t testing.TB) *home {
	requirePrograms(t, "nftables", "nft")
	h := &home{client: NewNamespace(t), router: NewNamespace(t), server: NewNamespace(t)}
	for i := 1; i <= 2; i++ {
		up, r := fmt.Sprint("up", i), fmt.Sprint("r", i)
		require.NoError(t, ip("-n", h.client.name, "link", "add", up, "type", "veth", "peer", "name", r, "netns", h.router.name))
		h.router.SetAddresses(t, r, cidr("192.168.%d.1/24", i), cidr("fd00:a:%d::1/64", i))
		h.client.SetAddresses(t, up, cidr("192.168.%d.2/24", i), cidr("fd00:a:%d::2/64", i))
		h.routes(t, i)
	}
	require.NoError(t, ip("-n", h.router.name, "link", "add", "out", "type", "veth", "peer", "name", "eth0", "netns", h.server.name))
	h.router.SetAddresses(t, "out", cidr("10.9.0.2/24"), cidr("fd00:9::2/64"))
	h.server.SetAddresses(t, "eth0", cidr("10.9.0.1/24"), cidr("fd00:9::1/64"))
	h.server.IP(t, "route add default via 10.9.0.2\nroute add default via fd00:9::2\nmptcp limits set subflow 4")
	h.router.Sysctl(t, "net/ipv6/conf/all/keep_addr_on_down", "1")
	h.router.Sysctl(t, "net/ipv4/ip_forward", "1")
	h.router.Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	// Reverse path filtering does not mind the library.
	h.client.Sysctl(t, "net/ipv4/conf/all/rp_filter", "1")
	h.client.run(t, `
		ip rule add pref 2130 from 198.51.100.1 lookup 213000
		ip -6 rule add pref 2131 from 2001:db8::1 lookup 213001
		ip rule add pref 9000 from 198.51.100.2 lookup 9000 protocol 213
		ip route add 198.51.100.0/24 dev lo table 213000 proto static
		ip route add 198.51.100.0/24 dev lo table 9000 proto 213
		nft add table ip gomptcp
		nft add table ip gomptcp0a
		nft add table inet gomptcp0
		nft add table inet fw
		nft 'add chain inet fw passing { type filter hook forward priority 0; policy accept; }'
		nft 'add chain ip gomptcp post { type nat hook postrouting priority 100; }'
		nft 'add rule ip gomptcp post ip saddr 198.51.100.0/24 masquerade'`)
	h.before = h.dump(t)
	return h
}

func cidr(format string, args ...any) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf(format, args...))
}

// routes gives the client the default routes of an uplink, as DHCP does.
func (h *home) routes(t testing.TB, i int) {
	h.client.IP(t, fmt.Sprintf("route add default via 192.168.%d.1 dev up%d metric %d\nroute add default via fd00:a:%d::1 dev up%d metric %d",
		i, i, 100*i, i, i, 100*i))
}

// run carries out a shell script in the namespace and returns what it printed.
func (ns *Namespace) run(t testing.TB, script string) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", ns.name, "sh", "-ec", script).CombinedOutput()
	require.NoError(t, err, "%s\n%s", script, out)
	return string(out)
}

// dump is all of the client that the library could change. About links whose other end's namespace is being
// removed ip complains.
func (h *home) dump(t testing.TB) string {
	return h.client.run(t, `
		ip rule; ip -6 rule; nft list ruleset
		ip route show table all; ip -6 route show table all
		ip -o link 2>/dev/null | sed 's/^[0-9]*: //; s/[@:<].*//'
		cd /proc/sys/net; grep . ipv?/conf/*/*forwarding ipv6/conf/*/accept_ra ipv4/ip_forward`)
}

// requireUndone waits until nothing of the library's is left and nothing else has changed. The
// kernel removes some IPv6 routes a little later.
func (h *home) requireUndone(t testing.TB) {
	t.Helper()
	if !assertEventually(func() bool { return h.dump(t) == h.before }, moment) {
		require.Equal(t, h.before, h.dump(t))
	}
}

// carrier switches that of an uplink, at the router's end.
func (h *home) carrier(t testing.TB, i int, up bool) {
	state := "down"
	if up {
		state = "up"
	}
	h.router.IP(t, fmt.Sprintf("link set r%d %s", i, state))
}

// start starts a program in the namespace, which is killed when the test ends.
func (ns *Namespace) start(t testing.TB, name string, args ...string) (cmd *exec.Cmd, stdin io.WriteCloser, out, log *record) {
	t.Helper()
	cmd = exec.Command("ip", append([]string{"netns", "exec", ns.name, name}, args...)...)
	out, log = &record{}, &record{}
	cmd.Stdout, cmd.Stderr = out, log
	var err error
	stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	return cmd, stdin, out, log
}

// record is what a program writes.
type record struct {
	mu   sync.Mutex
	text []byte
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, b...)
	return len(b), nil
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.text)
}
