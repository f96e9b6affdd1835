//go:build linux

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/scheduler"
)

// backupRows are those of mptcp_join.sh about priorities, and about links that fail.
var backupRows = []row{
	{
		// Such a change is a new start of the endpoint's subflows, without REMOVE_ADDR.
		number: 55, name: "set fullmesh flag", paths: 3, kernel: kernelMesh("subflow"),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynAckRx": 4, "RmSubflow": 1},
		run:   script(announcesPath(1, 0), carrying(3), kernelEndpoint("change id 5 fullmesh"), carrying(4)),
	},
	{
		number: 55, name: "set nofullmesh flag", paths: 3, kernel: kernelMesh("subflow fullmesh"),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynAckRx": 3, "RmSubflow": 2},
		run:   script(announcesPath(1, 0), carrying(3), kernelEndpoint("change id 5 nofullmesh"), carrying(2)),
	},
	{
		number: 56, name: "single subflow, backup", paths: 2, host: noManager, kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinAckRx": 1, "MPJoinSynBackupRx": 1}, run: unused(1, opensBackup(1)),
	},
	{
		number: 56, name: "single subflow, no longer backup", paths: 2, host: noManager, kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinAckRx": 1, "MPJoinSynBackupRx": 1, "MPPrioRx": 2},
		run:    unused(0, opensBackup(1), prio(1, false), prio(0, true)),
	},
	{
		number: 56, name: "single subflow, backup, turned", paths: 2,
		dials: counts{"MPJoinSynAckRx": 1, "MPPrioTx": 0}, ours: counts{"MPJoinSynBackupRx": 1},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 1, 0)
			l.endpoint(t, 1, "subflow backup")
		},
		run: unused(1, carrying(2)),
	},
	{
		number: 57, name: "single address, backup", paths: 2, host: joins(0),
		serves: counts{"MPJoinAckRx": 1, "AddAddrTx": 1, "EchoAdd": 1, "MPPrioTx": 0}, ours: counts{"MPJoinSynAckBackupRx": 1},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 1, 0)
			l.endpoint(t, 1, "signal backup")
		},
		run: unused(1, carrying(2), heeds(1, true)),
	},
	{
		number: 57, name: "single address, no longer backup", paths: 2, host: joins(0),
		serves: counts{"MPJoinAckRx": 1, "AddAddrTx": 1, "EchoAdd": 1, "MPPrioTx": 1, "MPPrioRx": 1}, ours: counts{"MPJoinSynAckBackupRx": 1},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 1, 0)
			l.endpoint(t, 1, "signal backup")
		},
		run: unused(0, carrying(2), heeds(1, true), kernelEndpoint("change id 1 nobackup"), heeds(1, false), prio(0, true)),
	},
	{
		number: 58, name: "single address, switch to backup", paths: 2, host: joins(0), kernel: kernelSignals(1, 1),
		serves: counts{"MPJoinAckRx": 1, "AddAddrTx": 1, "EchoAdd": 1, "MPPrioTx": 1, "MPPrioRx": 1},
		run:    unused(1, carrying(2), kernelEndpoint("change id 1 backup"), heeds(1, true), prio(1, true)),
	},
	{
		number: 58, name: "single subflow, switch to backup", paths: 2, kernel: kernelJoins(1),
		dials: counts{"MPJoinSynAckRx": 1, "MPPrioTx": 1, "MPPrioRx": 1},
		run:   unused(1, carrying(2), kernelEndpoint("change id 1 backup"), heeds(1, true), prio(1, true)),
	},
	{
		number: 59, name: "mpc backup", paths: 2, host: noManager, kernel: kernelLimits(1, 0),
		serves: counts{"MPJoinAckRx": 1, "MPPrioRx": 1}, run: unused(0, opens(1), prio(0, true)),
	},
	{
		number: 59, name: "mpc backup, turned", paths: 2, kernel: kernelMPCBackup,
		dials: counts{"MPJoinSynAckRx": 1, "MPPrioTx": 1}, run: unused(0, carrying(2), heeds(0, true)),
	},
	{
		number: 59, name: "mpc backup both sides", paths: 2, host: noManager, kernel: kernelMPCBackup,
		serves: counts{"MPJoinAckRx": 1, "MPPrioRx": 1, "MPPrioTx": 1}, run: unused(0, opensTo(1, 1), prio(0, true), heeds(0, true)),
	},
	{
		number: 60, name: "backup subflow unused, link failure", paths: 3, resets: true, lone: deadPath, host: noManager, kernel: kernelLimits(2, 0),
		serves: counts{"MPJoinAckRx": 2, "MPJoinSynBackupRx": 1}, run: failing(func(t testing.TB, s *scene, library *mptcp.Conn) {
			sent, received := s.carried(t, library, 2)
			require.Zero(t, sent, "the library leaves it alone")
			// It repeats there what the dead path has taken: some super-segments.
			require.Less(t, received, rowBytes(t)/10, "the kernel leaves it alone")
		}, opens(1), opensBackup(2), reach(counts{"MPJoinAckRx": 2}), mark, cut(0)),
	},
	{
		number: 61, name: "backup flow used, multi links fail", paths: 3, resets: true, lone: deadPath, host: noManager, kernel: kernelLimits(2, 0),
		serves: counts{"MPJoinAckRx": 2, "MPJoinSynBackupRx": 1}, run: failing(func(t testing.TB, s *scene, library *mptcp.Conn) {
			sent, received := s.carried(t, library, 2)
			require.Greater(t, sent, rowBytes(t)/2, "bytes from the library on the backup")
			require.Greater(t, received, rowBytes(t)/2, "bytes from the kernel")
		}, opens(1), opensBackup(2), reach(counts{"MPJoinAckRx": 2}), mark, cut(0, 1)),
	},
	{
		number: 62, name: "multiple flows, signal, link failure", paths: 4, resets: true, lone: deadPath, host: byTurns(joins(2)), kernel: kernelSignals(3, 1),
		serves: counts{"MPJoinAckRx": 3, "EchoAdd": 1},
		run:    failing(reinjected, carrying(4), reach(counts{"MPJoinAckRx": 3, "EchoAdd": 1}), cut(0)),
	},
	{
		// IPv6 addresses go with their link.
		number: 62, name: "multiple flows, signal, link down", paths: 4, resets: true, lone: deadPath, host: joins(2), kernel: kernelSignals(3, 1), families: []Family{IPv4},
		serves: counts{"MPJoinAckRx": 3, "EchoAdd": 1},
		run: failing(nil, carrying(4), reach(counts{"MPJoinAckRx": 3, "EchoAdd": 1}), func(t testing.TB, s *scene, _ *mptcp.Conn) error {
			s.Peer.IP(t, "link set path1 down")
			return nil
		}),
	},
	{
		// A subflow takes its time to be stale: such a short transfer may be over before, for both ends.
		number: 63, name: "multi flows, signal, bidi, link fail", paths: 4, resets: true, lone: deadPath, host: byTurns(noManager),
		dials: counts{"MPJoinSynAckRx": 3, "AddAddr": 1, "SubflowStale": whatever},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 3, 1)
			l.endpoint(t, 2, "subflow")
			l.endpoint(t, 3, "subflow")
		},
		run: func(t testing.TB, s *scene) {
			failing(reinjected, announcesPath(1, 0), carrying(4), cut(0))(t, s)
			require.Positive(t, s.troubled(), "subflows that were late or stale")
		},
	},
}

