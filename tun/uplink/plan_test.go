package uplink

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// laptop is a machine with wifi (both families), a modem (IPv4, point to point), an unplugged
// cable, a network without default route, and the device of another process.
func laptop() *snapshot {
	return &snapshot{
		links: []link{
			{name: "lo", index: 1, loopback: true, up: true, mtu: 65536, addrs: prefixes("127.0.0.1/8")},
			{name: "eth0", index: 2, mtu: 1500, addrs: prefixes("192.0.2.7/24"), routes: []route{{dst: cidr("0.0.0.0/0"), via: addr("192.0.2.1")}}},
			{name: "wlan0", index: 3, up: true, mtu: 1500, addrs: prefixes("192.168.1.50/24", "2001:db8:1::50/64"), routes: []route{
				{dst: cidr("0.0.0.0/0"), via: addr("192.168.1.1"), metric: 600},
				{dst: cidr("192.168.1.0/24"), metric: 600},
				{dst: cidr("::/0"), via: addr("fe80::1"), metric: 1024},
				{dst: cidr("2001:db8:1::/64"), metric: 256},
			}},
			{name: "wwan0", index: 4, up: true, mtu: 1430, addrs: prefixes("100.70.1.2/32"), routes: []route{{dst: cidr("0.0.0.0/0"), metric: 400}}},
			{name: "lab", index: 5, up: true, mtu: 9000, addrs: prefixes("10.213.4.4/24"), routes: []route{{dst: cidr("10.213.4.0/24")}}},
			{name: "gomptcp0", index: 6, up: true, mtu: 1500, addrs: prefixes("10.213.0.1/32"), routes: []route{{dst: cidr("0.0.0.0/0")}}},
		},
		read: variables(map[string]string{
			"net/ipv4/conf/wlan0/forwarding":       "0",
			"net/ipv4/conf/wwan0/forwarding":       "1",
			"net/ipv6/conf/wlan0/force_forwarding": "0",
		}),
		noted: map[string]string{},
	}
}

func cidr(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr   { return netip.MustParseAddr(s) }

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, cidr(s))
	}
	return all
}

func variables(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

func names(links []link) (list []string) {
	for _, l := range links {
		list = append(list, l.name)
	}
	return list
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		match, want []string
	}{
		{[]string{"auto"}, []string{"wwan0", "wlan0"}}, // by metric
		{[]string{"wl*"}, []string{"wlan0"}},
		{[]string{"lab", "ww*"}, []string{"wwan0", "lab"}},
		{[]string{"*"}, []string{"wwan0", "wlan0", "lab"}}, // not lo, not what is ours, not what has no carrier
		{[]string{"eth0"}, nil},
		{[]string{"usb*"}, nil},
	} {
		require.Equal(t, c.want, names(choose(c.match, laptop().links)), "%q", c.match)
	}
}

func TestChooseNeedsAddressAndRouteOfOneFamily(t *testing.T) {
	l := link{name: "eth0", up: true, mtu: 1500, addrs: prefixes("2001:db8::1/64"), routes: []route{{dst: cidr("0.0.0.0/0")}}}
	require.Empty(t, choose([]string{"auto"}, []link{l}))
	l.routes = append(l.routes, route{dst: cidr("::/0")})
	require.Len(t, choose([]string{"auto"}, []link{l}), 1)
	l.mtu = 1000 // too small for IPv6
	require.Empty(t, choose([]string{"auto"}, []link{l}))
}

func TestSlots(t *testing.T) {
	s, err := freeSlot(laptop().links)
	require.NoError(t, err)
	require.Equal(t, slot(1), s)
	for name, want := range map[string]bool{"gomptcp0": true, "gomptcp63": true, "gomptcp64": false, "gomptcp": false,
		"gomptcp01": false, "gomptcp-1": false, "gomptcp+1": false, "gomptcp1x": false, "mygomptcp1": false} {
		_, ok := parseSlot(name)
		require.Equal(t, want, ok, name)
	}
	var all []link
	for s := range slot(maxSlots) {
		all = append(all, link{name: s.name()})
	}
	_, err = freeSlot(all)
	require.ErrorContains(t, err, "in use")
}

