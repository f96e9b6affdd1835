// Package pathmgr decides which subflows a connection has: it is given events and
// answers with actions.
//
// A Manager is pure policy, without I/O, clock, goroutine or lock.
package pathmgr

import (
	"net/netip"
	"time"
)

// Role says which end of the connection this host is.
type Role uint8

const (
	// Client opened the connection.
	Client Role = iota
	// Server accepted it.
	Server
)

// Event is one of the event types of this package.
type Event interface{ event() }

// Established says that the connection is fully established and subflows may be opened (RFC 8684
// section 3.1). It is the first event of a connection.
type Established struct {
	Role Role
	// Local and Remote are the addresses of the initial subflow, ID its subflow ID.
	Local, Remote netip.AddrPort
	ID            uint32
	// Locals are all addresses of the host that can be used now.
	Locals []netip.Addr
	// RemoteDeniesInitial: the peer set flag C: no further subflows to its initial
	// address and port.
	RemoteDeniesInitial bool
}

// LocalAddrUp says that a local address (or its device) appeared.
type LocalAddrUp struct{ Addr netip.Addr }

// LocalAddrDown says that a local address (or its device) went away. The subflows from it are
// already closed or being closed.
type LocalAddrDown struct{ Addr netip.Addr }

// RemoteAddrUp says that the peer announced an address (ADD_ADDR, verified). A zero port means the
// port of the subflow that carried it, which is filled in here.
type RemoteAddrUp struct {
	AddrID uint8
	Addr   netip.AddrPort
}

// RemoteAddrDown says that the peer withdrew an address (REMOVE_ADDR).
type RemoteAddrDown struct{ AddrID uint8 }

// SubflowUp says that a subflow is established, by whichever side.
type SubflowUp struct {
	ID            uint32
	Local, Remote netip.AddrPort
	// Incoming: the peer opened it.
	Incoming bool
	Backup   bool
}

// SubflowDown says that a subflow has ended, or an attempt to open one has failed (then ID is the one
// reported in no SubflowUp).
type SubflowDown struct {
	ID            uint32
	Local, Remote netip.AddrPort
	// Established: it had been up.
	Established bool
	// Err says why; nil for an orderly close.
	Err error
	// Permanent: the peer said that a new attempt is of no use (MP_TCPRST without the
	// transient flag, RFC 8684 section 3.6).
	Permanent bool
}

// Timer says that a time asked for by WakeAt has come.
type Timer struct{}

func (Established) event()    {}
func (LocalAddrUp) event()    {}
func (LocalAddrDown) event()  {}
func (RemoteAddrUp) event()   {}
func (RemoteAddrDown) event() {}
func (SubflowUp) event()      {}
func (SubflowDown) event()    {}
func (Timer) event()          {}

// Action is one of the action types of this package.
type Action interface{ action() }

// Open asks for a subflow from a local address to a remote one. It ends in SubflowUp or
// SubflowDown.
type Open struct {
	Local  netip.Addr
	Remote netip.AddrPort
	// Backup sets the B flag: the peer should use it only when nothing else works.
	Backup bool
}

// CloseSubflow ends a subflow.
type CloseSubflow struct{ ID uint32 }

// WakeAt asks for a Timer event at a time; a later WakeAt replaces it.
type WakeAt struct{ At time.Time }

func (Open) action()         {}
func (CloseSubflow) action() {}
func (WakeAt) action()       {}

// Manager is the path policy of one connection. All calls are made under the
// connection's lock; actions are carried out after it returned.
type Manager interface {
	// Name as used to select it, e.g. "default".
	Name() string
	// Handle is told what happened and returns what to do, in order.
	Handle(now time.Time, ev Event) []Action
}

// Factory makes the Manager of a new connection.
type Factory func() Manager
