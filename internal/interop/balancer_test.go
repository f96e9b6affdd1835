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
type balanced struct {
	balancer *Namespace
	front    netip.Addr
}

const balancedServers = 2

func newBalanced(t testing.TB) *balanced {
	requirePrograms(t, "nftables", "nft")
	b := &balanced{balancer: NewNamespace(t), front: netip.MustParseAddr("10.9.0.1")}
	b.balancer.IP(t, "address add 10.9.0.1/32 dev lo")
	b.balancer.Sysctl(t, "net/ipv4/ip_forward", "1")
	b.balancer.run(t, `
		nft add table ip lb
		nft 'add chain ip lb pre { type nat hook prerouting priority dstnat; }'
		nft add rule ip lb pre ip daddr 10.9.0.1 tcp dport 443 dnat to numgen inc mod 2 map '{ 0 : 10.7.1.2, 1 : 10.7.2.2 }'
		nft add rule ip lb pre ip daddr 10.9.0.1 tcp dport 10001 dnat to 10.7.1.2
		nft add rule ip lb pre ip daddr 10.9.0.1 tcp dport 10002 dnat to 10.7.2.2`)
	return b
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
	for _, by := range []string{"address", "port"} {
		run(t, "unique "+by, func(t testing.TB) {
			b := newBalanced(t)
			servers := make([]*mptcp.Host, balancedServers)
			for i := range servers {
				dev := b.balancer.OpenTUN(t, fmt.Sprint("server", i+1))
				b.balancer.SetAddresses(t, dev.Name(), cidr("10.7.%d.1/24", i+1))
				// The library is told of its own address by the test, as by an operator: that is all that it needs.
				h, err := mptcp.NewHost(&mptcp.Config{DenyJoinInitial: true, PathManager: pathmgr.None})
				require.NoError(t, err)
				t.Cleanup(func() { h.Close() })
				require.NoError(t, h.AddDevice(dev, cidr("10.7.%d.2/24", i+1), cidr("10.7.%d.3/24", i+1)))
				l, err := h.Listen("tcp", ":443")
				require.NoError(t, err)
				own := netip.AddrPortFrom(cidr("10.7.%d.3/24", i+1).Addr(), 0)
				if by == "port" {
					own = netip.AddrPortFrom(b.front, uint16(10001+i))
				}
				go serve(l, i, func(c net.Conn) { _ = c.(*mptcp.Conn).Announce(own) })
				servers[i] = h
			}
			client := NewNamespace(t)
			b.wire(t, client, "up1", cidr("10.1.1.1/24"), cidr("10.1.1.2/24"))
			client.IP(t, "route add default via 10.1.1.1\nmptcp limits set subflow 2 add_addr_accepted 2")
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
}

// 8684-3.1-24: the same with the kernel's servers; the library does not join the address that it dialled, from
// neither of its own, and both join the announced one.
func TestClientOfBalancedServers(t *testing.T) {
	for _, by := range []string{"", " port 10100"} {
		run(t, "unique address"+by, func(t testing.TB) {
			b := newBalanced(t)
			servers := make([]*Namespace, balancedServers)
			for i := range servers {
				ns := NewNamespace(t)
				b.wire(t, ns, fmt.Sprint("eth", i+1), cidr("10.7.%d.1/24", i+1), cidr("10.7.%d.2/24", i+1), cidr("10.7.%d.3/24", i+1))
				ns.IP(t, fmt.Sprintf("route add default via 10.7.%d.1\nmptcp limits set subflow 4\nmptcp endpoint add 10.7.%d.3%s signal", i+1, i+1, by))
				ns.Sysctl(t, "net/mptcp/allow_join_initial_addr_port", "0")
				go serve(ns.Listen(t, ":443", true), i, func(net.Conn) {})
				servers[i] = ns
			}
			client, err := mptcp.NewHost(nil)
			require.NoError(t, err)
			t.Cleanup(func() { client.Close() })
			for i := range 2 {
				dev := b.balancer.OpenTUN(t, fmt.Sprint("client", i+1))
				b.balancer.SetAddresses(t, dev.Name(), cidr("10.1.%d.1/24", i+1))
				require.NoError(t, client.AddDevice(dev, cidr("10.1.%d.2/24", i+1)))
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
}
