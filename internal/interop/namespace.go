//go:build linux

package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	// namePrefix begins the names of all namespaces of this package; the process ID and a
	// number follow.
	namePrefix = "gomptcp-"
	// netnsDir is where `ip netns` keeps its namespaces.
	netnsDir = "/run/netns"
)

var namespaces atomic.Int64

// Namespace is a network namespace that lasts for one test. Its methods may be called
// concurrently.
type Namespace struct{ name string }

// NewNamespace makes a namespace, which is removed when the test ends.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	ns := &Namespace{name: fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), namespaces.Add(1))}
	require.NoError(t, ip("netns", "add", ns.name))
	t.Cleanup(func() {
		if err := ip("netns", "delete", ns.name); err != nil {
			t.Error(err)
		}
	})
	// Path addresses are used in unusual combinations, and at once.
	ns.Sysctl(t, "net/ipv4/conf/all/rp_filter", "0")
	ns.Sysctl(t, "net/ipv4/conf/default/rp_filter", "0")
	ns.Sysctl(t, "net/ipv6/conf/all/accept_dad", "0")
	ns.Sysctl(t, "net/ipv6/conf/default/accept_dad", "0")
	ns.Sysctl(t, "net/ipv6/conf/default/router_solicitations", "0")
	ns.IP(t, "link set lo up")
	return ns
}

// Do runs f on an operating system thread that has entered the namespace. Sockets and
// devices that f makes stay in it. F must not start goroutines that count on that.
func (ns *Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine instead of going back to the
		// namespace of the process.
		runtime.LockOSThread()
		done <- ns.enterAnd(f)
	}()
	return <-done
}

func (ns *Namespace) enterAnd(f func() error) error {
	fd, err := unix.Open(filepath.Join(netnsDir, ns.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("namespace %s: %w", ns.name, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering namespace %s: %w", ns.name, err)
	}
	return f()
}

// IP carries out commands of ip(8) in the namespace, one a line.
func (ns *Namespace) IP(t testing.TB, commands string) {
	t.Helper()
	cmd := exec.Command("ip", "-n", ns.name, "-batch", "-")
	cmd.Stdin = strings.NewReader(commands)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "ip -batch: %s\n%s", out, commands)
}

// Sysctl sets a variable of the namespace; name has slashes, as below /proc/sys.
func (ns *Namespace) Sysctl(t testing.TB, name, value string) {
	t.Helper()
	require.NoError(t, ns.Do(func() error {
		return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	}))
}

// Listen listens with the kernel's TCP, or MPTCP, in the namespace until the test ends.
func (ns *Namespace) Listen(t testing.TB, address string, multipath bool) net.Listener {
	t.Helper()
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(multipath)
	var l net.Listener
	require.NoError(t, ns.Do(func() (err error) {
		l, err = lc.Listen(context.Background(), "tcp", address)
		return err
	}))
	t.Cleanup(func() { l.Close() })
	return l
}

// Dial connects with the kernel's TCP, or MPTCP, in the namespace, from a local address.
func (ns *Namespace) Dial(ctx context.Context, from net.IP, to string, multipath bool) (conn *net.TCPConn, err error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	d.SetMultipathTCP(multipath)
	err = ns.Do(func() error {
		c, err := d.DialContext(ctx, "tcp", to)
		if err == nil {
			conn = c.(*net.TCPConn)
		}
		return err
	})
	return conn, err
}

// ip runs one command of ip(8).
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// RemoveStale removes the namespaces that processes which no longer run have left behind.
func RemoveStale() {
	paths, _ := filepath.Glob(filepath.Join(netnsDir, namePrefix+"*"))
	for _, p := range paths {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(p), namePrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || unix.Kill(pid, 0) != unix.ESRCH {
			continue
		}
		if err := ip("netns", "delete", filepath.Base(p)); err != nil {
			fmt.Fprintln(os.Stderr, "interop:", err)
		}
	}
}
