package option

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-W-08, 8684-W-18, 8684-Q-03: T-D1..T-D5, T-O3, T-O4; the announcement, its
// check at the other end, and its echo.
func TestAddAddrWire(t *testing.T) {
	linuxClient, linuxServer := Key(unhex(t, "eacc5af68f8e8967")), Key(unhex(t, "9b924dcabd27cc5b"))
	for _, c := range []struct {
		name       string
		own, peer  Key
		id         AddrID
		addr       string
		port       uint16
		wire, echo string
	}{
		{"T-D1", keyA, keyB, 3, "192.0.2.5", 0, "1e103003c000020572b52ef76d7ef3fc", "1e083103c0000205"},
		{"T-D2", keyA, keyB, 3, "192.0.2.5", 8443, "1e123003c000020520fbd293d7068946a09f", "1e0a3103c000020520fb"},
		{"T-D3", keyB, keyA, 9, "2001:db8::5", 0,
			"1e1c300920010db8000000000000000000000005aee9f395baf6aa5e", "1e14310920010db8000000000000000000000005"},
		{"T-D4", keyB, keyA, 9, "2001:db8::5", 8443,
			"1e1e300920010db800000000000000000000000520fb971ed1e3a5d83b61", "1e16310920010db800000000000000000000000520fb"},
		{"T-D5", keyB, keyA, 3, "192.0.2.5", 0, "1e103003c0000205e193ed1e5f34b011", "1e083103c0000205"},
		{"T-O3", linuxServer, linuxClient, 3, "10.77.2.1", 0, "1e1030030a4d0201fb339954277a63f6", "1e0831030a4d0201"},
		{"T-O3 port", linuxServer, linuxClient, 5, "10.77.1.1", 10777, "1e1230050a4d01012a196df74fe52363dd70", "1e0a31050a4d01012a19"},
		{"T-O4", linuxServer, linuxClient, 7, "fd77:2::1", 0,
			"1e1c3007fd770002000000000000000000000001d9f483f25b8d7b78", "1e143107fd770002000000000000000000000001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := NewAddAddr(c.own, c.peer, c.id, netip.AddrPortFrom(netip.MustParseAddr(c.addr), c.port))
			requireWire(t, c.wire, ackFlags, a)
			requireWire(t, c.echo, ackFlags, a.Reply())

			require.True(t, a.Verify(c.peer, c.own))
			require.False(t, a.Verify(c.own, c.peer), "keys the wrong way round")
			for i := range 64 {
				bad := a
				bad.HMAC[i/8] ^= 1 << (i % 8)
				require.False(t, bad.Verify(c.peer, c.own), "bit %d", i)
			}
			other := a
			other.ID++
			require.False(t, other.Verify(c.peer, c.own), "another ID")
		})
	}
}

// 8684-W-08, 8684-Q-23: E decides which lengths are good; the unassigned bits
// of byte 2 do not matter (8684-Q-22).
func TestAddAddrLengths(t *testing.T) {
	requireLengths(t, ackFlags, []byte{0x30}, 16, 18, 28, 30)
	requireLengths(t, ackFlags, []byte{0x3e}, 16, 18, 28, 30)
	requireLengths(t, ackFlags, []byte{0x31}, 8, 10, 20, 22)
	requireLengths(t, ackFlags, []byte{0x3f}, 8, 10, 20, 22)
}

// An IPv4-mapped address keeps its family, so that echo and HMAC fit what came.
func TestAddAddrMapped(t *testing.T) {
	addr := netip.MustParseAddr("::ffff:192.0.2.5")
	requireWire(t, "1e14310100000000000000000000ffffc0000205", ackFlags,
		AddAddr{Echo: true, ID: 1, Addr: netip.AddrPortFrom(addr, 0)})
}

// A port field of 0 names no port.
func TestAddAddrPortZero(t *testing.T) {
	want := AddAddr{Echo: true, ID: 1, Addr: netip.MustParseAddrPort("192.0.2.5:0")}
	require.Equal(t, want, one(unhex(t, "1e0a3101c00002050000"), ackFlags))
}

func TestAddAddrWithoutAddress(t *testing.T) {
	require.Panics(t, func() { AddAddr{}.AppendTo(nil) })
}
