package pathmgr

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-3.4.1-11, 8684-5-04: what is tried, and what is not.
func TestWorthTrying(t *testing.T) {
	for _, c := range []struct {
		local, remote, initial string
		want                   bool
	}{
		{"10.0.0.1", "192.0.2.1", "192.0.2.1", true},
		{"192.0.2.7", "10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1", true},
		{"10.0.0.1", "10.0.0.1", "10.0.0.1", false},
		{"10.0.0.1", "127.0.0.1", "192.0.2.1", false},
		{"127.0.0.1", "192.0.2.1", "192.0.2.1", false},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1", true},
		{"127.0.0.2", "127.0.0.1", "127.0.0.1", true},
		{"127.0.0.2", "127.0.0.1", "192.0.2.1", false},
		{"127.0.0.2", "127.0.0.1", "10.0.0.1", false},
		{"10.0.0.1", "0.0.0.0", "192.0.2.1", false},
		{"10.0.0.1", "224.0.0.1", "192.0.2.1", false},
		{"10.0.0.1", "255.255.255.255", "192.0.2.1", false},
		{"10.0.0.1", "2001:db8::1", "192.0.2.1", false},
		{"fe80::1", "2001:db8::1", "2001:db8::1", false},
		{"fe80::1%eth0", "fe80::2%eth0", "fe80::2%eth0", true},
		{"fe80::1%eth0", "fe80::2%eth1", "fe80::2%eth1", false},
		{"2001:db8::1", "2001:db8::2", "2001:db8::2", true},
		{"::1", "2001:db8::2", "2001:db8::2", false},
		// Private addresses of a peer that is known by a public one.
		{"10.0.0.1", "10.0.0.2", "192.0.2.1", false},
		{"10.0.0.1", "192.168.1.1", "192.0.2.1", false},
		{"10.0.0.1", "100.64.1.1", "192.0.2.1", false},
		{"fd00::1", "fd00::2", "2001:db8::1", false},
		{"fd00::1", "fd00::2", "10.0.0.2", true},
		{"10.0.0.1", "172.16.1.1", "192.168.1.1", true},
		{"10.0.0.1", "10.0.0.2", "100.64.1.1", true},
	} {
		require.Equal(t, c.want, WorthTrying(ip(c.local), ip(c.remote), ip(c.initial)), "%s > %s, peer %s", c.local, c.remote, c.initial)
	}
	require.False(t, WorthTrying(netip.Addr{}, ip("192.0.2.1"), ip("192.0.2.1")))
}

// 8684-3.4.1-01: what is announced, and what is not.
func TestWorthAnnouncing(t *testing.T) {
	for _, c := range []struct {
		addr, peer string
		want       bool
	}{
		{"198.51.100.1", "192.0.2.1", true},
		{"2001:db8::1", "192.0.2.1", true},
		{"198.51.100.1", "10.0.0.2", true},
		{"10.1.0.1", "10.0.0.2", true},
		{"10.1.0.1", "192.0.2.1", false},
		{"::ffff:10.1.0.1", "192.0.2.1", false},
		{"100.64.0.1", "192.0.2.1", false},
		{"fd00::1", "2001:db8::1", false},
		{"fd00::1", "fd00::2", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"169.254.0.1", "169.254.0.2", false},
		{"fe80::1", "fe80::2", false},
		{"0.0.0.0", "192.0.2.1", false},
		{"::", "2001:db8::1", false},
		{"224.0.0.1", "192.0.2.1", false},
		{"255.255.255.255", "192.0.2.1", false},
	} {
		require.Equal(t, c.want, WorthAnnouncing(ip(c.addr), ip(c.peer)), "%s to %s", c.addr, c.peer)
	}
	require.False(t, WorthAnnouncing(netip.Addr{}, ip("192.0.2.1")))
}
