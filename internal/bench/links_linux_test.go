package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/interop"
)

const (
	// linkTime is about the length of one transfer over a link. All have the same size: a
	// length would be that of the sender's writing, and thus depend on its buffer.
	linkTime = 8 * time.Second
	// linkReps is how many there are of each kind.
	linkReps = 3
)

// links are the settings of the emulated link, and what is asked of the library with BBR:
// a ratio to the kernel's BBR, or a rate in Mbit/s.
var links = []struct {
	name       string
	mbits      int // the link's rate, Mbit/s
	set        string
	ratio, min float64
}{
	{"80 Mbit/s 5 ms 0.5 % loss", 80, "delay=5ms loss=0.5% jitter=0 reorder=0 queue=20ms", 0.97, 0},
	{"50 Mbit/s 10 ms 2 % loss", 50, "delay=10ms loss=2% jitter=0 reorder=0 queue=50ms", 0.97, 0},
	{"20 Mbit/s 60 ms", 20, "delay=60ms loss=0 jitter=0 reorder=0 queue=100ms", 0.97, 0},
	{"80 Mbit/s 5 ms, 3 ms reordering", 80, "delay=5ms loss=0 jitter=3ms reorder=1 queue=20ms", 0, 70},
}

// TestLinks prints the goodput of the library, with one subflow and BBR, beside that of the
// kernel's TCP with BBR, over the emulated links of the rig whose directory is in RIG.
// LINKS selects settings by a part of their names.
func TestLinks(t *testing.T) {
	dir := os.Getenv("RIG")
	if dir == "" {
		t.Skip("set RIG to the directory of the rig")
	}
	interop.RequireMachine(t)
	if _, err := os.Stat(filepath.Join(dir, "topo.sh")); err != nil {
		absent(t, "RIG is not the directory of the rig: "+err.Error())
	}
	r := newRig(t, dir)
	fmt.Printf("\nupload over one path, %d alternate runs of about %v, Mbit/s of payload\n", linkReps, linkTime)
	fmt.Printf("%-34s %24s %24s %6s  %s\n", "link", "library, BBR (min-max)", "kernel, BBR (min-max)", "ratio", "gate")
	for _, l := range links {
		if !strings.Contains(l.name, os.Getenv("LINKS")) {
			continue
		}
		set := fmt.Sprintf("rate=%dM %s", l.mbits, l.set)
		size := strconv.Itoa(l.mbits * 1e6 / 8 * int(linkTime/time.Second))
		var library, kernel, ratios []float64
		for rep := range linkReps {
			r.set(t, set, rep+1)
			own := r.upload(t, r.client, "-size", size, "-addr", "10.9.0.1:5001", "-dev", "tun-a=10.1.0.2/24", "-cc", "bbr", "-pm", "none")
			r.set(t, set, rep+1)
			ref := r.upload(t, filepath.Join(r.bin, "mpbench"), "-size", size, "-mptcp=false", "-addr", "10.9.0.1:5002", "-local", "10.1.1.2")
			library, kernel, ratios = append(library, own), append(kernel, ref), append(ratios, own/ref)
		}
		own, ratio := median(library), median(ratios)
		verdict := "passed"
		if ratio < l.ratio || own < l.min {
			verdict = fmt.Sprintf("MISSED (ratio %.2f, rate %.0f)", l.ratio, l.min)
		}
		fmt.Printf("%-34s %24s %24s %6.3f  %s\n", l.name, spread(library), spread(kernel), ratio, verdict)
	}
}

// absent skips the test with the reason, or fails it as interop.RequireMachine does.
func absent(t *testing.T, reason string) {
	t.Helper()
	if interop.Asked() {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// spread is the median with the range.
func spread(x []float64) string {
	mid := median(x)
	return fmt.Sprintf("%.1f (%.1f-%.1f)", mid, x[0], x[len(x)-1])
}

// rig is a running rig: two namespaces, the emulator between them and a kernel server.
type rig struct {
	bin, client string // its programs, and ours
	prefix      string // of the namespaces' names
	control     string // the emulator's socket
}

// newRig builds the programs and sets all up until the test ends.
func newRig(t *testing.T, dir string) *rig {
	t.Helper()
	bin := t.TempDir()
	r := &rig{
		bin: bin, client: filepath.Join(bin, "our-mpbench"), prefix: fmt.Sprintf("gomptcp-bench-%d-", os.Getpid()),
		control: filepath.Join(bin, "linkem.sock"),
	}
	build := exec.Command("go", "build", "-o", r.bin+"/", "./linkem", "./mpbench")
	build.Dir = dir
	command(t, build)
	command(t, exec.Command("go", "build", "-o", r.client, "../../examples/mpbench"))
	topo := func(what string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(dir, "topo.sh"), what)
		cmd.Env = append(os.Environ(), "PFX="+r.prefix, "CC=bbr")
		return cmd
	}
	t.Cleanup(func() { command(t, topo("down")) })
	command(t, topo("up"))
	command(t, exec.Command("ip", "-n", r.prefix+"cli", "mptcp", "endpoint", "flush"))
	r.daemon(t, filepath.Join(r.bin, "linkem"), "-ctl", r.control,
		"-link", fmt.Sprintf("name=A,a=%scli:la,b=%ssrv:sa", r.prefix, r.prefix))
	r.daemon(t, "ip", "netns", "exec", r.prefix+"srv", filepath.Join(r.bin, "mpbench"), "serve")
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", r.control)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 5*time.Second, 20*time.Millisecond, "linkem does not answer")
	return r
}

// command runs a program to its end and returns what it printed.
func command(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%v: %s%s", cmd.Args, out, &stderr)
	return out
}

// daemon runs a program until the test ends. Its standard input stays open, since the
// emulator takes the end of it as a reason to end.
func (r *rig) daemon(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it was interrupted
	})
}

// set makes the link new, with the same chances for the same seed.
func (r *rig) set(t *testing.T, params string, seed int) {
	t.Helper()
	args := []string{"ctl", r.control, "clear", "up *", "flush *", "reset * " + strconv.Itoa(seed), "set A " + params}
	command(t, exec.Command(filepath.Join(r.bin, "linkem"), args...))
}

// upload runs a client in its namespace and returns the goodput in Mbit/s, from the request
// to the last byte, as the server saw it.
func (r *rig) upload(t *testing.T, client string, args ...string) float64 {
	t.Helper()
	all := append([]string{"netns", "exec", r.prefix + "cli", client, "up"}, args...)
	var res struct {
		Report struct {
			Bytes int64
			Ms    float64
			Sum   string
		}
		Err string
	}
	require.NoError(t, json.Unmarshal(command(t, exec.Command("ip", all...)), &res))
	require.Empty(t, res.Err)
	require.Equal(t, "ok", res.Report.Sum)
	return float64(res.Report.Bytes) * 8 / res.Report.Ms / 1e3
}