// The plan for wifi takes addresses that the lab network does not use, and both families.
func TestPlan(t *testing.T) {
	snap := laptop()
	p, err := newPlan(1, snap.links[2], []Forward{{443, 443}, {80, 8080}}, snap, 4711)
	require.NoError(t, err)
	require.Equal(t, prefixes("172.29.1.2/32", "fd67:6d70:7463:1::2/128"), p.hosts)
	require.Equal(t, `# uplink wlan0: device gomptcp1
ip tuntap add dev gomptcp1 mode tun
ip link set dev gomptcp1 alias 'gomptcp: uplink wlan0, process 4711' mtu 1500 up
ip address add 172.29.1.1 peer 172.29.1.2 dev gomptcp1
nft 'add table ip gomptcp1'
nft 'add chain ip gomptcp1 postrouting { type nat hook postrouting priority 100; }'
nft 'add rule ip gomptcp1 postrouting ip saddr 172.29.1.2 oifname "wlan0" masquerade'
nft 'add chain ip gomptcp1 prerouting { type nat hook prerouting priority -100; }'
nft 'add rule ip gomptcp1 prerouting iifname "wlan0" fib daddr type local tcp dport 443 dnat to 172.29.1.2:443'
nft 'add rule ip gomptcp1 prerouting iifname "wlan0" fib daddr type local tcp dport 80 dnat to 172.29.1.2:8080'
nft 'add chain ip gomptcp1 notes'
nft 'add rule ip gomptcp1 notes counter comment "net/ipv4/conf/wlan0/forwarding=0"'
ip route add 192.168.1.0/24 dev wlan0 table 213001 metric 600 proto 213
ip route add default via 192.168.1.1 dev wlan0 table 213001 metric 600 proto 213
ip route add unreachable default table 213001 metric 1000000000 proto 213
ip rule add pref 2131 from 172.29.1.2 lookup 213001 protocol 213
sysctl -w net/ipv4/conf/gomptcp1/forwarding=1
sysctl -w net/ipv4/conf/wlan0/forwarding=1
ip address add fd67:6d70:7463:1::1 peer fd67:6d70:7463:1::2 dev gomptcp1 nodad
nft 'add table ip6 gomptcp1'
nft 'add chain ip6 gomptcp1 postrouting { type nat hook postrouting priority 100; }'
nft 'add rule ip6 gomptcp1 postrouting ip6 saddr fd67:6d70:7463:1::2 oifname "wlan0" masquerade'
nft 'add chain ip6 gomptcp1 prerouting { type nat hook prerouting priority -100; }'
nft 'add rule ip6 gomptcp1 prerouting iifname "wlan0" fib daddr type local tcp dport 443 dnat to [fd67:6d70:7463:1::2]:443'
nft 'add rule ip6 gomptcp1 prerouting iifname "wlan0" fib daddr type local tcp dport 80 dnat to [fd67:6d70:7463:1::2]:8080'
nft 'add chain ip6 gomptcp1 notes'
nft 'add rule ip6 gomptcp1 notes counter comment "net/ipv6/conf/wlan0/force_forwarding=0"'
ip -6 route add 2001:db8:1::/64 dev wlan0 table 213001 metric 256 proto 213
ip -6 route add default via fe80::1 dev wlan0 table 213001 metric 1024 proto 213
ip -6 route add unreachable default table 213001 metric 1000000000 proto 213
ip -6 rule add pref 2131 from fd67:6d70:7463:1::2 lookup 213001 protocol 213
sysctl -w net/ipv6/conf/gomptcp1/force_forwarding=1
sysctl -w net/ipv6/conf/wlan0/force_forwarding=1
# undone by
sysctl -w net/ipv6/conf/wlan0/force_forwarding=0
ip -6 rule del pref 2131 from fd67:6d70:7463:1::2 lookup 213001 protocol 213
ip -6 route del unreachable default table 213001 metric 1000000000 proto 213
ip -6 route del default via fe80::1 dev wlan0 table 213001 metric 1024 proto 213
ip -6 route del 2001:db8:1::/64 dev wlan0 table 213001 metric 256 proto 213
nft 'delete table ip6 gomptcp1'
sysctl -w net/ipv4/conf/wlan0/forwarding=0
ip rule del pref 2131 from 172.29.1.2 lookup 213001 protocol 213
ip route del unreachable default table 213001 metric 1000000000 proto 213
ip route del default via 192.168.1.1 dev wlan0 table 213001 metric 600 proto 213
ip route del 192.168.1.0/24 dev wlan0 table 213001 metric 600 proto 213
nft 'delete table ip gomptcp1'
ip tuntap del dev gomptcp1 mode tun
`, p.String())
}

