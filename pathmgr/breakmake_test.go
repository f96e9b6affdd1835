package pathmgr

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Break before make: while no subflow is left attempts come three times a second, and then more
// seldom; none waits for an answer for longer than that.
func TestNoSubflowIsLeft(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.pass(time.Minute)
	c.lost(1, "10.0.0.1", server)
	beat := firstBeat
	for i := range 30 {
		require.Len(t, c.opened, 1, "attempt %d", i)
		require.Equal(t, beat, c.opened[0].Patience)
		c.opens("10.0.0.1 > " + server)
		if i%3 == 2 {
			beat = min(2*beat, lastBackoff)
		}
		tried := c.now
		c.failed("10.0.0.1", server)
		for len(c.opened) == 0 {
			c.pass(time.Millisecond)
		}
		require.GreaterOrEqual(t, c.now.Sub(tried), beat)
		require.LessOrEqual(t, c.now.Sub(tried), beat*5/4+time.Millisecond)
	}
}

// A long path gets the time that it needs.
func TestNoSubflowIsLeftOnALongPath(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.event(SubflowDown{ID: 1, Local: ap("10.0.0.1:50000"), Remote: ap(server), Established: true, Err: errLost, RTT: 700 * time.Millisecond})
	require.Equal(t, 2100*time.Millisecond, c.opened[0].Patience)
}

// longPauses is a client with a subflow and two addresses that have failed so often that their pauses are the longest;
// that of 10.1.0.1 has begun again, 10.2.0.1 is being tried.
func longPauses(t *testing.T) *conn {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1", "10.2.0.1")
	c.opens("10.1.0.1 > "+server, "10.2.0.1 > "+server)
	for range 10 {
		for _, l := range []string{"10.1.0.1", "10.2.0.1"} {
			c.failed(l, server)
		}
		c.pass(lastBackoff * 5 / 4)
		require.Len(t, c.opened, 2)
		c.opened = nil
	}
	c.failed("10.1.0.1", server)
	return c
}

// With the last subflow all others that wait are tried, however long their pauses were; with the
// first that is back the pauses count again.
func TestLastSubflowIsLost(t *testing.T) {
	c := longPauses(t)
	c.pass(10 * time.Second)
	c.lost(1, "10.0.0.1", server)
	c.opens("10.0.0.1 > "+server, "10.1.0.1 > "+server)
	c.up("10.2.0.1", server)
	c.failed("10.1.0.1", server)
	c.pass(lastBackoff - time.Second)
	c.opens()
}

// A peer that takes subflows and ends them at once is not asked more often than that: 8684-3.9.2-02.
func TestNoSubflowLivesLong(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1")
	c.opens("10.1.0.1 > " + server)
	id, local := uint32(1), "10.0.0.1"
	c.failed("10.1.0.1", server)
	attempts := 0
	for end := c.now.Add(time.Minute); c.now.Before(end); {
		c.lost(id, local, server)
		for len(c.opened) == 0 {
			c.pass(10 * time.Millisecond)
		}
		attempts += len(c.opened)
		for _, o := range c.opened[1:] {
			c.failed(o.Local.String(), server)
		}
		local = c.opened[0].Local.String()
		c.opened = nil
		id = c.up(local, server)
		c.pass(time.Millisecond)
	}
	require.Less(t, attempts, 50)
}

// 8684-3.6-02: also then the reason of a reset counts.
func TestLastSubflowIsResetWithReason(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.event(SubflowDown{ID: 1, Local: ap("10.0.0.1:50000"), Remote: ap(server), Established: true, Err: errLost, Reason: 2})
	c.pass(5*time.Second - time.Millisecond)
	c.opens()
	c.pass(time.Millisecond)
	c.opens("10.0.0.1 > " + server)
}

