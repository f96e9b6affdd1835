package pathmgr

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tells asserts what was announced and withdrawn since the last call.
func (c *conn) tells(want ...string) {
	c.t.Helper()
	got := c.told
	c.told = nil
	require.Equal(c.t, want, got)
}

// 8684-3.4-01, 8684-3.4.2-01: a server tells of its other addresses, of both families, and of
// those that go.
func TestServerAnnounces(t *testing.T) {
	c := established(t, Default(), Server, false, "10.0.0.1", "198.51.100.1", "2001:db8::1", "127.0.0.1", "10.9.0.1", "169.254.1.1", "fe80::1", "::ffff:203.0.113.1")
	c.tells("announce 198.51.100.1:0", "announce [2001:db8::1]:0", "announce 203.0.113.1:0")
	c.event(LocalAddrUp{Addr: ip("198.51.100.1")})
	c.tells()
	c.event(LocalAddrDown{ip("198.51.100.1")})
	c.tells("withdraw [198.51.100.1]")
	c.event(LocalAddrUp{Addr: ip("198.51.100.1")})
	c.tells("announce 198.51.100.1:0")

	// That of the initial subflow is known to the peer, until it is withdrawn.
	c.event(LocalAddrUp{Addr: ip("10.0.0.1")})
	c.tells()
	c.event(LocalAddrDown{ip("10.0.0.1")})
	c.tells("withdraw [10.0.0.1]")
	c.event(LocalAddrUp{Addr: ip("10.0.0.1")})
	c.tells("announce 10.0.0.1:0")
	c.opens()
}

// An address at which the client has a subflow need not be announced.
func TestServerDoesNotAnnounceWhatIsInUse(t *testing.T) {
	c := established(t, Default(), Server, false, "10.0.0.1")
	c.event(SubflowUp{ID: 2, Local: ap("198.51.100.1:443"), Remote: ap("192.0.2.1:999"), Incoming: true})
	c.event(LocalAddrUp{Addr: ip("198.51.100.1")})
	c.tells()
	c.event(SubflowDown{ID: 2, Local: ap("198.51.100.1:443"), Remote: ap("192.0.2.1:999"), Established: true})
	c.event(LocalAddrUp{Addr: ip("198.51.100.1")})
	c.tells("announce 198.51.100.1:0")
}

// 8684-5-04: also the announcing end is moderate.
func TestServerAnnouncesFew(t *testing.T) {
	var locals []string
	for i := range 20 {
		locals = append(locals, fmt.Sprintf("198.51.100.%d", i+1))
	}
	c := established(t, Default(), Server, false, locals...)
	require.Len(t, c.told, maxAnnounced)
}

func TestNoneAnnouncesNothing(t *testing.T) {
	c := established(t, None(), Server, false, "10.0.0.1", "10.1.0.1")
	c.event(LocalAddrDown{ip("10.1.0.1")})
	c.tells()
}

// 8684-3.4.2-01: a client withdraws what its subflows told of.
func TestClientWithdraws(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1")
	c.opens("10.1.0.1 > " + server)
	c.event(LocalAddrDown{ip("10.1.0.1")})
	c.tells("withdraw [10.1.0.1]")
}

// 8684-3.4-03: an announcement with the ID of a subflow's address means that address, however
// it looks through a NAT.
func TestAnnouncedUnderTheIDOfASubflow(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.event(SubflowUp{ID: 9, Local: ap("10.0.0.1:50000"), Remote: ap("198.51.100.7:40000"), RemoteID: 2, Incoming: true})
	c.event(RemoteAddrUp{2, ap("198.51.100.2:443")})
	c.opens()
	c.event(RemoteAddrUp{3, ap("192.0.2.3:443")})
	c.opens("10.0.0.1 > 192.0.2.3:443")
	id := c.nextID
	c.event(SubflowUp{ID: id, Local: ap("10.0.0.1:50001"), Remote: ap("192.0.2.3:443"), RemoteID: 4})
	c.event(RemoteAddrUp{4, ap("198.51.100.4:443")})
	c.opens()
	c.lost(9, "10.0.0.1", "198.51.100.7:40000")
	c.opens("10.0.0.1 > 198.51.100.2:443")
}

// Where not all pairs of addresses may have a subflow, each address gets one first, and
// neighbours are preferred.
func TestChoiceOfPairs(t *testing.T) {
	m := newMesh("default", 3)
	c := established(t, m, Client, true, "10.0.0.1", "198.51.100.1", "203.0.113.1")
	m.remotes = []remote{{id: 2, addr: ap("203.0.113.9:443")}, {id: 3, addr: ap("198.51.100.9:443")}, {id: 4, addr: ap("10.0.0.9:443")}}
	c.event(Timer{})
	c.opens("203.0.113.1 > 203.0.113.9:443", "198.51.100.1 > 198.51.100.9:443")
}

// 8684-5-04, 8684-3.9.2-02: attempts to announced addresses that never succeed come to an end.
func TestMisleadingAnnouncements(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	total := 0
	for i := range 200 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 443)
		c.event(RemoteAddrUp{2, addr})
		for _, o := range c.opened {
			c.event(SubflowDown{ID: 77, Local: netip.AddrPortFrom(o.Local, 50001), Remote: o.Remote, Err: errLost})
			total++
		}
		c.opened = nil
		c.event(RemoteAddrDown{2})
	}
	require.Equal(t, maxMisled, total)
	c.lost(1, "10.0.0.1", server)
	c.pass(time.Minute)
	c.opens("10.0.0.1 > " + server)
}

// 8684-3.6-02: the reason of a transient reset says how long to wait.
func TestReasonsOfResets(t *testing.T) {
	for reason, wait := range map[uint8]time.Duration{0: firstBackoff, 2: 5 * time.Second, 4: time.Second, 5: time.Second, 6: firstBackoff} {
		c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1")
		c.opens("10.1.0.1 > " + server)
		c.up("10.1.0.1", server)
		c.event(SubflowDown{ID: 1, Local: ap("10.0.0.1:50000"), Remote: ap(server), Established: true, Err: errLost, Reason: reason})
		c.pass(wait - time.Millisecond)
		c.opens()
		c.pass(firstBackoff)
		c.opens("10.0.0.1 > " + server)
	}
}

// 8684-3.6-02: an announced address where a subflow is refused for now is tried again, again and again.
func TestRefusedForNow(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens("10.0.0.1 > 192.0.2.2:443")
	for range 2 * maxMisled {
		c.event(SubflowDown{ID: 2, Local: ap("10.0.0.1:0"), Remote: ap("192.0.2.2:443"), Err: errLost, Reason: 3})
		c.opens()
		c.pass(2 * lastBackoff)
		c.opens("10.0.0.1 > 192.0.2.2:443")
	}
}

// What the peer announces does not lead to ourselves.
func TestOwnAddressIsAnnounced(t *testing.T) {
	c := established(t, Default(), Client, true, "10.0.0.1", "10.1.0.1")
	c.event(RemoteAddrUp{2, ap("10.1.0.1:443")})
	c.opens()
}
