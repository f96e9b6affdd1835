package pathmgr

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// source is an EndpointSource that can be changed, as endpoints.Set can.
type source struct {
	list   []Endpoint
	limits Limits
	c      *conn
}

func (s *source) Show() ([]Endpoint, Limits) { return s.list, s.limits }

func (s *source) Watch(func()) (stop func()) { return func() {} }

// set changes the list and the limits and tells the manager.
func (s *source) set(l Limits, list ...Endpoint) {
	s.list, s.limits = list, l
	s.c.event(Changed{})
}

// with are the endpoints, the one with an ID with other flags.
func (s *source) with(id uint8, flags EndpointFlags) []Endpoint {
	list := slices.Clone(s.list)
	for i := range list {
		if list[i].ID == id {
			list[i].Flags = flags
		}
	}
	return list
}

// without are the endpoints but one.
func (s *source) without(id uint8) []Endpoint {
	return slices.DeleteFunc(slices.Clone(s.list), func(e Endpoint) bool { return e.ID == id })
}

// withEndpoints returns a connection with these endpoints, which get IDs if they have none, and limits.
func withEndpoints(t *testing.T, role Role, denied bool, l Limits, list []Endpoint, locals ...string) (*conn, *source) {
	s := &source{limits: l, list: slices.Clone(list)}
	for i := range s.list {
		if s.list[i].ID == 0 {
			s.list[i].ID = uint8(i + 1)
		}
		require.NoError(t, s.list[i].Check())
	}
	s.c = established(t, WithEndpoints(s)(), role, denied, locals...)
	return s.c, s
}

func TestSubflowEndpoints(t *testing.T) {
	c, s := withEndpoints(t, Client, false, Limits{Subflows: 2}, []Endpoint{
		{Addr: ip("10.1.0.1"), Flags: FlagSubflow},
		{Addr: ip("10.2.0.1"), Flags: FlagSubflow | FlagBackup, ID: 7},
		{Addr: ip("10.4.0.1"), Flags: FlagSubflow}, // not there
	}, "10.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1")
	c.opens("10.1.0.1 > "+server+" id 1", "10.2.0.1 > "+server+" backup id 7")
	one, two := c.up("10.1.0.1", server), c.upBackup("10.2.0.1", server)
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")}) // none is accepted
	c.event(LocalAddrUp{Addr: ip("10.4.0.1")})
	c.opens() // as many as may be

	// The limit rises, and what was waiting is opened.
	more := Limits{Subflows: 3}
	s.set(more, s.list...)
	c.opens("10.4.0.1 > " + server + " id 3")
	three := c.up("10.4.0.1", server)
	c.tells()

	// Changes of flags.
	s.set(s.limits, s.with(1, FlagSubflow|FlagBackup)...)
	s.set(s.limits, s.with(7, FlagSubflow)...)
	c.tells("backup 2", "regular 3")
	s.set(s.limits, s.with(1, 0)...)
	c.tells("close 2", "regular 2")
	c.event(SubflowDown{ID: one, Local: ap("10.1.0.1:50001"), Remote: ap(server), Established: true})
	c.pass(time.Hour)
	c.opens()

	// Removal withdraws.
	s.set(s.limits, s.without(7)...)
	c.tells("withdraw [10.2.0.1]")
	c.lost(two, "10.2.0.1", server)
	s.set(s.limits)
	c.tells("withdraw [10.1.0.1 10.4.0.1]")
	c.lost(three, "10.4.0.1", server)
	c.pass(time.Hour)
	c.opens()

	// And one that is added again is used again.
	s.set(s.limits, Endpoint{Addr: ip("10.2.0.1"), ID: 1, Flags: FlagSubflow})
	c.opens("10.2.0.1 > " + server + " id 1")
}

// A flag that changes while a subflow is being opened is told when it is up.
func TestEndpointChangesWhileOpening(t *testing.T) {
	c, s := withEndpoints(t, Client, false, Limits{Subflows: 2}, []Endpoint{
		{Addr: ip("10.1.0.1"), Flags: FlagSubflow | FlagBackup}, {Addr: ip("10.2.0.1"), Flags: FlagSubflow},
	}, "10.0.0.1", "10.1.0.1", "10.2.0.1")
	c.opens("10.1.0.1 > "+server+" backup id 1", "10.2.0.1 > "+server+" id 2")
	s.set(s.limits, s.with(1, FlagSubflow)...)
	c.tells()
	c.upBackup("10.1.0.1", server)
	c.tells("regular 2")
	c.up("10.2.0.1", server)
	c.tells()
}

