//go:build linux

package interop

import (
	"fmt"
	"testing"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// removeRows are those of mptcp_join.sh in which addresses are withdrawn. Both ends count
// REMOVE_ADDR where it is received, and RmSubflow where the address was withdrawn.
var removeRows = []row{
	{
		number: 32, name: "remove single subflow", paths: 2, host: noManager, kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1, "RmAddr": 1, "RmSubflow": 0}, ours: counts{"RmSubflow": 1},
		run: script(opens(1), reach(counts{"MPJoinAckRx": 1}), withdraws(1), carrying(1)),
	},
	{
		number: 32, name: "remove single subflow, with its device", paths: 2, kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1, "RmAddr": 1, "RmSubflow": 0},
		run: script(carrying(2), reach(counts{"MPJoinAckRx": 1}), func(_ testing.TB, s *scene, _ *mptcp.Conn) error {
			return s.Host.RemoveDevice("path2")
		}, carrying(1)),
	},
	{
		number: 33, name: "remove multiple subflows", paths: 3, host: noManager, kernel: kernelLimits(2, 0),
		serves: counts{"MPJoinSynRx": 2, "MPJoinAckRx": 2, "RmAddr": 2, "RmSubflow": 0}, ours: counts{"RmSubflow": 2},
		run: script(opens(1), opens(2), reach(counts{"MPJoinAckRx": 2}), withdraws(1), reach(counts{"RmAddr": 1}), withdraws(2), carrying(1)),
	},
	{
		number: 34, name: "remove single address", paths: 2, host: joins(0), kernel: kernelSignals(1, 1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinAckRx": 1, "RmAddrTx": 1, "RmSubflow": 1}, ours: counts{"RmSubflow": 0},
		run: script(reach(counts{"EchoAdd": 1, "MPJoinAckRx": 1}), carrying(2), kernelEndpoint("delete id 1"), carrying(1), forgotten),
	},
	{
		number: 35, name: "remove single address, turned", paths: 2, kernel: kernelLimits(1, 1),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynAckRx": 1, "RmAddr": 1, "RmSubflow": 0}, ours: counts{"RmSubflow": 1},
		run: script(announcesPath(1, 0), carrying(2), echoed, withdraws(1), carrying(1)),
	},
	{
		number: 36, name: "remove subflow and signal", paths: 3, host: joins(1), kernel: kernelSignals(2, 1),
		serves: counts{"MPJoinAckRx": 2, "EchoAdd": 1, "RmAddr": 1, "RmAddrTx": 1, "RmSubflow": 1}, ours: counts{"RmSubflow": 1},
		run: script(reach(counts{"MPJoinAckRx": 2}), carrying(3), withdraws(2), kernelEndpoint("delete id 1"), carrying(1)),
	},
	{
		number: 37, name: "remove signal and subflow with limits", paths: 3, host: noManager, kernel: kernelSignals(0, 1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "AddAddr": 1, "EchoAddTx": 1, "MPJoinSynRx": 0, "RmAddr": 1, "RmAddrTx": 1, "RmSubflow": 0},
		ours:   counts{"RmSubflow": 0},
		run: script(reach(counts{"EchoAdd": 1}), announcesPath(2, 0), echoed,
			withdraws(2), kernelEndpoint("delete id 1")),
	},
	{
		number: 38, name: "remove addresses", paths: 4, host: joins(0),
		serves: counts{"AddAddrTx": 3, "EchoAdd": 3, "MPJoinAckRx": 3, "RmAddrTx": 3, "RmSubflow": 3},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 3, 0)
			for i, id := range []int{1, 2, 250} {
				l.endpoint(t, i+1, fmt.Sprintf("id %d signal", id))
			}
		},
		run: script(reach(counts{"MPJoinAckRx": 3, "EchoAdd": 3}), carrying(4),
			kernelEndpoint("delete id 1"), reach(counts{"RmAddrTx": 1}), kernelEndpoint("delete id 2"), reach(counts{"RmAddrTx": 2}),
			kernelEndpoint("delete id 250"), carrying(1)),
	},
	{
		number: 38, name: "remove addresses, turned", paths: 4, host: announces(3), kernel: kernelLimits(3, 3),
		dials: counts{"AddAddr": 3, "EchoAddTx": 3, "MPJoinSynAckRx": 3, "RmAddr": 3, "RmSubflow": 0}, ours: counts{"RmSubflow": 3},
		run: script(carrying(4), echoed, withdraws(1), reach(counts{"RmAddr": 1}), withdraws(2), reach(counts{"RmAddr": 2}), withdraws(3), carrying(1)),
	},
	{
		number: 39, name: "remove invalid addresses", paths: 2, host: joins(0), lone: []string{"MPJoinSynTx"},
		serves: counts{"AddAddrTx": 3, "EchoAdd": 3, "MPJoinSynRx": 1, "MPJoinAckRx": 1, "RmAddrTx": 3, "RmSubflow": 1},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 3, 3)
			l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v id 1 signal", nowhere(l.Family, 1)))
			l.endpoint(t, 1, "id 2 signal")
			l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v id 3 signal", nowhere(l.Family, 2)))
		},
		run: script(reach(counts{"MPJoinAckRx": 1, "EchoAdd": 3}), carrying(2),
			kernelEndpoint("delete id 1"), reach(counts{"RmAddrTx": 1}), kernelEndpoint("delete id 2"), reach(counts{"RmAddrTx": 2}),
			kernelEndpoint("delete id 3"), carrying(1)),
	},
	{
		number: 40, name: "flush subflows and signal", paths: 4, host: joins(2), kernel: kernelSignals(3, 1),
		serves: counts{"MPJoinAckRx": 3, "EchoAdd": 1, "RmAddr": 2, "RmAddrTx": 1, "RmSubflow": 1}, ours: counts{"RmSubflow": 2},
		meddle: removalsOf(ToKernel, 2),
		run:    script(reach(counts{"MPJoinAckRx": 3}), carrying(4), withdraws(2, 3), kernelEndpoint("flush"), carrying(1)),
	},
	{
		// The kernel withdraws no address that it has not announced when all go at once.
		number: 40, name: "flush subflows, turned", paths: 3, kernel: kernelJoins(2), dials: counts{"MPJoinSynAckRx": 2, "RmAddrTx": 0, "RmSubflow": 2},
		run: script(carrying(3), kernelEndpoint("flush"), carrying(1)),
	},
	{
		number: 41, name: "flush addresses", paths: 4, host: joins(0), kernel: kernelSignals(3, 3),
		serves: counts{"AddAddrTx": 3, "EchoAdd": 3, "MPJoinAckRx": 3, "RmAddrTx": 3, "RmSubflow": 3}, ours: counts{"RmAddr": 3},
		meddle: removalsOf(ToLibrary, 3),
		run:    script(reach(counts{"MPJoinAckRx": 3, "EchoAdd": 3}), carrying(4), kernelEndpoint("flush"), carrying(1), forgotten),
	},
	{
		number: 41, name: "flush addresses, turned", paths: 4, host: announces(3), kernel: kernelLimits(3, 3),
		dials: counts{"AddAddr": 3, "EchoAddTx": 3, "MPJoinSynAckRx": 3, "RmAddr": 3, "RmSubflow": 0}, ours: counts{"RmSubflow": 3},
		meddle: removalsOf(ToKernel, 3),
		run:    script(carrying(4), echoed, withdraws(1, 2, 3), carrying(1)),
	},
	{
		number: 42, name: "remove id 0 subflow", paths: 2, host: noManager, kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinAckRx": 1, "RmAddr": 1, "RmSubflow": 0}, ours: counts{"RmSubflow": 1},
		run: script(opens(1), reach(counts{"MPJoinAckRx": 1}), withdraws(0), carrying(1)),
	},
	{
		number: 42, name: "remove id 0 subflow, turned", paths: 2, kernel: kernelJoins(1),
		dials: counts{"MPJoinSynAckRx": 1, "RmAddrTx": 1, "RmSubflow": 1}, ours: counts{"RmSubflow": 0}, lone: finFirst,
		run: script(carrying(2), kernelEndpoint("delete id 0 %v", 0), carrying(1)),
	},
	{
		number: 43, name: "remove id 0 address", paths: 2, host: joins(0), kernel: kernelSignals(1, 1),
		serves: counts{"MPJoinAckRx": 1, "EchoAdd": 1, "RmAddrTx": 1, "RmSubflow": 1}, ours: counts{"RmSubflow": 0}, lone: finFirst,
		run: script(reach(counts{"MPJoinAckRx": 1, "EchoAdd": 1}), carrying(2), kernelEndpoint("delete id 0 %v", 0), carrying(1)),
	},
	{
		number: 43, name: "remove id 0 address, turned", paths: 2, host: announces(1), kernel: kernelLimits(1, 1),
		dials: counts{"MPJoinSynAckRx": 1, "RmAddr": 1, "RmSubflow": 0}, ours: counts{"RmSubflow": 1},
		run: script(carrying(2), echoed, withdraws(0), carrying(1)),
	},
	{
		number: 79, name: "delete and re-add", paths: 2, host: noManager, kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinSynRx": 3, "MPJoinAckRx": 3, "RmAddr": 3, "RmSubflow": 0}, ours: counts{"RmSubflow": 3},
		run: script(
			opens(1), reach(counts{"MPJoinAckRx": 1}), withdraws(1), reach(counts{"RmAddr": 1}), carrying(1),
			opens(1), reach(counts{"MPJoinAckRx": 2}), withdraws(1), reach(counts{"RmAddr": 2}), carrying(1),
			opens(1), reach(counts{"MPJoinAckRx": 3}), withdraws(1), reach(counts{"RmAddr": 3}), carrying(1)),
	},
	{
		number: 79, name: "delete and re-add id 0", paths: 2, host: noManager, kernel: kernelLimits(3, 0),
		serves: counts{"MPJoinSynRx": 3, "MPJoinAckRx": 3, "RmAddr": 2, "RmSubflow": 0}, ours: counts{"RmSubflow": 2},
		run: script(
			opens(1), reach(counts{"MPJoinAckRx": 1}), withdraws(0), reach(counts{"RmAddr": 1}), carrying(1),
			opens(0), reach(counts{"MPJoinAckRx": 2}), carrying(2), withdraws(0), reach(counts{"RmAddr": 2}), carrying(1),
			opens(0), reach(counts{"MPJoinAckRx": 3}), carrying(2)),
	},
	{
		number: 79, name: "delete and re-add, turned", paths: 2, kernel: kernelJoins(1),
		dials: counts{"MPJoinSynAckRx": 3, "RmAddrTx": 2, "RmSubflow": 2}, lone: finFirst,
		run: script(
			carrying(2), kernelEndpoint("delete id 1"), carrying(1), kernelEndpoint("add %v id 1 subflow", 1),
			carrying(2), kernelEndpoint("delete id 1"), carrying(1), kernelEndpoint("add %v id 1 subflow", 1), carrying(2)),
	},
	{
		// The limits have room: for a subflow that has ended before its address is withdrawn the kernel
		// accepts no other announcement once a limit was reached.
		number: 80, name: "delete re-add signal", paths: 2, kernel: kernelLimits(4, 4),
		dials: counts{"AddAddr": 3, "EchoAddTx": 3, "MPJoinSynAckRx": 3, "RmAddr": 2, "RmSubflow": 0}, ours: counts{"RmSubflow": 2},
		run: script(
			announcesPath(1, 0), carrying(2), echoed, withdraws(1), reach(counts{"RmAddr": 1}), carrying(1),
			announcesPath(1, 0), carrying(2), echoed, withdraws(1), reach(counts{"RmAddr": 2}), carrying(1),
			announcesPath(1, 0), carrying(2)),
	},
	{
		number: 80, name: "delete re-add signal, turned", paths: 2, host: joins(0), kernel: kernelSignals(1, 1),
		serves: counts{"AddAddrTx": 3, "EchoAdd": 3, "MPJoinAckRx": 3, "RmAddrTx": 2, "RmSubflow": 2},
		run: script(
			carrying(2), kernelEndpoint("delete id 1"), carrying(1), kernelEndpoint("add %v id 1 signal", 1),
			carrying(2), kernelEndpoint("delete id 1"), carrying(1), kernelEndpoint("add %v id 1 signal", 1), carrying(2)),
	},
}

// finFirst: an address that was not announced is unknown when its subflow has ended before the
// REMOVE_ADDR comes, and is counted as RmAddrDrop.
var finFirst = []string{"RmAddr"}

// removalsOf drops the options REMOVE_ADDR that go one way and do not have n addresses.
func removalsOf(way Way, n int) func(Role) Meddler {
	return func(Role) Meddler {
		return func(w Way, t packet.TCP, _ []byte) bool {
			for _, o := range mptcpOptions(t) {
				const header = 3
				if w == way && subtype(o) == byte(option.SubtypeRemoveAddr) && len(o) != header+n {
					blank(o)
				}
			}
			return true
		}
	}
}
