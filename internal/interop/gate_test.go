package interop

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
)

// datagram returns an IPv4 packet with one byte of payload that tells it from others.
func datagram(src, dst string, mark byte) tun.Packet {
	b := make([]byte, 21)
	b[0], b[3] = 0x45, byte(len(b))
	copy(b[12:], netip.MustParseAddr(src).AsSlice())
	copy(b[16:], netip.MustParseAddr(dst).AsSlice())
	b[20] = mark
	return tun.Packet{Head: b}
}

// read returns the marks of the packets that one Read gives.
func read(t *testing.T, dev tun.Device) (marks []byte) {
	pkts := make([]tun.Packet, 8)
	for i := range pkts {
		pkts[i].Head = make([]byte, tun.MaxPacketSize)
	}
	n, err := dev.Read(pkts)
	require.NoError(t, err)
	for _, p := range pkts[:n] {
		require.Len(t, p.Head, 21)
		marks = append(marks, p.Head[20])
	}
	for _, p := range pkts[n:] {
		require.Len(t, p.Head, tun.MaxPacketSize, "a buffer that was not filled keeps its length")
	}
	return marks
}

func TestGate(t *testing.T) {
	const near, far, other = "10.1.1.2", "10.1.1.1", "10.1.2.1"
	inner, outside := tun.Pipe(tun.PipeConfig{})
	gate := NewGate(inner)

	in := []tun.Packet{datagram(far, near, 1), datagram(other, near, 2), datagram(far, near, 3)}
	require.NoError(t, outside.Write(in))
	require.Equal(t, []byte{1, 2, 3}, read(t, gate))

	gate.Cut(netip.MustParseAddr(far))
	require.NoError(t, outside.Write(in[:1])) // a batch of which nothing is left is no empty Read
	require.NoError(t, outside.Write(in))
	require.Equal(t, []byte{2}, read(t, gate))
	out := []tun.Packet{datagram(near, far, 4), datagram(near, other, 5)}
	require.NoError(t, gate.Write(out))
	require.Equal(t, []byte{5}, read(t, outside))
	require.Equal(t, byte(4), out[0].Head[20], "the caller's packets stay in place")

	gate.Restore(netip.MustParseAddr(far))
	require.NoError(t, gate.Write(out))
	require.Equal(t, []byte{4, 5}, read(t, outside))
	require.EqualValues(t, 4, gate.Dropped())
}
