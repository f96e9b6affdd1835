//go:build linux

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/pathmgr/endpoints"
)

// meshRows are those of mptcp_join.sh about fullmesh and laminar endpoints of the client: the library goes by
// endpoints and limits as the kernel's client does there.
var meshRows = []row{
	{
		// The kernel has its routes choose the address, the library takes that of the first subflow.
		number: 28, name: "without a laminar endpoint", paths: 4, set: limits(2, 2), kernel: filteredSignals(1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 0, "MPJoinAckRx": 0}, lone: []string{"MPJoinSynTx"},
		run: script(reach(counts{"EchoAdd": 1}), func(_ testing.TB, s *scene, _ *mptcp.Conn) error {
			return eventually("no join is tried", func() bool { return s.ours()["MPJoinSynTx"] > 0 })
		}),
	},
	{
		number: 28, name: "with a laminar endpoint", paths: 4, set: laminar(2, 3), kernel: filteredSignals(1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1}, run: script(carrying(2), on(2)),
	},
	{
		number: 28, name: "with multiple laminar endpoints", paths: 4, set: laminar(2, 3), kernel: filteredSignals(2),
		serves: counts{"AddAddrTx": 2, "EchoAdd": 2, "MPJoinSynRx": 2, "MPJoinAckRx": 2}, run: script(carrying(3), on(2), on(3)),
	},
	{
		number: 28, name: "with a single laminar endpoint", paths: 4, set: laminar(3), kernel: filteredSignals(2),
		serves: counts{"AddAddrTx": 2, "EchoAdd": 2, "MPJoinSynRx": 1, "MPJoinAckRx": 1}, run: script(reach(counts{"EchoAdd": 2}), carrying(2), on(3)),
	},
	{
		number: 53, name: "fullmesh test 2x1", paths: 4, set: limits(4, 1, fullmesh(2), fullmesh(3)), kernel: kernelLimits(4, 0),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 4, "MPJoinAckRx": 4},
		run:    script(carrying(3), kernelEndpoint("add %v signal", 1), carrying(5)),
	},
	{
		number: 53, name: "fullmesh test 1x1", paths: 4, set: limits(3, 1), kernel: kernelSignals(3, 1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 3, "MPJoinAckRx": 3},
		run:    script(carrying(2), adds(fullmesh(2)), carrying(4)),
	},
	{
		number: 53, name: "fullmesh test 1x2", paths: 4, set: limits(5, 1), kernel: kernelSignals(5, 1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 5, "MPJoinAckRx": 5},
		run:    script(carrying(2), adds(fullmesh(2), fullmesh(3)), carrying(6)),
	},
	{
		number: 54, name: "fullmesh test 1x2, limited", paths: 4, set: limits(4, 1), kernel: kernelSignals(4, 1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 4, "MPJoinAckRx": 4},
		run:    script(carrying(2), adds(fullmesh(2), fullmesh(3)), carrying(5)),
	},
	{
		number: 53, name: "fullmesh 1x1 by default", paths: 2, kernel: kernelSignals(4, 1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 3, "MPJoinAckRx": 3},
	},
	{
		number: 53, name: "fullmesh 2x2 by default", paths: 3, kernel: kernelSignals(7, 2),
		serves: counts{"AddAddrTx": 2, "EchoAdd": 2, "MPJoinSynRx": 7, "MPJoinAckRx": 7},
	},
	{
		number: 54, name: "fullmesh 2x2 by default, limited", paths: 3, host: limited(5), kernel: kernelSignals(7, 2),
		serves: counts{"AddAddrTx": 2, "EchoAdd": 2, "MPJoinSynRx": 4, "MPJoinAckRx": 4},
	},
}

// at is an endpoint at the library's end of a path.
type at struct {
	path  int
	flags pathmgr.EndpointFlags
}

func fullmesh(path int) at { return at{path, pathmgr.FlagSubflow | pathmgr.FlagFullmesh} }

// limits gives the library endpoints and the limits of `ip mptcp limits`.
func limits(subflows, addrs int, list ...at) func(testing.TB, *endpoints.Set, Family) {
	return func(t testing.TB, set *endpoints.Set, f Family) {
		require.NoError(t, set.SetLimits(pathmgr.Limits{Subflows: subflows, AddAddrAccepted: addrs}))
		for _, e := range list {
			require.NoError(t, e.add(set, f))
		}
	}
}

func (e at) add(set *endpoints.Set, f Family) error {
	_, err := set.Add(pathmgr.Endpoint{Addr: f.Library[e.path], Flags: e.flags})
	return err
}

// laminar gives it laminar endpoints; the first is of no use, since it is of the other family.
func laminar(paths ...int) func(testing.TB, *endpoints.Set, Family) {
	return func(t testing.TB, set *endpoints.Set, f Family) {
		limits(2, 2, at{2, pathmgr.FlagLaminar})(t, set, f.other())
		for _, i := range paths {
			require.NoError(t, at{i, pathmgr.FlagLaminar}.add(set, f))
		}
	}
}

// adds adds endpoints in mid-transfer.
func adds(list ...at) step {
	return func(_ testing.TB, s *scene, _ *mptcp.Conn) error {
		for _, e := range list {
			if err := e.add(s.set, s.Family); err != nil {
				return err
			}
		}
		return nil
	}
}

// on waits until there is a subflow from the library's end of path i.
func on(i int) step {
	return func(_ testing.TB, s *scene, c *mptcp.Conn) error {
		return eventually("no subflow from the endpoint", func() bool { return s.on(c.Info().Subflows, i) != nil })
	}
}

// filteredSignals has the kernel announce its ends of n paths, and reject joins to them that come from the
// initial address.
func filteredSignals(n int) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		kernelSignals(2, n)(t, l)
		for i := range n {
			l.rejectTo(t, 0, i+1)
		}
	}
}
