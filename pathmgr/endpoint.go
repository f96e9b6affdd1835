package pathmgr

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

// EndpointFlags say what an Endpoint is for; the names are those of `ip mptcp endpoint`.
type EndpointFlags uint8

const (
	// FlagSubflow: a client opens a subflow from the address to the peer's initial address.
	FlagSubflow EndpointFlags = 1 << iota
	// FlagSignal: the address is announced to the peer.
	FlagSignal
	// FlagBackup: subflows from the address are for use only when nothing else works.
	FlagBackup
	// FlagFullmesh: a subflow is opened from the address to each one that the peer announces.
	FlagFullmesh
	// FlagLaminar: the address takes one of the addresses that the peer announces, the first that no
	// other laminar one has taken.
	FlagLaminar
)

// flagNames are in the order in which Linux shows them.
var flagNames = []struct {
	flag EndpointFlags
	name string
}{
	{FlagSubflow, "subflow"}, {FlagSignal, "signal"}, {FlagBackup, "backup"}, {FlagFullmesh, "fullmesh"}, {FlagLaminar, "laminar"},
}

// FlagByName returns the flag that `ip mptcp endpoint` calls name; false if there is none.
func FlagByName(name string) (EndpointFlags, bool) {
	for _, f := range flagNames {
		if f.name == name {
			return f.flag, true
		}
	}
	return 0, false
}

// Endpoint is a local address of the host and what it is for, as `ip mptcp endpoint add` sets it.
type Endpoint struct {
	// Addr is the address. One that the host does not have now is kept until it comes; with
	// FlagSignal it may be one that the host never has, since a NAT maps it.
	Addr netip.Addr
	// Port is announced with Addr, with FlagSignal only; 0: none.
	Port uint16
	// ID names the endpoint, and is the address ID on the wire in connections in which the address
	// and the ID are not otherwise taken: that of the initial subflow is always 0. endpoints.Set.Add gives
	// the least free one for 0.
	ID uint8
	// Maps is the address of the host to which a NAT maps Addr, with FlagSignal only: they share one
	// address ID on the wire. The zero Addr: none.
	Maps  netip.Addr
	Flags EndpointFlags
	// Device is the name of a device of the host: the endpoint does not count while Addr (or Maps, if that is set)
	// is on another one. Empty: any.
	Device string
}

// String shows it as `ip mptcp endpoint show` does, in words that endpoints.Parse reads.
func (ep Endpoint) String() string {
	s := ep.Addr.String()
	if ep.ID != 0 {
		s += fmt.Sprintf(" id %d", ep.ID)
	}
	if ep.Port != 0 {
		s += fmt.Sprintf(" port %d", ep.Port)
	}
	for _, f := range flagNames {
		if ep.Flags&f.flag != 0 {
			s += " " + f.name
		}
	}
	if ep.Device != "" {
		s += " dev " + ep.Device
	}
	if ep.Maps.IsValid() {
		s += " maps " + ep.Maps.String()
	}
	return s
}

// Limits are what `ip mptcp limits` sets, 0 to 63 each.
type Limits struct {
	// Subflows is how many a connection may have beside the initial one; mptcp.Config.MaxSubflows
	// bounds them, too. One that the peer opens beyond that is closed.
	Subflows int
	// AddAddrAccepted is how many announced addresses of the peer are used.
	AddAddrAccepted int
}

// DefaultLimits are those that Linux begins with: two further subflows, no announced address is accepted.
var DefaultLimits = Limits{Subflows: 2}

// maxLimit bounds each of Limits.
const maxLimit = 63

// Check returns an error if a limit is out of range.
func (l Limits) Check() error {
	if l.Subflows < 0 || l.Subflows > maxLimit || l.AddAddrAccepted < 0 || l.AddAddrAccepted > maxLimit {
		return fmt.Errorf("pathmgr: limits %+v: not within 0 to %d", l, maxLimit)
	}
	return nil
}

// EndpointSource has the endpoints and limits that apply now; an *endpoints.Set (package
// pathmgr/endpoints) does.
type EndpointSource interface {
	// Show returns what applies now. The list is only read, and never changes later.
	Show() ([]Endpoint, Limits)
	// Watch is Watcher.Watch.
	Watch(poke func()) (stop func())
}

// fixed is a source that never changes.
type fixed struct{ limits Limits }

func (f fixed) Show() ([]Endpoint, Limits) { return nil, f.limits }

func (fixed) Watch(func()) (stop func()) { return func() {} }

// Check returns what is wrong with an endpoint, nil if nothing is.
func (ep Endpoint) Check() error {
	switch signal := ep.Flags&FlagSignal != 0; {
	case !ep.Addr.IsValid() || ep.Addr.IsUnspecified() || ep.Addr.IsMulticast() || ep.Addr.Zone() != "":
		return fmt.Errorf("pathmgr: %v is no address for an endpoint", ep.Addr)
	case ep.Flags&FlagFullmesh != 0 && signal:
		return errors.New("pathmgr: an endpoint is fullmesh or signal, not both")
	case ep.Port != 0 && !signal:
		return errors.New("pathmgr: a port is only announced; the endpoint needs FlagSignal")
	case ep.Maps.IsValid() && (!signal || ep.Maps.Is4() != ep.Addr.Is4()):
		return errors.New("pathmgr: Maps is an address of the same family as Addr, and the endpoint needs FlagSignal")
	case strings.ContainsFunc(ep.Device, unicode.IsSpace):
		return fmt.Errorf("pathmgr: %q is no name of a device", ep.Device)
	}
	return nil
}
