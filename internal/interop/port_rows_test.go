//go:build linux

package interop

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
)

// joinPort is a port where only joins are welcome.
const joinPort = 10100

// portRows are those of mptcp_join.sh about addresses that are announced with a port.
var portRows = []row{
	{
		number: 64, name: "signal address with port", paths: 2, host: joins(0), kernel: kernelSignalsPort(1, joinPort),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1, "MPJoinPortSynRx": 1, "MPJoinPortAckRx": 1, "MismatchPortSynRx": 0, "MismatchPortAckRx": 0},
		ours:   counts{"PortAdd": 1},
	},
	{
		number: 65, name: "signal address with port, turned", paths: 2, kernel: kernelLimits(1, 1),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "PortAdd": 1, "MPJoinSynTx": 1, "MPJoinSynAckRx": 1, "MPJoinPortSynAckRx": 1},
		run:   script(announcesPath(1, joinPort), carrying(2)),
	},
	{
		number: 66, name: "multiple addresses with port", paths: 3, host: joins(0), kernel: kernelSignalsPort(2, joinPort, joinPort),
		serves: counts{"AddAddrTx": 2, "EchoAdd": 2, "MPJoinAckRx": 2, "MPJoinPortSynRx": 2, "MPJoinPortAckRx": 2, "MismatchPortSynRx": 0, "MismatchPortAckRx": 0},
		ours:   counts{"PortAdd": 2},
	},
	{
		number: 66, name: "multiple addresses with ports", paths: 3, host: joins(0), kernel: kernelSignalsPort(2, joinPort, joinPort+1),
		serves: counts{"AddAddrTx": 2, "EchoAdd": 2, "MPJoinAckRx": 2, "MPJoinPortSynRx": 2, "MPJoinPortAckRx": 2, "MismatchPortSynRx": 0, "MismatchPortAckRx": 0},
		ours:   counts{"PortAdd": 2},
	},
	{
		number: 66, name: "multiple addresses with ports, turned", paths: 3, kernel: kernelLimits(2, 2),
		dials: counts{"AddAddr": 2, "EchoAddTx": 2, "PortAdd": 2, "MPJoinSynAckRx": 2, "MPJoinPortSynAckRx": 2},
		run:   script(announcesPath(1, joinPort), announcesPath(2, joinPort+1), carrying(3)),
	},
	{
		number: 67, name: "remove single address with port", paths: 2, host: joins(0), kernel: kernelSignalsPort(1, joinPort),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinPortAckRx": 1, "RmAddrTx": 1, "RmSubflow": 1},
		ours:   counts{"PortAdd": 1, "RmAddr": 1},
		run:    script(carrying(2), reach(counts{"EchoAdd": 1, "MPJoinAckRx": 1}), kernelEndpoint("delete id 1"), carrying(1), forgotten),
	},
	{
		number: 67, name: "remove single address with port, turned", paths: 2, kernel: kernelLimits(1, 1),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "PortAdd": 1, "MPJoinPortSynAckRx": 1, "RmAddr": 1, "RmSubflow": 0},
		ours:  counts{"RmSubflow": 1},
		run:   script(announcesPath(1, joinPort), carrying(2), echoed, withdraws(1), carrying(1)),
	},
	{
		number: 68, name: "port-based signal endpoint must not accept mpc", paths: 2, kernel: kernelSignalsPort(1, joinPort),
		serves: counts{"MPCapableEndpAttempt": 1, "MPCapableACKRX": 0}, resets: true, run: refusedAtJoinPort,
		ours: counts{"MPRstRx": 1}, lone: []string{"MPRstRx", "MPCapableSYNTX"},
	},
}

// kernelSignalsPort has the kernel take some subflows, and announce the addresses of its other
// paths with ports.
func kernelSignalsPort(subflows int, ports ...int) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		l.limits(t, subflows, 0)
		if l.Family.bits == IPv6.bits {
			// The option and timestamps do not fit a segment together: the kernel sends none then.
			l.Peer.Sysctl(t, "net/ipv4/tcp_timestamps", "0")
		}
		for i, p := range ports {
			l.endpoint(t, i+1, fmt.Sprintf("port %d signal", p))
		}
	}
}

// refusedAtJoinPort dials where joins alone are welcome.
func refusedAtJoinPort(t testing.TB, s *scene) {
	_, err := s.Host.Dial(short(t), "tcp", fmt.Sprintf("[%v]:%d", s.Family.Kernel[1], joinPort))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	var reset *mptcp.SubflowResetError
	require.ErrorAs(t, err, &reset)
}
