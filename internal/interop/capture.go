//go:build linux

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/pcap"
)

// newCapture returns what taps a device into the test's capture, a file in the classic
// pcap format named after the test in the directory INTEROP_PCAP. Without that
// variable it leaves devices as they are.
func newCapture(t testing.TB) func(testing.TB, tun.Device) tun.Device {
	t.Helper()
	dir := os.Getenv("INTEROP_PCAP")
	if dir == "" {
		return func(_ testing.TB, dev tun.Device) tun.Device { return dev }
	}
	require.NoError(t, os.MkdirAll(dir, 0o777))
	name := strings.NewReplacer("/", "-", " ", "_").Replace(t.Name())
	w, err := pcap.Create(filepath.Join(dir, name+".pcap"), pcap.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return func(t testing.TB, dev tun.Device) tun.Device {
		t.Helper()
		tapped, err := w.Wrap(dev)
		require.NoError(t, err)
		return tapped
	}
}
