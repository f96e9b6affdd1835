//go:build linux

package tun

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace runs functions on a thread in a network namespace of its own.
type namespace struct{ calls chan func() }

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	ns := &namespace{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range ns.calls {
			f()
		}
	}()
	t.Cleanup(func() { close(ns.calls) })
	if err := <-ready; err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no network namespace: %v", err)
		}
		t.Skipf("needs root, to make a network namespace: %v", err)
	}
	return ns
}

func (ns *namespace) do(f func()) {
	done := make(chan struct{})
	ns.calls <- func() { defer close(done); f() }
	<-done
}

// open opens a TUN interface that is up and whose kernel side has the address.
func (ns *namespace) open(t *testing.T, name, addr string, mtu int) *Linux {
	t.Helper()
	var d *Linux
	var err error
	ns.do(func() {
		if d, err = OpenLinux(name); err == nil {
			err = bringUp(d.Name(), addr, mtu)
		}
	})
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("no TUN interface: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func bringUp(name, addr string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	a.Flags = unix.IFA_F_NODAD
	return errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetMTU(link, mtu), netlink.LinkSetUp(link))
}

// carry moves packets from one device to the other until one is closed.
func carry(from, to Device, super *atomic.Int64) {
	pkts := buffers(16)
	for {
		for i := range pkts {
			pkts[i].Head = pkts[i].Head[:MaxPacketSize]
		}
		n, err := from.Read(pkts)
		if err != nil {
			return
		}
		for _, p := range pkts[:n] {
			if p.GSOSize > 0 {
				super.Add(1)
			}
		}
		if to.Write(pkts[:n]) != nil {
			return
		}
	}
}

// The kernel's TCP of one namespace talks to that of another through two TUN
// interfaces whose packets this test carries, offloads and all.
func TestLinuxCarriesTheKernelsTCP(t *testing.T) {
	for _, c := range []struct {
		name, a, b, listen string
		offload            bool
	}{
		{"v4", "10.9.8.1/24", "10.9.8.2/24", "10.9.8.2:0", true},
		{"v6", "fd00::1/64", "fd00::2/64", "[fd00::2]:0", true},
		{"v4 without features", "10.9.8.1/24", "10.9.8.2/24", "10.9.8.2:0", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			nsA, nsB := newNamespace(t), newNamespace(t)
			devA, devB := nsA.open(t, "left", c.a, 1400), nsB.open(t, "", c.b, 1400)
			require.Equal(t, "left", devA.Name())
			require.NotEmpty(t, devB.Name())
			require.Equal(t, 1400, devA.MTU())
			require.Equal(t, Features{GSO: true, Checksum: true}, devA.Features())
			if !c.offload { // what Write does when the kernel refuses
				devB.features = Features{}
			}
			var super atomic.Int64
			go carry(devA, devB, &super)
			go carry(devB, devA, &super)

			data := make([]byte, 20<<20)
			rand.NewChaCha8([32]byte{}).Read(data)
			transfer(t, nsA, nsB, c.listen, data)
			require.Positive(t, super.Load(), "no super-segment came")
			require.Zero(t, devA.Drops()+devB.Drops())
		})
	}
}

// transfer sends data from a socket in one namespace to a listener in another.
func transfer(t *testing.T, from, to *namespace, listen string, data []byte) {
	t.Helper()
	var l net.Listener
	var err error
	to.do(func() { l, err = net.Listen("tcp", listen) })
	require.NoError(t, err)
	defer l.Close()
	var wg sync.WaitGroup
	var sum []byte
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		h := sha256.New()
		_, _ = io.Copy(h, c)
		sum = h.Sum(nil)
	})
	var c net.Conn
	from.do(func() { c, err = net.DialTimeout("tcp", l.Addr().String(), 5*time.Second) })
	require.NoError(t, err)
	start := time.Now()
	_, err = c.Write(data)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	wg.Wait()
	t.Logf("%.0f Mbit/s", float64(len(data))*8/1e6/time.Since(start).Seconds())
	want := sha256.Sum256(data)
	require.Equal(t, want[:], sum)
}

func TestLinuxLeavesUDPChecksumsPartial(t *testing.T) {
	ns := newNamespace(t)
	d := ns.open(t, "tap", "10.9.8.1/24", 1400)
	var err error
	ns.do(func() {
		var c net.Conn
		if c, err = net.Dial("udp", "10.9.8.2:9"); err == nil {
			_, err = c.Write([]byte("hello"))
			c.Close()
		}
	})
	require.NoError(t, err)
	pkts := buffers(4)
	for { // the kernel also says that it is a router's neighbour
		n, err := d.Read(pkts)
		require.NoError(t, err)
		if i := findUDP(pkts[:n]); i >= 0 {
			require.Equal(t, ChecksumPartial, pkts[i].Checksum)
			packet.CompleteChecksum(pkts[i].Head, nil)
			require.True(t, packet.VerifyChecksum(pkts[i].Head, nil))
			return
		}
	}
}