// A modem without gateway, whose forwarding is on already: nothing to restore.
func TestPlanPointToPoint(t *testing.T) {
	snap := laptop()
	snap.links = snap.links[:4]
	p, err := newPlan(0, snap.links[3], nil, snap, 1)
	require.NoError(t, err)
	require.Equal(t, `# uplink wwan0: device gomptcp0
ip tuntap add dev gomptcp0 mode tun
ip link set dev gomptcp0 alias 'gomptcp: uplink wwan0, process 1' mtu 1430 up
ip address add 10.213.0.1 peer 10.213.0.2 dev gomptcp0
nft 'add table ip gomptcp0'
nft 'add chain ip gomptcp0 postrouting { type nat hook postrouting priority 100; }'
nft 'add rule ip gomptcp0 postrouting ip saddr 10.213.0.2 oifname "wwan0" masquerade'
ip route add default dev wwan0 table 213000 metric 400 proto 213
ip route add unreachable default table 213000 metric 1000000000 proto 213
ip rule add pref 2130 from 10.213.0.2 lookup 213000 protocol 213
sysctl -w net/ipv4/conf/gomptcp0/forwarding=1
# undone by
ip rule del pref 2130 from 10.213.0.2 lookup 213000 protocol 213
ip route del unreachable default table 213000 metric 1000000000 proto 213
ip route del default dev wwan0 table 213000 metric 400 proto 213
nft 'delete table ip gomptcp0'
ip tuntap del dev gomptcp0 mode tun
`, p.String())
}

// What another process has turned on already is noted with its old value all the same: whoever
// is last turns it off.
func TestPlanHeedsNotesOfOthers(t *testing.T) {
	snap := laptop()
	snap.noted["net/ipv4/conf/wwan0/forwarding"] = "0"
	require.Equal(t, []sysctlStep{
		{name: "net/ipv4/conf/gomptcp1/forwarding", value: "1"},
		{name: "net/ipv4/conf/wwan0/forwarding", value: "1", old: "0"},
	}, forwarding4(1, &snap.links[3], snap))
}

// Kernels that forward IPv6 between all interfaces or none shall go on heeding router
// advertisements, and get everything back.
func TestForwardingIPv6OnOlderKernels(t *testing.T) {
	snap := laptop()
	snap.links = snap.links[:4]
	now := map[string]string{
		"net/ipv6/conf/all/forwarding": "0", "net/ipv6/conf/eth0/forwarding": "1", "net/ipv6/conf/wlan0/forwarding": "0",
		"net/ipv6/conf/wlan0/accept_ra": "1", "net/ipv6/conf/eth0/accept_ra": "0", "net/ipv6/conf/wwan0/accept_ra": "2",
	}
	snap.read = variables(now)
	want := []sysctlStep{
		{"net/ipv6/conf/eth0/forwarding", "1", "1"},
		{"net/ipv6/conf/wlan0/accept_ra", "2", "1"},
		{"net/ipv6/conf/all/forwarding", "1", "0"},
	}
	require.Equal(t, want, forwarding6(0, &snap.links[2], snap))

	// A second one comes to the same.
	for _, s := range want {
		now[s.name], snap.noted[s.name] = s.value, s.old
	}
	now["net/ipv6/conf/wlan0/forwarding"] = "1" // the kernel's doing
	require.Equal(t, want, forwarding6(1, &snap.links[2], snap))

	// Where it is on anyway nothing is done.
	clear(snap.noted)
	require.Empty(t, forwarding6(0, &snap.links[2], snap))
}

func TestNoPrivateNetworkLeft(t *testing.T) {
	snap := laptop()
	for _, n := range networks4 {
		snap.links[2].routes = append(snap.links[2].routes, route{dst: n})
	}
	_, err := newPlan(1, snap.links[2], nil, snap, 1)
	require.ErrorContains(t, err, "in use elsewhere")
}

func TestParseNote(t *testing.T) {
	name, old, ok := parseNote(sysctlStep{name: "net/ipv4/conf/eth0.100/forwarding", old: "0"}.note())
	require.True(t, ok)
	require.Equal(t, "net/ipv4/conf/eth0.100/forwarding", name)
	require.Equal(t, "0", old)
	for _, bad := range []string{"", "net/ipv4/conf/eth0/forwarding", "kernel/panic=1", "net/ipv4/conf/../../../kernel/panic=1", "net/ipv4/conf/eth0/forwarding=x"} {
		_, _, ok := parseNote(bad)
		require.False(t, ok, bad)
	}
}

func TestSame(t *testing.T) {
	a := laptop().links[2]
	b := laptop().links[2]
	require.True(t, a.same(&b))
	for _, change := range []func(*link){
		func(l *link) { l.mtu = 1400 },
		func(l *link) { l.index = 9 },
		func(l *link) { l.addrs = l.addrs[:1] },
		func(l *link) { l.routes[0].via = addr("192.168.1.2") },
	} {
		b := laptop().links[2]
		change(&b)
		require.False(t, a.same(&b))
	}
}

func TestConfigErrors(t *testing.T) {
	host := struct{ Host }{}
	for want, cfg := range map[string]Config{
		"Match is empty": {Host: host},
		`"[a"`:           {Host: host, Match: []string{"[a"}},
		"Host is nil":    {Match: []string{"auto"}},
		"no Port":        {Host: host, Match: []string{"auto"}, Forward: []Forward{{To: 80}}},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
}
