//go:build linux

package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
)

// patience is how long an exchange may stand still before it has failed, and how long what has no
// reason to take long may take: a dead path takes the kernel several seconds, and the machine may be busy.
const patience = 30 * time.Second

// port is where the servers listen.
const port = 5001

// Role is the library's; the kernel has the other one.
type Role string

// The two roles.
const (
	Client Role = "client"
	Server Role = "server"
)

// maxPaths is how many paths a Lab has at most.
const maxPaths = 4

// Family is the set of addresses of one IP version, see the picture in the package
// comment.
type Family struct {
	Name string
	// Library and Kernel are the two ends of each path. The first path's are those
	// that are dialled.
	Library, Kernel [maxPaths]netip.Addr
	// bits is the prefix length of each network.
	bits int
}

// IPv4 and IPv6 are the address plans.
var (
	IPv4 = newFamily("IPv4", "10.1.%d.%d", 24)
	IPv6 = newFamily("IPv6", "fd00:1:%d::%d", 64)
)

func newFamily(name, plan string, bits int) Family {
	f := Family{Name: name, bits: bits}
	for i := range maxPaths {
		f.Kernel[i] = netip.MustParseAddr(fmt.Sprintf(plan, i+1, 1))
		f.Library[i] = netip.MustParseAddr(fmt.Sprintf(plan, i+1, 2))
	}
	return f
}

// other is the other one.
func (f Family) other() Family {
	if f.Name == IPv4.Name {
		return IPv6
	}
	return IPv4
}

// nft is what nft(8) calls it.
func (f Family) nft() string {
	if f.Name == IPv4.Name {
		return "ip"
	}
	return "ip6"
}

// Lab is one test's place: the kernel's namespace and the host of the library with its
// devices, all of which go when the test ends.
type Lab struct {
	// Peer is the namespace of the kernel's end.
	Peer *Namespace
	// Host is the library's end.
	Host *mptcp.Host
	// Role is the library's.
	Role Role
	// Family has the addresses of the initial subflow.
	Family Family

	gates   []*Gate // one for each path's device
	wrap    func(testing.TB, tun.Device) tun.Device
	capture func(testing.TB, tun.Device) tun.Device
}

// LabConfig says what is special in a Lab.
type LabConfig struct {
	Role   Role
	Family Family
	// Host configures the library.
	Host mptcp.Config
	// Paths is the number of paths, 1 to 4; 0 means 2.
	Paths int
	// Bare leaves the kernel's limits and endpoints as they are in a new namespace, for
	// the test to set. Otherwise it takes four subflows, and as the client opens one from
	// each path's address but the first to the address that it dialled.
	Bare bool
	// Wrap, if not nil, puts something between the library and its device, such as a slow
	// link.
	Wrap func(t testing.TB, dev tun.Device) tun.Device
}

// NewLab builds the namespace, the devices and the host.
func NewLab(t testing.TB, cfg LabConfig) *Lab {
	t.Helper()
	l := &Lab{Peer: NewNamespace(t), Role: cfg.Role, Family: cfg.Family, wrap: cfg.Wrap}
	if cfg.Paths == 0 {
		cfg.Paths = 2
	}
	host, err := mptcp.NewHost(&cfg.Host)
	require.NoError(t, err)
	l.Host = host

	l.capture = newCapture(t)
	for range cfg.Paths {
		l.AddPath(t)
	}
	if !cfg.Bare {
		l.Peer.IP(t, "mptcp limits set subflow 4 add_addr_accepted 4")
		for i := 1; i < cfg.Paths && cfg.Role == Server; i++ {
			l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v subflow", cfg.Family.Kernel[i]))
		}
	}
	t.Cleanup(func() { host.Close() }) // before the devices close
	return l
}

// AddPath adds one more path, of maxPaths, which the kernel's end can use before the library
// knows of it.
func (l *Lab) AddPath(t testing.TB) {
	t.Helper()
	i := len(l.gates)
	name := fmt.Sprintf("path%d", i+1)
	dev := l.Peer.OpenTUN(t, name)
	if l.wrap != nil {
		dev = l.wrap(t, dev)
	}
	l.gates = append(l.gates, NewGate(dev))
	l.Peer.SetAddresses(t, name, prefix(IPv4, IPv4.Kernel[i]), prefix(IPv6, IPv6.Kernel[i]))
	require.NoError(t, l.Host.AddDevice(l.capture(t, l.gates[i]), prefix(IPv4, IPv4.Library[i]), prefix(IPv6, IPv6.Library[i])))
}

