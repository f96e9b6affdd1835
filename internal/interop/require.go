//go:build linux

package interop

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Asked reports whether the environment asks for these tests (INTEROP=1).
func Asked() bool { return os.Getenv("INTEROP") == "1" }

// Require skips the test unless it is asked for: it makes namespaces, devices and rules on the
// machine, and minds who else is busy there. See RequireMachine for what else it needs.
func Require(t testing.TB) {
	t.Helper()
	if !Asked() {
		t.Skip("it makes network namespaces and devices, and takes real time: `make interop` runs it, as root (INTEROP=1)")
	}
	RequireMachine(t)
}

// RequireMachine skips the test with the reason where the machine cannot run such tests, or fails it if
// they are asked for.
func RequireMachine(t testing.TB) {
	t.Helper()
	reason := missing()
	switch {
	case reason == "":
	case Asked():
		t.Fatalf("INTEROP=1, but %s", reason)
	default:
		t.Skip(reason)
	}
}

// requirePrograms fails the test unless they are there; packages say how to get them.
func requirePrograms(t testing.TB, packages string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("INTEROP=1, but there is no %s (apt install %s)", p, packages)
		}
	}
}

// missing says what the machine lacks for all these tests; "" if nothing.
var missing = sync.OnceValue(func() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return "there is no /dev/net/tun (modprobe tun)"
	}
	if b, err := os.ReadFile("/proc/sys/net/mptcp/enabled"); err != nil || strings.TrimSpace(string(b)) != "1" {
		return "the kernel has no MPTCP, or it is off (sysctl net.mptcp.enabled=1)"
	}
	if err := exec.Command("ip", "mptcp", "limits").Run(); err != nil {
		return "`ip mptcp limits` fails: iproute2 5.8 or later is needed"
	}
	probe := namePrefix + strconv.Itoa(os.Getpid()) + "-probe"
	if err := ip("netns", "add", probe); err != nil {
		return "no namespace can be made: " + err.Error()
	}
	if err := ip("netns", "delete", probe); err != nil {
		return "a namespace cannot be removed: " + err.Error()
	}
	return ""
})
