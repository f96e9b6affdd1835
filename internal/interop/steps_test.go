//go:build linux

package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
)

// step is something that happens in the middle of a row's transfer.
type step func(t testing.TB, s *scene, c *mptcp.Conn) error

// script transfers and takes steps in the middle, one after the other.
func script(steps ...step) func(testing.TB, *scene) {
	return func(t testing.TB, s *scene) { s.script(t, steps...) }
}

// script returns the library's end, which has been closed.
func (s *scene) script(t testing.TB, steps ...step) *mptcp.Conn {
	library, kernel := s.Connect(t, true)
	s.scriptOn(t, library, kernel, steps...)
	return library
}

func (s *scene) scriptOn(t testing.TB, library *mptcp.Conn, kernel Conn, steps ...step) {
	s.exchangeAndClose(t, library, kernel, func() error {
		for i, do := range append([]step{heard}, steps...) {
			if err := do(t, s, library); err != nil {
				return fmt.Errorf("step %d: %w; kernel: %v; library: %v, %+v", i, err, s.Peer.Counters(t), s.ours(), library.Info())
			}
		}
		return nil
	})
}

// heard: both ends have got something, and may open subflows.
func heard(_ testing.TB, _ *scene, c *mptcp.Conn) error {
	return eventually("nothing confirmed", func() bool { i := c.Info(); return i.BytesSent > 0 && i.BytesReceived > 0 })
}

// eventually waits, and complains in the words of complaint.
func eventually(complaint string, ok func() bool) error {
	if !assertEventually(ok, moment) {
		return fmt.Errorf("%s", complaint)
	}
	return nil
}

// reach waits for values of the kernel's counters.
func reach(want counts) step {
	return func(t testing.TB, s *scene, _ *mptcp.Conn) error {
		return eventually(fmt.Sprintf("the kernel's counters do not reach %v", want), func() bool {
			now := s.Peer.Counters(t)
			for name, v := range want {
				if !s.isKernels(name, v, now.Get(t, name)) {
					return false
				}
			}
			return true
		})
	}
}

// carrying waits until the library has n subflows that carry data.
func carrying(n int) step {
	return func(_ testing.TB, _ *scene, c *mptcp.Conn) error {
		return eventually(fmt.Sprintf("not %d subflows", n), func() bool { return established(c) == n })
	}
}

// opens has the library open a subflow from its end of path i to the address that was dialled.
func opens(i int) step { return opensTo(i, 0) }

// opensTo has it open one to the kernel's end of path j.
func opensTo(i, j int) step {
	return func(_ testing.TB, s *scene, c *mptcp.Conn) error { return s.join(c, i, j, false) }
}

// opensBackup is opens with flag B.
func opensBackup(i int) step {
	return func(_ testing.TB, s *scene, c *mptcp.Conn) error { return s.join(c, i, 0, true) }
}

// announcesPath has the library announce its end of path i, with a port unless that is 0.
func announcesPath(i int, port uint16) step {
	return func(_ testing.TB, s *scene, c *mptcp.Conn) error {
		return c.Announce(netip.AddrPortFrom(s.Family.Library[i], port))
	}
}

// echoed waits until the kernel has confirmed all that the library announces.
func echoed(_ testing.TB, _ *scene, c *mptcp.Conn) error {
	return eventually("no echo", func() bool {
		return !slices.ContainsFunc(c.Info().Announced, func(a mptcp.AnnouncedAddr) bool { return !a.Echoed })
	})
}

// forgotten: the library knows no address of the kernel any more, and all closed subflows have
// ended in order.
func forgotten(_ testing.TB, _ *scene, c *mptcp.Conn) error {
	return eventually("addresses are left, or were left in haste", func() bool {
		i := c.Info()
		return len(i.RemoteAddrs) == 0 && !slices.ContainsFunc(i.Subflows, func(f mptcp.SubflowInfo) bool { return f.Reason != "" })
	})
}

// withdraws has the library withdraw its ends of paths, all at once.
func withdraws(paths ...int) step {
	return func(t testing.TB, s *scene, c *mptcp.Conn) error {
		if err := quiet(t, s, c); err != nil {
			return err
		}
		var addrs []netip.Addr
		for _, i := range paths {
			addrs = append(addrs, s.Family.Library[i])
		}
		return c.Withdraw(addrs...)
	}
}