func TestLostSubflowOfEndpoint(t *testing.T) {
	c, _ := withEndpoints(t, Client, false, Limits{Subflows: 2}, []Endpoint{{Addr: ip("10.1.0.1"), Flags: FlagSubflow}}, "10.0.0.1", "10.1.0.1")
	c.opens("10.1.0.1 > " + server + " id 1")
	id := c.up("10.1.0.1", server)
	c.lost(id, "10.1.0.1", server)
	c.pass(firstBackoff * 5 / 4)
	c.opens("10.1.0.1 > " + server + " id 1")
}

// 8684-3.4.1-01, -03: with and without port; the initial address only with one.
func TestSignalEndpoints(t *testing.T) {
	c, s := withEndpoints(t, Server, false, Limits{}, []Endpoint{
		{Addr: ip("10.0.0.1"), Flags: FlagSignal},
		{Addr: ip("10.1.0.1"), Flags: FlagSignal},
		{Addr: ip("203.0.113.1"), Port: 8443, Flags: FlagSignal},
		{Addr: ip("203.0.113.2"), Maps: ip("10.2.0.1"), Flags: FlagSignal},
	}, "10.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1")
	c.tells("announce 10.1.0.1:0 id 2", "announce 203.0.113.1:8443 id 3", "announce 203.0.113.2:0 for 10.2.0.1 id 4")

	// What goes is withdrawn, what comes back is announced again.
	c.event(LocalAddrDown{ip("10.1.0.1")})
	c.event(LocalAddrDown{ip("10.2.0.1")})
	c.tells("withdraw [10.1.0.1]", "withdraw [10.2.0.1]")
	s.set(s.limits, append(slices.Clone(s.list), Endpoint{Addr: ip("10.3.0.1"), ID: 5, Flags: FlagSignal})...)
	c.tells("announce 10.3.0.1:0 id 5")
	c.event(LocalAddrUp{Addr: ip("10.1.0.1")})
	c.event(LocalAddrUp{Addr: ip("10.2.0.1")})
	c.tells("announce 10.1.0.1:0 id 2", "announce 203.0.113.2:0 for 10.2.0.1 id 4")

	s.set(s.limits, s.with(5, 0)...)
	c.tells("withdraw [10.3.0.1]")
	s.set(s.limits, s.without(4)...)
	c.tells("withdraw [10.2.0.1]")
	c.opens()
}

// 8684-3.9.2-02: a subflow of the peer's beyond the limit is closed.
func TestLimitOfIncomingSubflows(t *testing.T) {
	c, _ := withEndpoints(t, Server, false, Limits{Subflows: 1}, nil, "10.0.0.1")
	in := func(id uint32) {
		c.event(SubflowUp{ID: id, Local: ap("10.0.0.1:443"), Remote: netip.AddrPortFrom(ip("192.0.2.9"), uint16(id)), Incoming: true})
	}
	in(2)
	c.tells()
	in(3)
	c.tells("close 3")
}

func TestAnnouncedAddressesWithEndpoints(t *testing.T) {
	second, third := RemoteAddrUp{2, ap("192.0.2.2:443")}, RemoteAddrUp{3, ap("192.0.2.3:443")}
	for name, r := range map[string]struct {
		list   []Endpoint
		denied bool
		accept int
		want   []string
	}{
		"none is accepted": {nil, false, 0, nil},
		"one is accepted":  {nil, false, 1, []string{"10.0.0.1 > 192.0.2.2:443"}},
		"from the initial address": {
			[]Endpoint{{Addr: ip("10.0.0.1"), Flags: FlagBackup}}, false, 2,
			[]string{"10.0.0.1 > 192.0.2.2:443 backup id 1", "10.0.0.1 > 192.0.2.3:443 backup id 1"},
		},
		"fullmesh": {
			[]Endpoint{{Addr: ip("10.0.0.1"), Flags: FlagFullmesh}, {Addr: ip("10.1.0.1"), Flags: FlagFullmesh | FlagSubflow}, {Addr: ip("10.2.0.1"), Flags: FlagLaminar}}, false, 1,
			[]string{"10.1.0.1 > " + server + " id 2", "10.0.0.1 > 192.0.2.2:443 id 1", "10.1.0.1 > 192.0.2.2:443 id 2"},
		},
		"laminar": {
			[]Endpoint{{Addr: ip("10.0.0.1"), Flags: FlagLaminar}, {Addr: ip("10.1.0.1"), Flags: FlagLaminar}, {Addr: ip("10.2.0.1"), Flags: FlagLaminar}}, false, 2,
			[]string{"10.1.0.1 > 192.0.2.2:443 id 2", "10.2.0.1 > 192.0.2.3:443 id 3"},
		},
		"laminar, too few": {
			[]Endpoint{{Addr: ip("10.1.0.1"), Flags: FlagLaminar}}, false, 2,
			[]string{"10.1.0.1 > 192.0.2.2:443 id 1"},
		},
		"initial address denied": {
			[]Endpoint{{Addr: ip("10.1.0.1"), Flags: FlagSubflow}}, true, 2,
			[]string{"10.1.0.1 > 192.0.2.2:443 id 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := withEndpoints(t, Client, r.denied, Limits{Subflows: 8, AddAddrAccepted: r.accept}, r.list, "10.0.0.1", "10.1.0.1", "10.2.0.1")
			c.event(second)
			c.event(third)
			c.opens(r.want...)
		})
	}
}

