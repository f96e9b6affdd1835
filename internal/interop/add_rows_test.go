//go:build linux

package interop

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
)

// addRows are those of mptcp_join.sh in which addresses appear in mid-transfer, are of another
// family, or are not wanted. The rows 48 and 49, with IPv6, are the IPv6 runs of 9, 19, 20, 34
// and 35.
var addRows = []row{
	{
		number: 44, name: "add single subflow", kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1}, run: script(newPath, carrying(2)),
	},
	{
		number: 44, name: "add single subflow, turned", paths: 2, kernel: kernelLimits(1, 0),
		dials: counts{"MPJoinSynTx": 1, "MPJoinSynAckRx": 1}, run: script(kernelEndpoint("add %v subflow", 1), carrying(2)),
	},
	{
		number: 45, name: "add signal address", paths: 2, host: joins(0), kernel: kernelLimits(1, 0),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1},
		run:    script(kernelEndpoint("add %v signal", 1), carrying(2)),
	},
	{
		// The address of the other family on the first path is announced, too, and both of the second.
		number: 45, name: "add signal address, turned", families: []Family{IPv4}, host: defaultManager, kernel: kernelLimits(1, 3),
		dials: counts{"AddAddr": 3, "EchoAddTx": 3, "MPJoinSynTx": 1, "MPJoinSynAckRx": 1}, run: script(newPath, carrying(2)),
	},
	{
		number: 46, name: "add multiple subflows", kernel: kernelLimits(2, 0),
		serves: counts{"MPJoinSynRx": 2, "MPJoinAckRx": 2}, run: script(newPath, newPath, carrying(3)),
	},
	{
		number: 47, name: "add multiple addresses", kernel: kernelLimits(2, 2),
		dials: counts{"AddAddr": 2, "EchoAddTx": 2, "MPJoinSynTx": 2, "MPJoinSynAckRx": 2},
		run:   script(newPath, newPath, announcesPath(1, 0), announcesPath(2, 0), carrying(3)),
	},
	{
		// Its listener is that of an IPv6 socket, as in all rows with IPv4 in which the kernel serves.
		number: 50, name: "IPv4-mapped endpoint", paths: 2, families: []Family{IPv4}, host: joins(0),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 1, 0)
			l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v signal", mapped(l.Family.Kernel[1])))
		},
	},
	{
		number: 50, name: "IPv4-mapped socket", paths: 2, families: []Family{IPv4},
		dials: counts{"MPJoinSynTx": 1, "MPJoinSynAckRx": 1}, kernel: kernelJoins(1), run: onSocket(bothFamilies, carrying(2)),
	},
	{
		number: 50, name: "IPv4-mapped socket and endpoint", paths: 2, families: []Family{IPv4}, run: onSocket(bothFamilies, carrying(2)),
		dials: counts{"MPJoinSynTx": 1, "MPJoinSynAckRx": 1},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 1, 0)
			l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v subflow", mapped(l.Family.Kernel[1])))
		},
	},
	{
		number: 50, name: "IPv4-mapped socket, address announced", paths: 2, families: []Family{IPv4}, run: onSocket(bothFamilies, carrying(2)),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynTx": 1, "MPJoinSynAckRx": 1}, host: announces(1), kernel: kernelLimits(1, 1),
	},
	{
		number: 51, name: "no JOIN with diff families", paths: 2, kernel: kernelOther("subflow"),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynTx": 0}, run: onSocket(onlyFamily, announcesOther),
	},
	{
		number: 52, name: "simult IPv4 and IPv6 subflows", kernel: kernelOther("signal"),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1}, run: script(carrying(2)),
	},
	{
		number: 52, name: "simult IPv4 and IPv6 subflows, turned", paths: 2, kernel: kernelLimits(1, 1),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynTx": 1, "MPJoinSynAckRx": 1}, run: onSocket(bothFamilies, announcesOther, carrying(2)),
	},
	{
		number: 78, name: "implicit EP", paths: 2, host: noManager, kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1}, run: script(opens(1), carrying(2)),
	},
	{
		number: 78, name: "implicit EP, turned", paths: 2, kernel: kernelLimits(1, 1),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynTx": 1, "MPJoinSynAckRx": 1},
		run:   script(announcesPath(1, 0), carrying(2), implicitEndpoint(1)),
	},
	{
		number: 81, name: "userspace pm type rejects join", paths: 2, host: noManager, kernel: userspacePM, resets: true,
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 0, "MPJoinRejected": 1},
		ours:   counts{"MPRstRx": 1}, lone: []string{"MPRstRx"}, // the kernel does not count resets of SYNs
		run: script(func(t testing.TB, s *scene, c *mptcp.Conn) error {
			var reset *mptcp.SubflowResetError
			if err := s.join(c, 1, 0, false); !errors.As(err, &reset) || reset.Reason != option.ReasonProhibited {
				return fmt.Errorf("the unwanted subflow: %w", err)
			}
			return nil
		}),
	},
	{
		// Nobody tells the library that its announcement was of no use: it repeats it three times.
		number: 82, name: "userspace pm no echo w/o daemon", paths: 2, host: announces(1), kernel: userspacePM, idle: true,
		dials: counts{"AddAddr": 4, "EchoAddTx": 0, "MPJoinSynTx": 0}, ours: counts{"AddAddrTx": 4},
	},
}

