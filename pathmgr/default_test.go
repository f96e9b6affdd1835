package pathmgr

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// conn plays the connection to a manager: it keeps the time and the subflows, and answers
// nothing by itself.
type conn struct {
	t      *testing.T
	m      Manager
	now    time.Time
	wake   time.Time
	opened []Open   // not yet taken by opens
	told   []string // announcements and withdrawals not yet taken by tells
	nextID uint32
}

var errLost = errors.New("no route")

func ip(s string) netip.Addr     { return netip.MustParseAddr(s) }
func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// established returns a connection from 10.0.0.1 to 192.0.2.1:443 with subflow 1.
func established(t *testing.T, m Manager, role Role, denied bool, locals ...string) *conn {
	c := &conn{t: t, m: m, now: time.Unix(1_700_000_000, 0), nextID: 2}
	ev := Established{Role: role, Local: ap("10.0.0.1:50000"), Remote: ap("192.0.2.1:443"), ID: 1, RemoteDeniesInitial: denied}
	for _, l := range locals {
		ev.Locals = append(ev.Locals, ip(l))
	}
	c.event(ev)
	return c
}

func (c *conn) event(ev Event) {
	for _, a := range c.m.Handle(c.now, ev) {
		switch a := a.(type) {
		case Open:
			c.opened = append(c.opened, a)
		case WakeAt:
			require.True(c.t, a.At.After(c.now), "a wake-up in the past")
			require.NotEqual(c.t, c.wake, a.At, "a wake-up that was asked for already")
			c.wake = a.At
		case Announce:
			tell := fmt.Sprintf("announce %v", a.Addr)
			if a.Local.IsValid() {
				tell += fmt.Sprintf(" for %v", a.Local)
			}
			if a.ID != 0 {
				tell += fmt.Sprintf(" id %d", a.ID)
			}
			c.told = append(c.told, tell)
		case Withdraw:
			c.told = append(c.told, fmt.Sprintf("withdraw %v", a.Addrs))
		case SetBackup:
			c.told = append(c.told, fmt.Sprintf("%s %d", map[bool]string{true: "backup", false: "regular"}[a.Backup], a.ID))
		case CloseSubflow:
			c.told = append(c.told, fmt.Sprintf("close %d", a.ID))
		default:
			c.t.Fatalf("unexpected action %#v", a)
		}
	}
}

// pass lets time pass, with the timer events that fall due.
func (c *conn) pass(d time.Duration) {
	end := c.now.Add(d)
	for !c.wake.IsZero() && !c.wake.After(end) {
		c.now, c.wake = c.wake, time.Time{}
		c.event(Timer{})
	}
	c.now = end
}

// opens asserts which subflows were asked for since the last call.
func (c *conn) opens(want ...string) {
	c.t.Helper()
	got := []string{}
	for _, o := range c.opened {
		open := fmt.Sprintf("%v > %v", o.Local, o.Remote)
		if o.Backup {
			open += " backup"
		}
		if o.LocalID != 0 {
			open += fmt.Sprintf(" id %d", o.LocalID)
		}
		got = append(got, open)
	}
	c.opened = nil
	if want == nil {
		want = []string{}
	}
	require.Equal(c.t, want, got)
}

// up establishes a subflow and returns its ID.
func (c *conn) up(local, remote string) uint32 {
	id := c.nextID
	c.nextID++
	c.event(SubflowUp{ID: id, Local: netip.AddrPortFrom(ip(local), 50001), Remote: ap(remote)})
	return id
}

// upBackup is up for a subflow that was opened as backup.
func (c *conn) upBackup(local, remote string) uint32 {
	id := c.nextID
	c.nextID++
	c.event(SubflowUp{ID: id, Local: netip.AddrPortFrom(ip(local), 50001), Remote: ap(remote), Backup: true})
	return id
}

func (c *conn) lost(id uint32, local, remote string) {
	c.event(SubflowDown{ID: id, Local: netip.AddrPortFrom(ip(local), 50001), Remote: ap(remote), Established: true, Err: errLost})
}

func (c *conn) failed(local, remote string) {
	c.event(SubflowDown{Local: netip.AddrPortFrom(ip(local), 0), Remote: ap(remote), Err: errLost})
}

const server = "192.0.2.1:443"

func TestClientOpensFromEachLocalAddress(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1", "2001:db8::1", "127.0.0.1", "169.254.1.1", "::ffff:10.2.0.1")
	c.opens("10.1.0.1 > "+server, "10.2.0.1 > "+server)
	c.event(LocalAddrUp{Addr: ip("10.3.0.1")})
	c.opens("10.3.0.1 > " + server)
	c.event(LocalAddrUp{Addr: ip("10.3.0.1")})
	c.opens() // under way already
}

