//go:build linux

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sshd is OpenSSH's server in a namespace, with MPTCP of the kernel by mptcpize, and what a
// client needs to log in.
type sshd struct {
	dir  string
	port string
	log  *record
}

// startSSHD starts one at all addresses.
func startSSHD(t testing.TB, ns *Namespace) *sshd {
	t.Helper()
	s := &sshd{dir: t.TempDir(), port: "2222"}
	requirePrograms(t, "openssh-server openssh-client mptcpize", "sshd", "ssh", "ssh-keygen", "mptcpize")
	server, err := exec.LookPath("sshd") // it wants to be called by its full name
	require.NoError(t, err)
	for _, key := range []string{"host", "user"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.file(key)).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // where sshd locks up its unprivileged half
	config := fmt.Sprintf("Port %s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n",
		s.port, s.file("host"), s.file("user.pub"))
	require.NoError(t, os.WriteFile(s.file("config"), []byte(config), 0o600))
	_, _, _, s.log = ns.start(t, "mptcpize", "run", server, "-D", "-e", "-f", s.file("config"))
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "Server listening") }, patience, 10*time.Millisecond, "%v", s.log)
	return s
}

func (s *sshd) file(name string) string { return filepath.Join(s.dir, name) }

// cut makes a black hole of an uplink, at the router, or ends that.
func (h *home) cut(t testing.TB, i int, cut bool) {
	t.Helper()
	if cut {
		h.router.run(t, fmt.Sprintf(`nft "table inet cut%d { chain forward { type filter hook forward priority 0; iifname r%d drop; oifname r%d drop; }; }"`, i, i, i))
		return
	}
	h.router.run(t, fmt.Sprintf("nft delete table inet cut%d", i))
}

// OpenSSH, with the library only as a command: a session lives on when the first path goes silent, when the
// second does so too, and goes on when the first is back.
func TestOpenSSH(t *testing.T) {
	try(t, func(t testing.TB) {
		h := newHome(t)
		s := startSSHD(t, h.server)
		program := mpcat(t)
		args := []string{
			"-v", "-F", "none", "-i", s.file("user"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + s.file("known"),
			"-o", "ProxyCommand=" + program + " -v -uplinks auto -scheduler roundrobin -stats " + s.file("stats") + " %h %p", "-p", s.port, "root@" + serverAddr4, "cat; echo the end",
		}
		cmd, stdin, out, log := h.client.start(t, "ssh", args...)

		// A line goes there and back ten times a second, whatever the paths do.
		stop, stopped := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for ; ; n++ {
				select {
				case <-stop:
					stopped <- n
					return
				case <-time.After(100 * time.Millisecond):
					fmt.Fprintln(stdin, "line", n)
				}
			}
		}()
		// echoed is how many lines have come back.
		echoed := func() int { return strings.Count(out.String(), "\n") }
		// goesOn waits until lines that are sent from now on come back.
		goesOn := func(what string, within time.Duration) {
			t.Helper()
			from, began := echoed(), time.Now()
			require.Eventually(t, func() bool { return echoed() > from+10 }, within, 10*time.Millisecond, "%s\n%v\n%v", what, log, s.log)
			t.Logf("%s: %v for ten lines", what, time.Since(began))
		}
		goesOn("logged in", patience)
		require.Eventually(t, func() bool { return h.server.Counters(t).Get(t, "MPJoinAckRx") > 0 }, patience, 10*time.Millisecond, "a second path")

		h.cut(t, 1, true)
		first := time.Now()
		goesOn("the first path is dead", patience)
		time.Sleep(time.Until(first.Add(5 * time.Second)))
		h.cut(t, 2, true)
		time.Sleep(time.Second)
		silent := echoed()
		time.Sleep(time.Until(first.Add(10 * time.Second)))
		require.Equal(t, silent, echoed(), "both paths are dead")
		h.cut(t, 1, false)
		goesOn("the first path is back", patience)
		h.cut(t, 2, false)
		goesOn("both are back", patience)

		close(stop)
		sent := <-stopped
		require.NoError(t, stdin.Close())
		require.NoError(t, cmd.Wait(), "%v", log)
		var want strings.Builder
		for i := range sent {
			fmt.Fprintln(&want, "line", i)
		}
		require.Equal(t, want.String()+"the end\n", out.String())
		// Ssh does not wait for the command, which it ends with SIGHUP.
		require.Eventually(t, func() bool { _, err := os.Stat(s.file("stats")); return err == nil }, patience, 10*time.Millisecond)
		h.requireUndone(t)
		isMPTCP, sentBy := statsOf(t, s.file("stats"))
		require.True(t, isMPTCP)
		require.Len(t, sentBy, 2, "both paths were in use")
	})
}