func prefix(f Family, a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, f.bits) }

// OpenTUN opens a TUN device in the namespace until the test ends.
func (ns *Namespace) OpenTUN(t testing.TB, name string) tun.Device {
	t.Helper()
	var dev tun.Device
	require.NoError(t, ns.Do(func() (err error) {
		dev, err = tun.OpenLinux(name)
		return err
	}))
	t.Cleanup(func() { dev.Close() })
	return dev
}

// SetAddresses brings a device up and adds addresses to it, which can be used at once.
func (ns *Namespace) SetAddresses(t testing.TB, dev string, addrs ...netip.Prefix) {
	t.Helper()
	commands := fmt.Sprintf("link set %s up\n", dev)
	for _, a := range addrs {
		nodad := ""
		if a.Addr().Is6() {
			nodad = "nodad"
		}
		commands += fmt.Sprintf("address add %v dev %s %s\n", a, dev, nodad)
	}
	ns.IP(t, commands)
	for _, a := range addrs {
		// The kernel makes the route that takes in an IPv6 address's packets a little later.
		require.Eventually(t, func() bool { return ns.hasLocalRoute(a.Addr()) }, patience, time.Millisecond)
	}
}

// hasLocalRoute reports whether packets to an address are for the namespace itself.
func (ns *Namespace) hasLocalRoute(a netip.Addr) bool {
	out, err := exec.Command("ip", "-n", ns.name, "route", "get", a.String()).Output()
	return err == nil && bytes.HasPrefix(out, []byte("local "))
}

// CutPath makes a black hole of path i.
func (l *Lab) CutPath(i int) { l.gateOf(i).Cut(l.pathAddr(i)) }

// RestorePath ends what CutPath did.
func (l *Lab) RestorePath(i int) { l.gateOf(i).Restore(l.pathAddr(i)) }

// gateOf is the gate of path i. What the kernel's client sends to the address that it
// dialled leaves through the first device, wherever it comes from.
func (l *Lab) gateOf(i int) *Gate {
	if l.Role == Server {
		return l.gates[0]
	}
	return l.gates[i]
}

// pathAddr is the address that only path i uses.
func (l *Lab) pathAddr(i int) netip.Addr {
	if l.Role == Client {
		return l.Family.Library[i]
	}
	return l.Family.Kernel[i]
}

// Connect connects the two ends in the lab's roles. With kernelMPTCP false the kernel
// speaks plain TCP.
func (l *Lab) Connect(t testing.TB, kernelMPTCP bool) (library *mptcp.Conn, kernel *net.TCPConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if l.Role == Client {
		address := netip.AddrPortFrom(l.Family.Kernel[0], port).String()
		// On all addresses, for joins to those that it announces.
		listener := l.Peer.Listen(t, fmt.Sprintf(":%d", port), kernelMPTCP)
		accepted := acceptOne(listener)
		library, err := l.Host.Dial(ctx, "tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { library.Abort() })
		return library, wait(t, ctx, accepted).(*net.TCPConn)
	}

	address := netip.AddrPortFrom(l.Family.Library[0], port).String()
	listener, err := l.Host.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	accepted := acceptOne(listener)
	from := net.IP(l.Family.Kernel[0].AsSlice())
	kernel, err = l.Peer.Dial(ctx, from, address, kernelMPTCP)
	require.NoError(t, err)
	t.Cleanup(func() { kernel.Close() })
	return wait(t, ctx, accepted).(*mptcp.Conn), kernel
}

// acceptOne accepts one connection; the channel is closed without one on an error.
func acceptOne(l net.Listener) <-chan net.Conn {
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	return accepted
}

// wait returns the accepted connection, which is closed when the test ends.
func wait(t testing.TB, ctx context.Context, accepted <-chan net.Conn) net.Conn {
	t.Helper()
	select {
	case c := <-accepted:
		require.NotNil(t, c, "Accept failed")
		t.Cleanup(func() { c.Close() })
		return c
	case <-ctx.Done():
		require.FailNow(t, "the server accepted no connection")
		return nil
	}
}

// Bytes is how much a test sends each way (INTEROP_MB).
func Bytes(t testing.TB) int64 {
	t.Helper()
	s := os.Getenv("INTEROP_MB")
	if s == "" {
		return 100e6
	}
	mb, err := strconv.ParseInt(s, 10, 64)
	require.NoError(t, err, "INTEROP_MB")
	require.Positive(t, mb, "INTEROP_MB")
	return mb * 1e6
}