// deadPath: the library withdraws the address of a path that has fallen silent, and the RST of its subflow is
// lost there.
var deadPath = []string{"MPRstTx"}

// kernelMesh has the kernel take announced addresses, and open subflows from its last path with
// an endpoint 5.
func kernelMesh(flags string) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		l.limits(t, 4, 4)
		l.endpoint(t, 2, "id 5 "+flags)
	}
}

// kernelMPCBackup has the kernel want its initial address as a backup.
func kernelMPCBackup(t testing.TB, l *Lab) {
	l.limits(t, 1, 0)
	l.endpoint(t, 0, "subflow backup")
	if l.Role == Server {
		l.endpoint(t, 1, "subflow")
	}
}

// troubled is how many subflows the library has found to be late, or stale.
func (s *scene) troubled() int64 {
	now := s.ours()
	return int64(now["SubflowLate"] + now["SubflowStale"])
}

// unused is script; after the steps, and when the kernel's counters are what they have to be,
// neither end sends data on the subflow of path i.
func unused(i int, steps ...step) func(testing.TB, *scene) {
	return func(t testing.TB, s *scene) {
		library := s.script(t, append(steps, func(t testing.TB, s *scene, c *mptcp.Conn) error { return reach(s.want)(t, s, c) }, mark)...)
		sent, received := s.carried(t, library, i)
		// When all others are silent, as the kernel may be for a moment on a busy machine, a backup does their work.
		if s.troubled() == 0 {
			require.Zero(t, sent, "bytes from the library")
		}
		// What the kernel believes to be lost, as it may on a busy machine, it repeats on an idle subflow.
		require.Less(t, received-s.repeated(library), rowBytes(t)/100, "bytes from the kernel")
	}
}

// failing is script for rows in which links fail: the transfer goes on at once, and then more is
// checked.
func failing(check func(testing.TB, *scene, *mptcp.Conn), steps ...step) func(testing.TB, *scene) {
	return func(t testing.TB, s *scene) {
		s.hold = counts{}
		library := s.script(t, steps...)
		if check != nil {
			check(t, s, library)
		}
	}
}

// byTurns has the library use all subflows, also the one that is to fail.
func byTurns(host func(Role, *mptcp.Config)) func(Role, *mptcp.Config) {
	return func(role Role, cfg *mptcp.Config) {
		host(role, cfg)
		cfg.Scheduler = scheduler.RoundRobin
	}
}

// reinjected: the library has sent again elsewhere what the dead path took.
func reinjected(t testing.TB, _ *scene, library *mptcp.Conn) {
	require.Positive(t, library.Info().BytesReinjected)
}