// userspacePM has the kernel leave all to a program, of which there is none.
func userspacePM(t testing.TB, l *Lab) { l.Peer.Sysctl(t, "net/mptcp/pm_type", "1") }

// kernelOther gives the kernel an endpoint at its last path's address of the other family.
func kernelOther(flags string) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		l.limits(t, 1, 1)
		l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v %s", l.Family.other().Kernel[len(l.gates)-1], flags))
	}
}

// announcesOther has the library announce its second path's address of the other family.
func announcesOther(t testing.TB, s *scene, c *mptcp.Conn) error {
	if err := c.Announce(netip.AddrPortFrom(s.Family.other().Library[1], 0)); err != nil {
		return err
	}
	return reach(counts{"EchoAddTx": 1})(t, s, c)
}

// mapped is an IPv4 address in the form of an IPv6 one.
func mapped(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }

// onSocket is script with a socket of the kernel that is made by make and then connected.
func onSocket(make func(t testing.TB, s *scene) *socket, steps ...step) func(testing.TB, *scene) {
	return func(t testing.TB, s *scene) {
		listener, err := s.Host.Listen("tcp", netip.AddrPortFrom(s.Family.Library[0], port).String())
		require.NoError(t, err)
		defer listener.Close()
		accepted, kernel := acceptOne(listener), make(t, s)
		to := s.Family.Library[0]
		if kernel.family.bits == IPv6.bits {
			to = mapped(to)
		}
		require.NoError(t, kernel.Connect(to))
		s.scriptOn(t, wait(t, short(t), accepted).(*mptcp.Conn), kernel, steps...)
	}
}

// onlyFamily makes one for the family of the connection alone.
func onlyFamily(t testing.TB, s *scene) *socket {
	k := s.Peer.socket(t, s.Family)
	if s.Family.bits == IPv6.bits {
		require.NoError(t, unix.SetsockoptInt(k.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
	}
	return k
}

// bothFamilies makes an IPv6 socket, which speaks IPv4 too.
func bothFamilies(t testing.TB, s *scene) *socket { return s.Peer.socket(t, IPv6) }

// implicitEndpoint: the kernel has made an endpoint for the address from which it joined.
func implicitEndpoint(i int) step {
	return func(t testing.TB, s *scene, _ *mptcp.Conn) error {
		out, err := exec.Command("ip", "-n", s.Peer.name, "mptcp", "endpoint", "show").CombinedOutput()
		if err == nil && !regexp.MustCompile(s.Family.Kernel[i].String()+" .*(implicit|rawflags 10)").Match(out) {
			err = fmt.Errorf("no implicit endpoint: %s", out)
		}
		return err
	}
}

func defaultManager(_ Role, cfg *mptcp.Config) { cfg.PathManager = pathmgr.Default }