// 8684-3.1-24: flag C keeps further subflows from the initial address, not from others.
func TestInitialAddressDenied(t *testing.T) {
	c := established(t, Default(), Client, true, "10.0.0.1", "10.1.0.1")
	c.opens()
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens("10.0.0.1 > 192.0.2.2:443", "10.1.0.1 > 192.0.2.2:443")
	c.lost(1, "10.0.0.1", server)
	c.pass(time.Hour)
	c.opens()
}

func TestServerAndNoneOpenNothing(t *testing.T) {
	for _, m := range []*conn{
		established(t, Default(), Server, false, "10.0.0.1", "10.1.0.1"),
		established(t, None(), Client, false, "10.0.0.1", "10.1.0.1"),
	} {
		m.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
		m.event(LocalAddrUp{Addr: ip("10.2.0.1")})
		m.lost(1, "10.0.0.1", server)
		m.pass(time.Hour)
		m.opens()
	}
}

func TestLostSubflowIsOpenedAgain(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1")
	c.opens("10.1.0.1 > " + server)
	id := c.up("10.1.0.1", server)
	c.pass(time.Minute)
	c.lost(id, "10.1.0.1", server)
	c.opens()

	// 250 ms, doubling, up to 30 s, each with up to a quarter more.
	pause := firstBackoff
	for range 12 {
		c.pass(pause - time.Millisecond)
		c.opens()
		c.pass(pause/4 + 2*time.Millisecond)
		c.opens("10.1.0.1 > " + server)
		c.failed("10.1.0.1", server)
		pause = min(2*pause, lastBackoff)
	}

	// Its address comes back: at once, and the pauses begin anew.
	c.event(LocalAddrUp{Addr: ip("10.1.0.1")})
	c.opens("10.1.0.1 > " + server)
	c.failed("10.1.0.1", server)
	c.pass(firstBackoff * 5 / 4)
	c.opens("10.1.0.1 > " + server)
}

// The end of another subflow between the same addresses is not the end of the pair's.
func TestSecondSubflowOfAPair(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	second := c.up("10.0.0.1", server) // the program's doing
	c.lost(second, "10.0.0.1", server)
	c.pass(time.Minute)
	c.opens()
	c.lost(77, "10.0.0.1", server)
	c.pass(time.Minute)
	c.opens()
	c.lost(1, "10.0.0.1", server)
	c.pass(time.Minute)
	c.opens("10.0.0.1 > " + server)
}

// 8684-3.9.2-02: a subflow that comes up and goes down at once does not begin with the shortest pause again.
func TestFlappingSubflowBacksOff(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1")
	c.opens("10.1.0.1 > " + server)
	c.up("10.1.0.1", server) // stays
	id := uint32(1)
	for range 5 {
		c.lost(id, "10.0.0.1", server)
		c.pass(lastBackoff * 2)
		c.opens("10.0.0.1 > " + server)
		id = c.up("10.0.0.1", server)
	}
	c.lost(id, "10.0.0.1", server)
	c.pass(3 * time.Second)
	c.opens()
	c.pass(10 * time.Second)
	c.opens("10.0.0.1 > " + server)
}

func TestNoAttemptWhileLocalAddressIsDown(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1")
	c.up("10.1.0.1", server)
	c.opens("10.1.0.1 > " + server)
	c.event(LocalAddrDown{ip("10.0.0.1")})
	c.lost(1, "10.0.0.1", server)
	c.pass(time.Hour)
	c.opens()
	c.event(LocalAddrUp{Addr: ip("10.0.0.1")})
	c.opens("10.0.0.1 > " + server)

	// The end of the old subflow may be told late; the new attempt stands.
	c.lost(1, "10.0.0.1", server)
	c.pass(time.Hour)
	c.opens()
}

func TestEndsThatAreFinal(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1", "10.1.0.1", "10.2.0.1")
	c.opens("10.1.0.1 > "+server, "10.2.0.1 > "+server)

	// 8684-3.6-03: T=0 in MP_TCPRST: never again on this path, whatever its address does.
	c.event(SubflowDown{Local: ap("10.1.0.1:0"), Remote: ap(server), Err: errLost, Permanent: true})
	c.pass(time.Hour)
	c.event(LocalAddrDown{ip("10.1.0.1")})
	c.event(LocalAddrUp{Addr: ip("10.1.0.1")})
	c.opens()

	// An orderly close: until the address comes back.
	id := c.up("10.2.0.1", server)
	c.event(SubflowDown{ID: id, Local: ap("10.2.0.1:50001"), Remote: ap(server), Established: true})
	c.pass(time.Hour)
	c.opens()
	c.event(LocalAddrUp{Addr: ip("10.2.0.1")})
	c.opens("10.2.0.1 > " + server)
}

