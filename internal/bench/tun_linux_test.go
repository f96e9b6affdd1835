package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/interop"
	"github.com/gomptcp/gomptcp/tun"
)

// peerEnv makes this test binary the kernel's end: a process that serves jobs with the
// kernel's sockets at the address in the variable until its standard input ends.
const peerEnv = "BENCH_PEER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(peerEnv); addr != "" {
		if err := runPeer(netip.MustParseAddr(addr)); err != nil {
			fmt.Fprintln(os.Stderr, "peer:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runPeer(addr netip.Addr) error {
	for i, multipath := range []bool{true, false} {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(multipath)
		l, err := lc.Listen(context.Background(), "tcp", netip.AddrPortFrom(addr, port+uint16(i)).String())
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					if err := serve(c); err != nil {
						fmt.Fprintln(os.Stderr, "peer:", err)
					}
				}()
			}
		}()
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// The addresses between library and kernel.
var (
	kernelServer = netip.MustParseAddr("10.9.0.1")
	tunClients   = []netip.Prefix{netip.MustParsePrefix("10.1.1.2/24"), netip.MustParsePrefix("10.1.2.2/24")}
	tunKernels   = []netip.Prefix{netip.MustParsePrefix("10.1.1.1/24"), netip.MustParsePrefix("10.1.2.1/24")}
)

// startPeer makes a namespace in which the kernel's end serves until the test ends.
func startPeer(t testing.TB) *interop.Namespace {
	t.Helper()
	ns := interop.NewNamespace(t)
	ns.IP(t, fmt.Sprintf("address add %v/32 dev lo\nmptcp limits set subflow 4 add_addr_accepted 4", kernelServer))
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), peerEnv+"="+kernelServer.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, ns.Do(cmd.Start)) // the process inherits the thread's namespace
	t.Cleanup(func() {
		in.Close()
		require.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return ns
}

// overTUN returns a connector to the kernel's end in ns.
func overTUN(ns *interop.Namespace) connector {
	return func(t testing.TB, k contender) (net.Conn, *atomic.Int64, func()) { return connectTUN(t, ns, k) }
}

func connectTUN(t testing.TB, ns *interop.Namespace, k contender) (c net.Conn, data *atomic.Int64, stop func()) {
	t.Helper()
	data = new(atomic.Int64)
	var devs []tun.Device
	for i := range k.devices() {
		name := fmt.Sprintf("path%d", i+1)
		devs = append(devs, counted{ns.OpenTUN(t, name), data})
		ns.SetAddresses(t, name, tunKernels[i])
	}
	e := k.newEnd(t, devs, tunClients)
	to := netip.AddrPortFrom(kernelServer, port)
	if k.paths == 0 {
		to = netip.AddrPortFrom(kernelServer, port+1)
	}
	c = dial(t, e, to)
	return c, data, func() {
		require.NoError(t, c.Close())
		e.Close()
		for _, d := range devs {
			_ = d.Close() // by then it is closed
		}
	}
}

// benchmarkTUN has only the library's end in the profile.
func benchmarkTUN(b *testing.B, k contender, down bool) {
	interop.RequireMachine(b)
	benchmark(b, k, down, overTUN(startPeer(b)))
}

func BenchmarkTUNSendPlain(b *testing.B)          { benchmarkTUN(b, plainNetstack, false) }
func BenchmarkTUNSendOneSubflow(b *testing.B)     { benchmarkTUN(b, oneSubflow, false) }
func BenchmarkTUNSendTwoSubflows(b *testing.B)    { benchmarkTUN(b, twoSubflows, false) }
func BenchmarkTUNReceivePlain(b *testing.B)       { benchmarkTUN(b, plainNetstack, true) }
func BenchmarkTUNReceiveOneSubflow(b *testing.B)  { benchmarkTUN(b, oneSubflow, true) }
func BenchmarkTUNReceiveTwoSubflows(b *testing.B) { benchmarkTUN(b, twoSubflows, true) }
