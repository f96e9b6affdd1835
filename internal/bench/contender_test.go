package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/netstack/plain"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
)

// contender is one of those that are compared.
type contender struct {
	name string
	// paths is the number of subflows; 0 is plain netstack over one device.
	paths int
}

var (
	plainNetstack = contender{"plain netstack", 0}
	oneSubflow    = contender{"MPTCP, 1 subflow", 1}
	twoSubflows   = contender{"MPTCP, 2 subflows", 2}
)

// devices is the number of devices that the contender uses.
func (k contender) devices() int { return max(k.paths, 1) }

// port is where servers listen; the kernel takes plain TCP at the port after it.
const port = 5001

// end is a host of either kind.
type end interface {
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Listen(port uint16) (net.Listener, error)
	Close()
}

// newEnd makes the contender's host over devices, each with one address.
func (k contender) newEnd(t testing.TB, devs []tun.Device, addrs []netip.Prefix) end {
	t.Helper()
	if k.paths == 0 {
		s, err := plain.New(devs[0], addrs[0])
		require.NoError(t, err)
		return s
	}
	h, err := mptcp.NewHost(nil)
	require.NoError(t, err)
	for i, d := range devs {
		require.NoError(t, h.AddDevice(d, addrs[i]))
	}
	return libraryEnd{h}
}

type libraryEnd struct{ host *mptcp.Host }

func (e libraryEnd) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return e.host.DialContext(ctx, "tcp", to.String())
}

func (e libraryEnd) Listen(port uint16) (net.Listener, error) {
	return e.host.Listen("tcp", fmt.Sprintf(":%d", port))
}

func (e libraryEnd) Close() { e.host.Close() }

// dial connects to the other end.
func dial(t testing.TB, e end, to netip.AddrPort) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := e.Dial(ctx, to)
	require.NoError(t, err)
	return c
}

// awaitSubflows waits until all subflows are there; joining begins with the first data.
func (k contender) awaitSubflows(t testing.TB, c net.Conn) {
	t.Helper()
	if k.paths == 0 {
		return
	}
	require.Eventually(t, func() bool { return established(c.(*mptcp.Conn)) == k.paths }, 5*time.Second, time.Millisecond,
		"the connection does not get %d subflows: %+v", k.paths, c.(*mptcp.Conn).Info())
}

func established(c *mptcp.Conn) (n int) {
	info := c.Info()
	for _, s := range info.Subflows {
		if info.MPTCP && s.State == "established" {
			n++
		}
	}
	return n
}

// counted is a device that counts the packets, or super-segments, that carry data.
type counted struct {
	tun.Device
	data *atomic.Int64
}

// dataSize is the packet length in bytes above which a packet is not an ACK.
const dataSize = 150

func (d counted) count(pkts []tun.Packet) {
	n := 0
	for i := range pkts {
		if pkts[i].Len() > dataSize {
			n++
		}
	}
	d.data.Add(int64(n))
}

// Read implements tun.Device.
func (d counted) Read(pkts []tun.Packet) (int, error) {
	n, err := d.Device.Read(pkts)
	d.count(pkts[:n])
	return n, err
}

// Write implements tun.Device.
func (d counted) Write(pkts []tun.Packet) error {
	d.count(pkts)
	return d.Device.Write(pkts)
}
