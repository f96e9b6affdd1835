// Package pathmgr decides which subflows a connection has: it is given events and
// answers with actions.
//
// A Manager is pure policy, without I/O, clock, goroutine or lock. Those of this package are there by
// name, see ByName, and by Factory: Default, Fullmesh, Backup, NDiffPorts, WithEndpoints, Manual, None. But
// for the last two they share one engine (mesh.go): a manager says which subflows there should be, given
// the addresses of both ends, and the engine opens what is missing and tries again what was lost.
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
	// Devices has the name of the device of each of Locals; nil: not known.
	Devices map[netip.Addr]string
	// RemoteDeniesInitial: the peer set flag C: no further subflows to its initial
	// address and port.
	RemoteDeniesInitial bool
}

// LocalAddrUp says that a local address (or its device) appeared.
type LocalAddrUp struct {
	Addr netip.Addr
	// Device is the name of its device; empty: not known.
	Device string
}

// LocalAddrDown says that a local address (or its device) went away. The subflows from it have
// ended or end now: their SubflowDown may come later.
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
	// RemoteID is the peer's ID of its address, as in RemoteAddrUp; 0 is that of the initial
	// subflow.
	RemoteID uint8
	// Incoming: the peer opened it.
	Incoming bool
	Backup   bool
	// Replaces is the ID of a subflow between the same addresses that ends now, since this one was opened
	// in its place: the peer did not go on there after a long silence. 0: none.
	Replaces uint32
}

// SubflowDown says that a subflow has ended, or an attempt to open one has failed (then ID is one
// reported in no SubflowUp, or 0 if not even a SYN was sent).
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
	// Reason is the reason that the peer gave in MP_TCPRST, 0 if it gave none; it MAY guide
	// when to try again.
	Reason uint8
	// RTT is its smoothed round-trip time; 0 if there was no measurement.
	RTT time.Duration
}

// PriorityChanged says that the peer asked for a subflow to be used only when nothing else
// works, or took that back (MP_PRIO, RFC 8684 section 3.3.8).
type PriorityChanged struct {
	ID     uint32
	Backup bool
}

// Resumed says that the machine was suspended and goes on: what waits for a time has waited long
// enough, and addresses may work that did not.
type Resumed struct{}

// Timer says that a time asked for by WakeAt has come.
type Timer struct{}

// Changed says that the policy has changed from outside, see Watcher.
type Changed struct{}

func (Established) event()     {}
func (LocalAddrUp) event()     {}
func (LocalAddrDown) event()   {}
func (RemoteAddrUp) event()    {}
func (RemoteAddrDown) event()  {}
func (SubflowUp) event()       {}
func (SubflowDown) event()     {}
func (PriorityChanged) event() {}
func (Resumed) event()         {}
func (Timer) event()           {}
func (Changed) event()         {}

// Action is one of the action types of this package.
type Action interface{ action() }

// Open asks for a subflow from a local address to a remote one. It ends in SubflowUp or
// SubflowDown.
type Open struct {
	Local  netip.Addr
	Remote netip.AddrPort
	// Backup sets the B flag: the peer should use it only when nothing else works.
	Backup bool
	// LocalID is the address ID that Local should have in this connection, if it has none yet; 0: the
	// next free one. When another address has it the subflow is not opened.
	LocalID uint8
	// Patience is how long the SYN and its repetitions may stay unanswered, up to 12 s; 0: 12 s.
	Patience time.Duration
}

// CloseSubflow ends a subflow.
type CloseSubflow struct{ ID uint32 }

// SetBackup asks the peer to use a subflow only when nothing else works, or takes that back
// (MP_PRIO, RFC 8684 section 3.3.8).
type SetBackup struct {
	ID     uint32
	Backup bool
}

// Announce tells the peer of an address at which it may open subflows (ADD_ADDR, RFC 8684
// section 3.4.1). It is repeated until the peer confirms it, a few times at most.
type Announce struct {
	// Addr with port 0 names no port: the peer takes the one it knows.
	Addr netip.AddrPort
	// Local is the address of the host to which a NAT maps Addr: both have one address ID then, so
	// that a withdrawal of Local means them. The zero Addr: there is no such NAT.
	Local netip.Addr
	// ID is the address ID that it should have in this connection, if it has none yet; 0: the next
	// free one. When another address has it nothing is announced.
	ID uint8
}

// Withdraw tells the peer that addresses are not to be used any more (REMOVE_ADDR, RFC 8684
// section 3.4.2), and closes the subflows from them. Those that the peer does not know are
// passed over.
type Withdraw struct{ Addrs []netip.Addr }

// WakeAt asks for a Timer event at a time; a later WakeAt replaces it.
type WakeAt struct{ At time.Time }

func (Open) action()         {}
func (CloseSubflow) action() {}
func (SetBackup) action()    {}
func (Announce) action()     {}
func (Withdraw) action()     {}
func (WakeAt) action()       {}

// Manager is the path policy of one connection. All calls are made under the
// connection's lock; actions are carried out after it returned.
type Manager interface {
	// Name as used to select it, e.g. "default".
	Name() string
	// Handle is told what happened and returns what to do, in order.
	Handle(now time.Time, ev Event) []Action
}

// Watcher is a Manager whose policy may change from outside while the connection lives.
type Watcher interface {
	Manager
	// Watch is called once, before Established. From then on poke may be called to have Handle told
	// Changed: from any goroutine, but not from within Handle, nor with a lock held that Handle takes.
	// stop ends that; poke may be called once more while stop runs.
	Watch(poke func()) (stop func())
}

// Steerable is a Manager that has no wishes of its own as to which of its subflows are backups. If Steerable
// returns true, the connection may tell the peer what suits the moment (see Config.NoSteering of package mptcp);
// SetBackup and Open.Backup still have the last word.
type Steerable interface {
	Manager
	Steerable() bool
}

// Factory makes the Manager of a new connection.
type Factory func() Manager