// 8684-3.4.2-01, 8684-Q-25: ID 0 is withdrawn and comes back like any other, also by another name.
func TestInitialAddressOfPeerComesBack(t *testing.T) {
	for _, again := range []string{server, "10.9.9.9:443"} {
		c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1")
		c.opens("10.1.0.1 > " + server)
		c.up("10.1.0.1", server)
		c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
		c.opens("10.0.0.1 > 192.0.2.2:443", "10.1.0.1 > 192.0.2.2:443")
		c.event(SubflowUp{ID: 7, Local: ap("10.0.0.1:50001"), Remote: ap("192.0.2.2:443"), RemoteID: 2})
		c.event(RemoteAddrDown{0})
		c.lost(1, "10.0.0.1", server)
		c.pass(time.Hour)
		c.opens()
		c.event(RemoteAddrUp{0, ap(again)})
		c.opens("10.0.0.1 > " + server)
	}
	// Not where the peer denies it.
	c := established(t, Default(), Client, true, "10.0.0.1")
	c.event(RemoteAddrUp{0, ap("10.9.9.9:443")})
	c.opens()
}

// A server's initial address that was withdrawn is the last resort when no subflow is left: at once if nothing
// else is known, else when that has not helped for a second.
func TestWithdrawnInitialAddressIsLastResort(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.event(RemoteAddrDown{0})
	c.pass(time.Minute)
	c.opens()
	c.lost(1, "10.0.0.1", server)
	c.pass(firstBeat)
	c.opens("10.0.0.1 > " + server)
	id := c.up("10.0.0.1", server)
	c.pass(time.Minute)
	c.opens()
	c.lost(id, "10.0.0.1", server)
	c.pass(2 * firstBeat)
	c.opens("10.0.0.1 > " + server)

	c = established(t, Default(), Client, false, "10.0.0.1")
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens("10.0.0.1 > 192.0.2.2:443")
	second := c.up("10.0.0.1", "192.0.2.2:443")
	c.event(RemoteAddrDown{0})
	c.lost(1, "10.0.0.1", server)
	c.pass(time.Minute)
	c.opens()
	c.lost(second, "10.0.0.1", "192.0.2.2:443")
	c.pass(2 * firstBeat)
	c.opens("10.0.0.1 > 192.0.2.2:443")
	c.pass(lastResortAfter - 2*firstBeat)
	c.opens("10.0.0.1 > " + server)
	c.up("10.0.0.1", "192.0.2.2:443")
	c.failed("10.0.0.1", server)
	c.pass(time.Hour)
	c.opens()
}

// A subflow that takes another one's place is that one's heir, also as regards what is wished for.
func TestReplacedSubflow(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1")
	c.opens("10.1.0.1 > " + server)
	id := c.up("10.1.0.1", server)
	for old, local := range map[uint32]string{1: "10.0.0.1", id: "10.1.0.1"} {
		fresh := old + 10
		c.event(SubflowUp{ID: fresh, Local: netip.AddrPortFrom(ip(local), 7), Remote: ap(server), Replaces: old})
		c.lost(old, local, server)
		c.pass(time.Hour)
		c.opens()
		c.lost(fresh, local, server)
		c.pass(time.Second)
		c.opens(local + " > " + server)
		c.up(local, server)
	}
}

// A further port of the initial address, which has ID 0, is another address to join.
func TestInitialAddressWithAnotherPort(t *testing.T) {
	c := established(t, Default(), Client, true, "10.0.0.1")
	c.event(RemoteAddrUp{0, ap("192.0.2.1:8443")})
	c.opens("10.0.0.1 > 192.0.2.1:8443")
	c = established(t, Default(), Client, false, "10.0.0.1")
	c.event(RemoteAddrUp{0, ap("192.0.2.1:8443")})
	c.opens("10.0.0.1 > 192.0.2.1:8443")
}

// After the machine's sleep the pauses are over, but for what the peer has asked for.
func TestResumed(t *testing.T) {
	c := longPauses(t)
	c.event(SubflowDown{Local: ap("10.2.0.1:0"), Remote: ap(server), Err: errLost, Reason: 2})
	c.pass(time.Second)
	c.opens()
	c.event(Resumed{})
	c.opens("10.1.0.1 > " + server)
	c.pass(4 * time.Second)
	c.opens("10.2.0.1 > " + server)
	c.failed("10.1.0.1", server)
	c.pass(firstBackoff * 5 / 4)
	c.opens("10.1.0.1 > " + server)
}