func findUDP(pkts []Packet) int {
	for i, p := range pkts {
		if p.Head[0]>>4 == 4 && p.Head[9] == 17 {
			return i
		}
	}
	return -1
}

func TestLinuxClose(t *testing.T) {
	ns := newNamespace(t)
	d := ns.open(t, "", "10.9.8.1/24", 1400)
	require.Equal(t, 1400, d.MTU())
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := d.Read(buffers(1)); err != nil {
				done <- err
				return
			}
		}
	}()
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-done, ErrClosed)
	require.ErrorIs(t, d.Write([]Packet{tcpPacket(1, 1)}), ErrClosed)
	require.Equal(t, 1400, d.MTU(), "the last one known")
}

func TestLinuxInterfaceDownAndDeleted(t *testing.T) {
	ns := newNamespace(t)
	d := ns.open(t, "gone", "10.9.8.1/24", 1400)
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := d.Read(buffers(1)); err != nil {
				done <- err
				return
			}
		}
	}()
	change := func(f func(netlink.Link) error) {
		t.Helper()
		var err error
		ns.do(func() {
			var l netlink.Link
			if l, err = netlink.LinkByName("gone"); err == nil {
				err = f(l)
			}
		})
		require.NoError(t, err)
	}
	require.NoError(t, d.Write([]Packet{{Head: []byte("?not IP")}}))
	require.EqualValues(t, 1, d.Drops())

	change(netlink.LinkSetDown)
	require.NoError(t, d.Write([]Packet{tcpPacket(1, 1)}), "down is no end")
	require.EqualValues(t, 2, d.Drops())

	change(netlink.LinkDel)
	err := <-done
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorContains(t, err, "interface gone is gone")
	require.ErrorIs(t, d.Write([]Packet{tcpPacket(1, 1)}), ErrClosed)
}

func TestOpenLinuxErrors(t *testing.T) {
	_, err := OpenLinux("a-name-that-is-too-long")
	require.ErrorContains(t, err, "too long")
	require.ErrorContains(t, explainOpen(unix.ENOENT), "modprobe tun")
	require.ErrorIs(t, explainAttach("x", unix.EPERM), unix.EPERM)
	require.ErrorContains(t, explainAttach("x", unix.EPERM), "CAP_NET_ADMIN")

	ns := newNamespace(t)
	ns.open(t, "busy", "10.9.8.1/24", 1400)
	ns.do(func() { _, err = OpenLinux("busy") })
	require.ErrorIs(t, err, unix.EBUSY)
	require.ErrorContains(t, err, "in use")
}

func TestLinuxDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets under the race detector")
	}
	ns := newNamespace(t)
	d := ns.open(t, "", "192.0.2.2/24", 1500)
	super := tcpPacket(60000, 0)
	super.GSOSize = 1460
	out := []Packet{super, tcpPacket(100, 50)}
	in := buffers(1)
	// Each segment to a port without listener makes the kernel send a RST.
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() {
		if d.Write(out) != nil {
			t.Fatal("write")
		}
		in[0].Head = in[0].Head[:MaxPacketSize]
		if _, err := d.Read(in); err != nil {
			t.Fatal("read")
		}
	}), 0.1)
	require.Zero(t, d.Drops())
}

func TestPortable(t *testing.T) {
	ns := newNamespace(t)
	var d *Portable
	var err error
	ns.do(func() {
		if d, err = OpenPortable(PortableConfig{Name: "water0"}); err == nil {
			err = bringUp("water0", "192.0.2.2/24", 1500)
		}
	})
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("no TUN interface: %v", err)
	}
	require.NoError(t, err)
	defer d.Close()
	require.Equal(t, "water0", d.Name())
	require.Zero(t, d.Features())

	super := tcpPacket(5000, 0)
	super.GSOSize = 1460
	require.NoError(t, d.Write([]Packet{super}))
	pkts := buffers(1)
	for { // until a RST says that the kernel took a segment for good
		pkts[0].Head = pkts[0].Head[:MaxPacketSize]
		_, err := d.Read(pkts)
		require.NoError(t, err)
		if v, ok := packet.ParseTCP(pkts[0].Head); ok {
			require.NotZero(t, v.Flags()&packet.FlagRST)
			require.Equal(t, src, v.Dst())
			break
		}
	}
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := d.Read(buffers(1)); err != nil {
				done <- err
				return
			}
		}
	}()
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-done, ErrClosed)
	require.ErrorIs(t, d.Write([]Packet{super}), ErrClosed)
}