// prio has the library change the priority of the subflow on path i.
func prio(i int, backup bool) step {
	return func(_ testing.TB, s *scene, c *mptcp.Conn) error {
		f := s.on(c.Info().Subflows, i)
		if f == nil {
			return fmt.Errorf("no subflow on path %d", i)
		}
		return c.SetBackup(f.ID, backup)
	}
}

// on is the subflow that uses path i, nil if there is none.
func (s *scene) on(list []mptcp.SubflowInfo, i int) *mptcp.SubflowInfo {
	for n := range list {
		f := &list[n]
		local, remote := f.Local.Addr() == s.Family.Library[i], f.Remote.Addr() == s.Family.Kernel[i]
		if f.State != "closed" && (i == 0 && local && remote || i > 0 && (local || remote)) {
			return f
		}
	}
	return nil
}

// heeds waits until the library knows that the kernel wants the subflow on path i as a backup,
// or not.
func heeds(i int, backup bool) step {
	return func(_ testing.TB, s *scene, c *mptcp.Conn) error {
		return eventually("the kernel's MP_PRIO is not heeded", func() bool {
			f := s.on(c.Info().Subflows, i)
			return f != nil && f.RemoteBackup == backup
		})
	}
}

// kernelEndpoint has `ip mptcp endpoint` change something; a verb %v stands for the kernel's end
// of path i. Data is not under way then: the kernel resets a subflow that it has closed when data comes.
func kernelEndpoint(command string, paths ...int) step {
	return func(t testing.TB, s *scene, c *mptcp.Conn) error {
		if err := quiet(t, s, c); err != nil {
			return err
		}
		var args []any
		for _, i := range paths {
			args = append(args, s.Family.Kernel[i])
		}
		s.Peer.IP(t, "mptcp endpoint "+fmt.Sprintf(command, args...))
		return nil
	}
}

// newPath gives both ends one more path.
func newPath(t testing.TB, s *scene, _ *mptcp.Conn) error {
	s.AddPath(t)
	return nil
}

// cut makes black holes of paths.
func cut(paths ...int) step {
	return func(_ testing.TB, s *scene, _ *mptcp.Conn) error {
		for _, i := range paths {
			s.CutPath(i)
		}
		return nil
	}
}

// quiet waits until all that was sent has been read, no more is sent, and nothing that the library sent
// on any subflow is under way.
func quiet(_ testing.TB, s *scene, c *mptcp.Conn) error {
	return eventually("no quiet", func() bool {
		up, down := s.up.Sent.Load(), s.down.Sent.Load()
		if up < s.up.HoldAt || down < s.down.HoldAt || s.up.Received.Load() < up || s.down.Received.Load() < down {
			return false
		}
		i := c.Info()
		return i.BytesAcked == uint64(up) &&
			!slices.ContainsFunc(i.Subflows, func(f mptcp.SubflowInfo) bool { return f.State != "closed" && f.InFlight > 0 })
	})
}

// mark notes what the subflows have carried, when it is quiet.
func mark(t testing.TB, s *scene, c *mptcp.Conn) error {
	err := quiet(t, s, c)
	s.marked = c.Info()
	return err
}

// repeated is how many bytes have come more than once since mark.
func (s *scene) repeated(c *mptcp.Conn) int64 {
	again := func(i mptcp.Info) int64 {
		n := -int64(i.BytesReceived)
		for _, f := range i.Subflows {
			n += int64(f.BytesReceived)
		}
		return n
	}
	return again(c.Info()) - again(s.marked)
}

// carried is how many bytes the subflow on path i has carried since mark, each way.
func (s *scene) carried(t testing.TB, c *mptcp.Conn, i int) (sent, received int64) {
	before := s.on(s.marked.Subflows, i)
	require.NotNil(t, before)
	for _, f := range c.Info().Subflows {
		if f.ID == before.ID {
			return int64(f.BytesSent - before.BytesSent), int64(f.BytesReceived - before.BytesReceived)
		}
	}
	require.FailNow(t, "no such subflow")
	return 0, 0
}
