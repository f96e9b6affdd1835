//go:build linux

package interop

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
)

// balanced is two servers behind a balancer that knows of addresses and ports only: what comes to
// 10.9.0.1:443 goes to the one or the other by turns, connection by connection of TCP, so that a
// join to there reaches the wrong server half of the time. To ports 10001 and 10002 of that address
// there is one server each, and each has an address of its own that can be reached as well.
//
//	client 10.1.1.2 10.1.2.2 -- balancer 10.9.0.1 -- server 1: 10.7.1.2 10.7.1.3
//	                                              -- server 2: 10.7.2.2 10.7.2.3
//
// With IPv6 it is fd00:1:1::2 for 10.1.1.2, and so on.
type balanced struct {
	balancer *Namespace
	front    netip.Addr
	six      bool // IPv6
}

const balancedServers = 2

func newBalanced(t testing.TB, f Family) *balanced {
	requirePrograms(t, "nftables", "nft")
	b := &balanced{balancer: NewNamespace(t), six: f.Name == IPv6.Name}
	b.front = b.net(9, 0, 1).Addr()
	b.balancer.IP(t, fmt.Sprintf("address add %v dev lo", b.front))
	b.balancer.Sysctl(t, "net/ipv4/ip_forward", "1")
	b.balancer.Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	first, second := b.net(7, 1, 2).Addr(), b.net(7, 2, 2).Addr()
	rule := fmt.Sprintf("nft add rule %s lb pre %[1]s daddr %v tcp dport", f.nft(), b.front)
	b.balancer.run(t, fmt.Sprintf(`
		nft add table %[1]s lb
		nft 'add chain %[1]s lb pre { type nat hook prerouting priority dstnat; }'
		%[2]s 443 dnat to numgen inc mod 2 map '{ 0 : %[3]v, 1 : %[4]v }'
		%[2]s 10001 dnat to %[3]v
		%[2]s 10002 dnat to %[4]v`, f.nft(), rule, first, second))
	return b
}

// net is an address with its network: 10.a.b.c/24, or fd00:a:b::c/64.
func (b *balanced) net(x, y, z int) netip.Prefix {
	if b.six {
		return cidr("fd00:%d:%d::%d/64", x, y, z)
	}
	return cidr("10.%d.%d.%d/24", x, y, z)
}

// eachBalanced runs a test for both IP versions and two ways for a server to be found.
func eachBalanced(t *testing.T, ways [2]string, test func(t testing.TB, b *balanced, way string)) {
	for _, f := range []Family{IPv4, IPv6} {
		for _, way := range ways {
			run(t, "unique "+way+"/"+f.Name, func(t testing.TB) { test(t, newBalanced(t, f), way) })
		}
	}
}

func (b *balanced) address() string { return netip.AddrPortFrom(b.front, 443).String() }

// wire joins a namespace to the balancer.
func (b *balanced) wire(t testing.TB, ns *Namespace, dev string, gateway netip.Prefix, addrs ...netip.Prefix) {
	require.NoError(t, ip("-n", ns.name, "link", "add", dev, "type", "veth", "peer", "name", "to-"+dev, "netns", b.balancer.name))
	b.balancer.SetAddresses(t, "to-"+dev, gateway)
	ns.SetAddresses(t, dev, addrs...)
}

// serve serves each connection as server number i: it says who it is, and gives back what comes.
func serve(l net.Listener, i int, accepted func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		accepted(c)
		go func() {
			defer c.Close()
			_, _ = c.Write([]byte{byte(i)})
			_, _ = io.Copy(c, c)
		}()
	}
}

// use talks over a connection and returns who the server is.
func use(t testing.TB, c net.Conn) (server int) {
	t.Helper()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	b := make([]byte, 1)
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	echo(t, c)
	return int(b[0])
}

func echo(t testing.TB, c net.Conn) {
	t.Helper()
	b := make([]byte, 20_000)
	_, err := c.Write(b)
	require.NoError(t, err)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
}

