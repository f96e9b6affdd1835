package option

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-W-16, 8684-W-17, 8684-3.2-11, 8684-Q-02: the whole digests of T-J1 and T-J2.
func TestJoinHMAC(t *testing.T) {
	for _, c := range []struct {
		name                string
		own, peer           Key
		ownNonce, peerNonce string
		want                string
	}{
		{"T-J1 SYN/ACK", keyB, keyA, "b1b2b3b4", "a1a2a3a4", "864b40428762fd06fa24bb3c5ea12c1bbf6546e7aace88911139aa8f77f90286"},
		{"T-J1 ACK", keyA, keyB, "a1a2a3a4", "b1b2b3b4", "53037f2899475529844115fd07e665d23d3554fb8dde7551287562b1aa8e53de"},
		{"T-J2 SYN/ACK", keyA, keyB, "fffffffe", "00000001", "45a9aa6eadb7c864cca7ea07e9c96ce8c7bcd0f6b4f70c313a6b5ff3238db65e"},
		{"T-J2 ACK", keyB, keyA, "00000001", "fffffffe", "61a06b3876d68943cfe54a9f19fcd9bd6761d85505f7bc1913a02c68df4ebb65"},
	} {
		got := JoinHMAC(c.own, c.peer, Nonce(unhex(t, c.ownNonce)), Nonce(unhex(t, c.peerNonce)))
		require.Equal(t, c.want, hex.EncodeToString(got[:]), c.name)
	}
}

// 8684-W-18, 8684-Q-01: T-D1..T-D5 (rightmost 8 of all 32 bytes), T-O3, T-O4.
func TestAddAddrHMAC(t *testing.T) {
	linuxClient, linuxServer := Key(unhex(t, "eacc5af68f8e8967")), Key(unhex(t, "9b924dcabd27cc5b"))
	for _, c := range []struct {
		name      string
		own, peer Key
		id        AddrID
		addr      string
		port      uint16
		want      string
	}{
		{"T-D1", keyA, keyB, 3, "192.0.2.5", 0, "72b52ef76d7ef3fc"},
		{"T-D2", keyA, keyB, 3, "192.0.2.5", 8443, "d293d7068946a09f"},
		{"T-D3", keyB, keyA, 9, "2001:db8::5", 0, "aee9f395baf6aa5e"},
		{"T-D4", keyB, keyA, 9, "2001:db8::5", 8443, "971ed1e3a5d83b61"},
		{"T-D5", keyB, keyA, 3, "192.0.2.5", 0, "e193ed1e5f34b011"},
		{"T-O3", linuxServer, linuxClient, 3, "10.77.2.1", 0, "fb339954277a63f6"},
		{"T-O3 port", linuxServer, linuxClient, 5, "10.77.1.1", 10777, "6df74fe52363dd70"},
		{"T-O4", linuxServer, linuxClient, 7, "fd77:2::1", 0, "d9f483f25b8d7b78"},
	} {
		got := AddAddrHMAC(c.own, c.peer, c.id, netip.AddrPortFrom(netip.MustParseAddr(c.addr), c.port))
		require.Equal(t, c.want, hex.EncodeToString(got[:]), c.name)
	}
	require.Panics(t, func() { AddAddrHMAC(keyA, keyB, 1, netip.AddrPort{}) })
}

func TestEqualHMAC(t *testing.T) {
	require.True(t, EqualHMAC([]byte{1, 2}, []byte{1, 2}))
	require.False(t, EqualHMAC([]byte{1, 2}, []byte{1, 3}))
	require.False(t, EqualHMAC([]byte{1, 2}, []byte{1}))
}