// 8684-3.4.1-11: a failed announced address is tried again only when announced again.
func TestFailedAnnouncedAddress(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens("10.0.0.1 > 192.0.2.2:443")
	c.failed("10.0.0.1", "192.0.2.2:443")
	c.pass(time.Hour)
	c.opens()
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens("10.0.0.1 > 192.0.2.2:443")
	// Announcing again and again does not shorten the pause.
	c.failed("10.0.0.1", "192.0.2.2:443")
	for range 20 {
		c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	}
	c.opens()
	c.pass(time.Second)
	c.opens("10.0.0.1 > 192.0.2.2:443")
	// One that has worked is tried again by itself.
	id := c.up("10.0.0.1", "192.0.2.2:443")
	c.pass(time.Minute)
	c.lost(id, "10.0.0.1", "192.0.2.2:443")
	c.pass(time.Second)
	c.opens("10.0.0.1 > 192.0.2.2:443")
	// Withdrawn: not any more.
	c.failed("10.0.0.1", "192.0.2.2:443")
	c.event(RemoteAddrDown{2})
	c.pass(time.Hour)
	c.opens()
}

// 8684-3.4.1-12 and -13: an ID keeps its address; a new port is tried.
func TestAnnouncedAgainUnderTheSameID(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.event(RemoteAddrUp{3, ap("192.0.2.2:1")})
	c.event(RemoteAddrUp{3, ap("192.0.2.2:2")})
	c.event(RemoteAddrUp{3, ap("192.0.2.9:2")})
	c.event(RemoteAddrUp{4, ap(server)}) // the initial address under another name
	c.opens("10.0.0.1 > 192.0.2.2:1", "10.0.0.1 > 192.0.2.2:2")
	c.event(RemoteAddrDown{3})
	c.event(RemoteAddrUp{3, ap("192.0.2.9:2")})
	c.opens("10.0.0.1 > 192.0.2.9:2")
}

// 8684-3.4-03: no second subflow to an address from which the peer joined.
func TestPeerJoinedFromAnnouncedAddress(t *testing.T) {
	c := established(t, Default(), Client, false, "10.0.0.1")
	c.event(SubflowUp{ID: 9, Local: ap("10.0.0.1:50000"), Remote: ap("192.0.2.2:40000"), Incoming: true})
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens()
	c.event(SubflowDown{ID: 9, Local: ap("10.0.0.1:50000"), Remote: ap("192.0.2.2:40000"), Established: true})
	c.opens("10.0.0.1 > 192.0.2.2:443")
}

// 8684-5-04, 8684-3.9.2-02: whatever the peer announces, subflows and state are bounded.
func TestAnnouncementsAreBounded(t *testing.T) {
	m := newMesh("default", DefaultMaxSubflows)
	c := established(t, m, Client, false, "10.0.0.1", "10.1.0.1")
	for i := range 256 {
		c.event(RemoteAddrUp{uint8(i), netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 443)})
	}
	require.Len(t, c.opened, DefaultMaxSubflows-1)
	require.LessOrEqual(t, len(m.remotes), maxAnnounced+1)
	require.LessOrEqual(t, len(m.pairs), (maxAnnounced+1)*2)

	// Refusals make room for others, and are bounded as well.
	for round := range 30 {
		opened := c.opened
		c.opened = nil
		for _, o := range opened {
			c.event(SubflowDown{Local: netip.AddrPortFrom(o.Local, 0), Remote: o.Remote, Err: errLost, Permanent: true})
		}
		for i := range 256 {
			c.event(RemoteAddrDown{uint8(i)})
		}
		for i := range 256 {
			c.event(RemoteAddrUp{uint8(i), netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(round), byte(i)}), 443)})
		}
	}
	require.NotEmpty(t, c.opened)
	require.LessOrEqual(t, len(m.refused), maxRefused)
	require.LessOrEqual(t, len(m.pairs), (maxAnnounced+1)*2+DefaultMaxSubflows)
}

func TestLimit(t *testing.T) {
	c := established(t, DefaultWithLimit(2)(), Client, false, "10.0.0.1", "10.1.0.1", "10.2.0.1")
	c.opens("10.1.0.1 > " + server)
	// Room is used as soon as there is some.
	c.event(SubflowDown{Local: ap("10.1.0.1:0"), Remote: ap(server), Err: errLost, Permanent: true})
	c.opens("10.2.0.1 > " + server)
}

func TestByName(t *testing.T) {
	require.Equal(t, []string{"backup", "default", "endpoints", "fullmesh", "manual", "ndiffports", "none"}, Names())
	for _, n := range Names() {
		f, ok := ByName(n)
		require.True(t, ok)
		require.Equal(t, n, f().Name())
	}
	_, ok := ByName("")
	require.False(t, ok)
}