// 8684-3.1-24: library servers behind a layer-4 balancer say that no subflow is to be
// opened to the address that was dialled (flag C), and announce an address or a port of their own.
// The kernel's joins reach the right one.
func TestServersBehindBalancer(t *testing.T) {
	eachBalanced(t, [2]string{"address", "port"}, func(t testing.TB, b *balanced, by string) {
		servers := make([]*mptcp.Host, balancedServers)
		for i := range servers {
			dev := b.balancer.OpenTUN(t, fmt.Sprint("server", i+1))
			b.balancer.SetAddresses(t, dev.Name(), b.net(7, i+1, 1))
			// The library is told of its own address by the test, as by an operator: that is all that it needs.
			h, err := mptcp.NewHost(&mptcp.Config{DenyJoinInitial: true, PathManager: pathmgr.None})
			require.NoError(t, err)
			t.Cleanup(func() { h.Close() })
			require.NoError(t, h.AddDevice(dev, b.net(7, i+1, 2), b.net(7, i+1, 3)))
			l, err := h.Listen("tcp", ":443")
			require.NoError(t, err)
			own := netip.AddrPortFrom(b.net(7, i+1, 3).Addr(), 0)
			if by == "port" {
				own = netip.AddrPortFrom(b.front, uint16(10001+i))
			}
			go serve(l, i, func(c net.Conn) { _ = c.(*mptcp.Conn).Announce(own) })
			servers[i] = h
		}
		client := NewNamespace(t)
		b.wire(t, client, "up1", b.net(1, 1, 1), b.net(1, 1, 2))
		client.IP(t, fmt.Sprintf("route add default via %v\nmptcp limits set subflow 2 add_addr_accepted 2", b.net(1, 1, 1).Addr()))
		reached := [balancedServers]int64{}
		const conns = 6
		for range conns {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			c, err := client.Dial(ctx, nil, b.address(), true)
			cancel()
			require.NoError(t, err)
			defer c.Close()
			reached[use(t, c)]++
		}
		require.Equal(t, [balancedServers]int64{conns / 2, conns / 2}, reached, "the balancer takes turns")
		for i, h := range servers {
			joined := func() bool { return h.Counters()["MPJoinAckRx"] == uint64(reached[i]) }
			require.Eventually(t, joined, patience, 10*time.Millisecond, "server %d: %v", i+1, h.Counters())
			require.Zero(t, h.Counters()["MPJoinNoTokenFound"])
		}
	})
}

// 8684-3.1-24: the same with the kernel's servers; the library does not join the address that it dialled, from
// neither of its own, and both join the announced one.
func TestClientOfBalancedServers(t *testing.T) {
	eachBalanced(t, [2]string{"address", "address and port"}, func(t testing.TB, b *balanced, by string) {
		port := ""
		if by == "address and port" {
			port = "port 10100"
		}
		servers := make([]*Namespace, balancedServers)
		for i := range servers {
			ns := NewNamespace(t)
			b.wire(t, ns, fmt.Sprint("eth", i+1), b.net(7, i+1, 1), b.net(7, i+1, 2), b.net(7, i+1, 3))
			ns.IP(t, fmt.Sprintf("route add default via %v\nmptcp limits set subflow 4\nmptcp endpoint add %v %s signal",
				b.net(7, i+1, 1).Addr(), b.net(7, i+1, 3).Addr(), port))
			ns.Sysctl(t, "net/mptcp/allow_join_initial_addr_port", "0")
			if b.six && port != "" {
				ns.Sysctl(t, "net/ipv4/tcp_timestamps", "0") // as in kernelSignalsPort
			}
			go serve(ns.Listen(t, ":443", true), i, func(net.Conn) {})
			servers[i] = ns
		}
		client, err := mptcp.NewHost(nil)
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		for i := range 2 {
			dev := b.balancer.OpenTUN(t, fmt.Sprint("client", i+1))
			b.balancer.SetAddresses(t, dev.Name(), b.net(1, i+1, 1))
			require.NoError(t, client.AddDevice(dev, b.net(1, i+1, 2)))
		}
		reached := [balancedServers]int64{}
		const conns = 6
		for range conns {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			c, err := client.Dial(ctx, "tcp", b.address())
			cancel()
			require.NoError(t, err)
			defer c.Abort()
			reached[use(t, c)]++
			subflows(t, c, 3)
			echo(t, c)
		}
		require.Equal(t, [balancedServers]int64{conns / 2, conns / 2}, reached, "the balancer takes turns")
		for i, ns := range servers {
			ns.Counters(t).RequireAll(t, map[string]int64{"MPJoinAckRx": 2 * reached[i], "MPJoinNoTokenFound": 0})
		}
	})
}
