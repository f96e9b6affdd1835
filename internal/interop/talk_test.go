//go:build linux

package interop

import (
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
)

// families runs a test for both IP versions.
func families(t *testing.T, test func(t testing.TB, f Family)) {
	for _, f := range []Family{IPv4, IPv6} {
		run(t, f.Name, func(t testing.TB) { test(t, f) })
	}
}

// extra is one more link between the two: the library's address there and the kernel's.
func (l *Lab) extra(t testing.TB, n int) (library, kernel netip.Addr) {
	t.Helper()
	library, kernel = netip.AddrFrom4([4]byte{10, 8, byte(n), 2}), netip.AddrFrom4([4]byte{10, 8, byte(n), 1})
	if l.Family.Kernel[0].Is6() {
		library, kernel = netip.AddrFrom16([16]byte{0: 0xfd, 1: 8, 3: byte(n), 15: 2}), netip.AddrFrom16([16]byte{0: 0xfd, 1: 8, 3: byte(n), 15: 1})
	}
	name := fmt.Sprintf("extra%d", n)
	dev := l.Peer.OpenTUN(t, name)
	require.NoError(t, l.Host.AddDevice(l.capture(t, dev), prefix(l.Family, library)))
	l.Peer.SetAddresses(t, name, prefix(l.Family, kernel))
	return library, kernel
}

// talk sends a little both ways.
func talk(t testing.TB, ends ...io.ReadWriter) {
	t.Helper()
	b := make([]byte, 50_000)
	for i, from := range ends {
		done := make(chan error, 1)
		go func() {
			_, err := from.Write(b)
			done <- err
		}()
		_, err := io.ReadFull(ends[1-i], make([]byte, len(b)))
		require.NoError(t, err)
		require.NoError(t, <-done)
	}
}

// soon waits for counters of the kernel, and tells all if they do not come.
func (l *Lab) soon(t testing.TB, want map[string]int64) {
	t.Helper()
	assertEventually(func() bool {
		c := l.Peer.Counters(t)
		for name, n := range want {
			if c.Get(t, name) != n {
				return false
			}
		}
		return true
	}, patience)
	l.Peer.Counters(t).RequireAll(t, want)
}

// subflows waits until a connection has n subflows that carry data.
func subflows(t testing.TB, c *mptcp.Conn, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		up := 0
		for _, s := range c.Info().Subflows {
			if s.State == "established" {
				up++
			}
		}
		return up == n
	}, patience, 10*time.Millisecond, "%d subflows", n)
}
