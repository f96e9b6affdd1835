package uplink

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread in a network namespace of its own, with two interfaces.
func inNamespace(t *testing.T, f func(k *kernel) error) {
	t.Helper()
	made := make(chan error, 1)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		made <- err
		if err != nil {
			return
		}
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "up1"}, PeerName: "up2"}
		if err := netlink.LinkAdd(veth); err != nil {
			done <- err
			return
		}
		done <- onThread(func(k *kernel, _ func(error)) error { return f(k) })
	}()
	if err := <-made; err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no network namespace: %v", err)
		}
		t.Skipf("needs root, to make a network namespace: %v", err)
	}
	require.NoError(t, <-done)
}

// variables6 reads what forwarding IPv6 could change.
func variables6() (all map[string]string) {
	all = map[string]string{}
	for _, pattern := range []string{"*/forwarding", "*/accept_ra"} {
		files, _ := filepath.Glob(sysctlDir + "net/ipv6/conf/" + pattern)
		for _, f := range files {
			name := strings.TrimPrefix(f, sysctlDir)
			all[name], _ = readSysctl(name)
		}
	}
	return all
}

// What older kernels need for IPv6 works, and is undone to the last variable.
func TestForwardingIPv6OfOlderKernelsIsUndone(t *testing.T) {
	var before, during, after map[string]string
	inNamespace(t, func(k *kernel) error {
		if err := writeSysctl("net/ipv6/conf/up2/forwarding", "1"); err != nil {
			return err
		}
		before = variables6()
		snap, err := k.snapshot()
		if err != nil {
			return err
		}
		snap.read = func(name string) (string, bool) {
			if strings.HasSuffix(name, "force_forwarding") {
				return "", false
			}
			return readSysctl(name)
		}
		up1 := snap.links[slices.IndexFunc(snap.links, func(l link) bool { return l.name == "up1" })]
		steps := forwarding6(0, &up1, snap)
		for _, s := range steps {
			if _, err := k.do(s); err != nil {
				return err
			}
		}
		during = variables6()
		for _, s := range slices.Backward(steps) {
			if err := k.undo(s); err != nil {
				return err
			}
		}
		after = variables6()
		return nil
	})
	require.Equal(t, "1", during["net/ipv6/conf/all/forwarding"])
	require.Equal(t, "1", during["net/ipv6/conf/up1/forwarding"])
	require.Equal(t, "2", during["net/ipv6/conf/up1/accept_ra"])
	require.Equal(t, "1", before["net/ipv6/conf/up2/forwarding"])
	require.Equal(t, before, after)
}

// Who has the lock keeps others out, within one process, too.
func TestLock(t *testing.T) {
	inNamespace(t, func(k *kernel) error {
		unlock, err := k.lock()
		if err != nil {
			return err
		}
		other, err := os.Open(namespacePath)
		if err != nil {
			return err
		}
		defer other.Close()
		require.ErrorIs(t, unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
		unlock()
		return unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	})
}