// A laminar address is free again when what it took is withdrawn.
func TestLaminarAddressIsFreeAgain(t *testing.T) {
	c, _ := withEndpoints(t, Client, false, Limits{Subflows: 8, AddAddrAccepted: 2}, []Endpoint{{Addr: ip("10.1.0.1"), Flags: FlagLaminar}}, "10.0.0.1", "10.1.0.1")
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens("10.1.0.1 > 192.0.2.2:443 id 1")
	c.event(RemoteAddrDown{2})
	c.event(RemoteAddrUp{3, ap("192.0.2.3:443")})
	c.opens("10.1.0.1 > 192.0.2.3:443 id 1")
}

// The flag of the initial subflow's address is told at once, as Linux does.
func TestInitialAddressIsBackup(t *testing.T) {
	c, _ := withEndpoints(t, Client, false, Limits{}, []Endpoint{{Addr: ip("10.0.0.1"), Flags: FlagSubflow | FlagBackup}}, "10.0.0.1")
	c.tells("backup 1")
	c.opens()
}

// What is up stays when an endpoint comes, though it would not be opened beside that one: so it is on Linux.
func TestEndpointThatComesClosesNothing(t *testing.T) {
	c, s := withEndpoints(t, Client, false, Limits{Subflows: 3, AddAddrAccepted: 1}, nil, "10.0.0.1", "10.1.0.1")
	c.event(RemoteAddrUp{2, ap("192.0.2.2:443")})
	c.opens("10.0.0.1 > 192.0.2.2:443")
	c.up("10.0.0.1", "192.0.2.2:443")
	s.set(s.limits, Endpoint{Addr: ip("10.1.0.1"), ID: 1, Flags: FlagSubflow | FlagFullmesh})
	c.opens("10.1.0.1 > "+server+" id 1", "10.1.0.1 > 192.0.2.2:443 id 1")
	two := c.up("10.1.0.1", server)
	three := c.up("10.1.0.1", "192.0.2.2:443")
	c.tells()
	s.set(s.limits, s.with(1, 0)...)
	c.tells(fmt.Sprint("close ", two), fmt.Sprint("close ", three))
}

// An endpoint with a device counts only while its address is on that device, or not known to be on another one.
func TestEndpointOfDevice(t *testing.T) {
	s := &source{limits: Limits{Subflows: 3}, list: []Endpoint{
		{Addr: ip("10.1.0.1"), ID: 1, Device: "wifi", Flags: FlagSubflow},
		{Addr: ip("10.2.0.1"), ID: 2, Device: "wifi", Flags: FlagSubflow},
		{Addr: ip("10.3.0.1"), ID: 3, Device: "lte", Flags: FlagSubflow},
	}}
	s.c = &conn{t: t, m: WithEndpoints(s)(), now: time.Unix(1_700_000_000, 0), nextID: 2}
	s.c.event(Established{
		Local: ap("10.0.0.1:50000"), Remote: ap(server), ID: 1, Locals: []netip.Addr{ip("10.0.0.1"), ip("10.1.0.1"), ip("10.2.0.1")},
		Devices: map[netip.Addr]string{ip("10.0.0.1"): "wifi", ip("10.1.0.1"): "wifi", ip("10.2.0.1"): "lte"},
	})
	s.c.opens("10.1.0.1 > " + server + " id 1")
	s.c.event(LocalAddrUp{Addr: ip("10.3.0.1"), Device: "wifi"})
	s.c.opens()
	s.c.event(LocalAddrDown{Addr: ip("10.2.0.1")})
	s.c.event(LocalAddrUp{Addr: ip("10.2.0.1"), Device: "wifi"})
	s.c.opens("10.2.0.1 > " + server + " id 2")
	s.c.event(LocalAddrDown{Addr: ip("10.3.0.1")})
	s.c.event(LocalAddrUp{Addr: ip("10.3.0.1"), Device: "lte"})
	s.c.opens("10.3.0.1 > " + server + " id 3")
	require.Error(t, Endpoint{Addr: ip("10.1.0.1"), Device: "two words"}.Check())
}
