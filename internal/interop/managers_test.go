//go:build linux

package interop

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/pathmgr/endpoints"
)

// Several subflows between the same two addresses.
func TestNDiffPorts(t *testing.T) {
	families(t, func(t testing.TB, f Family) {
		lab := NewLab(t, LabConfig{Role: Client, Family: f, Paths: 1, Host: mptcp.Config{PathManager: pathmgr.NDiffPorts(3)}})
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		lab.soon(t, map[string]int64{"MPJoinSynRx": 2, "MPJoinAckRx": 2})
		subflows(t, library, 3)
		talk(t, library, kernel)
		lab.Peer.Counters(t).RequireNoReset(t)
	})
}

// Make before break: the kernel sends nothing on the second path, until it is told that it is the one.
func TestBackupManager(t *testing.T) {
	families(t, func(t testing.TB, f Family) {
		lab := NewLab(t, LabConfig{Role: Client, Family: f, Host: mptcp.Config{PathManager: pathmgr.Backup}})
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		lab.soon(t, map[string]int64{"MPJoinSynBackupRx": 1, "MPJoinAckRx": 1})
		talk(t, library, kernel)
		second := library.Info().Subflows[1]
		require.Zero(t, second.BytesReceived+second.BytesSent)
		require.NoError(t, library.RemoveSubflow(1)) // with the device the kernel's address would go
		lab.soon(t, map[string]int64{"MPPrioRx": 1})
		subflows(t, library, 1)
		talk(t, library, kernel)
	})
}

// Endpoints against those of the kernel: its announcement is joined by a fullmesh one, and that one's removal
// withdraws it.
func TestEndpointsOfClient(t *testing.T) {
	families(t, func(t testing.TB, f Family) {
		set := endpoints.New()
		require.NoError(t, set.SetLimits(pathmgr.Limits{Subflows: 4, AddAddrAccepted: 2}))
		lab := NewLab(t, LabConfig{Role: Client, Family: f, Paths: 1, Host: mptcp.Config{PathManager: set.Manager}})
		local, at := lab.extra(t, 1)
		lab.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v id 7 dev extra1 signal", at))
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		lab.soon(t, map[string]int64{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinAckRx": 1})
		id, err := set.Add(pathmgr.Endpoint{Addr: local, ID: 33, Flags: pathmgr.FlagFullmesh | pathmgr.FlagSubflow | pathmgr.FlagBackup})
		require.NoError(t, err)
		lab.soon(t, map[string]int64{"MPJoinSynBackupRx": 2})
		require.NoError(t, set.Change(id, pathmgr.FlagFullmesh|pathmgr.FlagSubflow))
		lab.soon(t, map[string]int64{"MPPrioRx": 2})
		for _, s := range library.Info().Subflows {
			require.True(t, s.Local.Addr() != local || s.LocalID == 33, "the ID is on the wire")
		}
		talk(t, library, kernel)
		require.NoError(t, set.Remove(id))
		lab.soon(t, map[string]int64{"RmAddr": 1})
		talk(t, library, kernel)
	})
}

// The same as the server: the kernel joins what a signal endpoint announces, with its port and ID, and
// leaves when that is removed.
func TestEndpointsOfServer(t *testing.T) {
	families(t, func(t testing.TB, f Family) {
		set := endpoints.New()
		lab := NewLab(t, LabConfig{Role: Server, Family: f, Paths: 1, Host: mptcp.Config{PathManager: set.Manager}})
		at, _ := lab.extra(t, 1)
		library, kernel := lab.Connect(t, true)
		talk(t, library, kernel)
		id, err := set.Add(pathmgr.Endpoint{Addr: at, Port: 10100, ID: 44, Flags: pathmgr.FlagSignal})
		require.NoError(t, err)
		lab.soon(t, map[string]int64{"AddAddr": 1, "PortAdd": 1, "EchoAddTx": 1, "MPJoinSynAckRx": 1})
		subflows(t, library, 2)
		require.Equal(t, []mptcp.AnnouncedAddr{{ID: 44, Addr: netip.AddrPortFrom(at, 10100), Echoed: true}}, library.Info().Announced)
		talk(t, library, kernel)
		require.NoError(t, set.Remove(id))
		lab.soon(t, map[string]int64{"RmAddr": 1})
		subflows(t, library, 1)
		talk(t, library, kernel)
	})
}
