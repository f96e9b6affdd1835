// Package scheduler decides which subflow takes the next chunk of a connection.
//
// A Scheduler is pure policy: a function of the snapshots it is given, without
// I/O, clock, goroutine or lock.
package scheduler

import (
	"net/netip"
	"time"
)

// Request describes the chunk to be placed.
type Request struct {
	// Now is the present time.
	Now time.Time
	// Size is the length of the chunk in bytes, at least 1. What a subflow takes may be less.
	Size int
	// Waiting is the number of bytes of the stream that were never placed, whether the window
	// has room for them or not. The chunk is part of them unless it is a Reinjection.
	Waiting int
	// Reinjection: the bytes were placed before, on subflow ReinjectionOf, and are to be
	// sent again elsewhere.
	Reinjection bool
	// ReinjectionOf is the Path.ID that held the bytes; meaningful with Reinjection.
	ReinjectionOf uint32
	// Opportunistic: a Reinjection that is only to open the peer's window sooner, which bytes on a slow
	// path keep full. Picking none costs no more than that.
	Opportunistic bool
	// SendWindow is the number of bytes that the peer's connection-level window still
	// takes.
	SendWindow int
	// Unacked is the number of bytes that were placed and that the peer's connection has not
	// confirmed (DATA_ACK): with SendWindow they are its whole window.
	Unacked int
}

// Path is a snapshot of one usable subflow: established, and with room for at least
// one segment unless Room says 0.
type Path struct {
	// ID identifies the subflow within its connection and is never used again.
	ID uint32
	// Local and Remote are the subflow's addresses.
	Local, Remote netip.AddrPort
	// Backup: the peer asked for data on this subflow only when no other is usable
	// (RFC 8684 section 3.3.8).
	Backup bool
	// LocalBackup: we asked the same of the peer. RFC 8684 lets us go on sending there; the
	// schedulers of this package do not, as Linux does not: such a subflow is for emergencies.
	LocalBackup bool
	// Stale: no progress for a while; new data belongs elsewhere.
	Stale bool
	// SRTT, RTTVar and MinRTT of the subflow; 0 if not yet measured.
	SRTT, RTTVar, MinRTT time.Duration
	// Carried is how many bytes were delivered within each of the round trips that SRTT tells of; 0 if not yet measured.
	Carried int
	// Cwnd is the congestion window, InFlight the bytes sent and not yet delivered,
	// Unsent the bytes placed and not yet sent.
	Cwnd, InFlight, Unsent int
	// Room is the number of bytes the subflow can take now.
	Room int
	// DeliveryRate is the recent rate in bytes/s, 0 if not yet measured. PacingRate is that at
	// which the subflow sends at most, 0 if it is not paced.
	DeliveryRate, PacingRate float64
	// Sent counts the payload bytes that left, each once; Lost bytes deemed lost; Retransmits
	// segments sent again.
	Sent, Lost, Retransmits uint64
	// LossRatio is the share of the segments sent in the last ten seconds or so that was lost, from 0 to 1.
	LossRatio float64
	// LastProgress is when the peer last acknowledged something new, or when something was
	// placed while nothing was outstanding; zero if that is not known.
	LastProgress time.Time
	// OldestSent is when the oldest segment left, for the last time, that is not acknowledged; zero if there is none.
	OldestSent time.Time
	// MSS is the payload of a full segment in bytes.
	MSS int
}

// Scheduler picks subflows for chunks. One Scheduler serves one connection; all
// calls are made under the connection's lock.
type Scheduler interface {
	// Name as used to select it, e.g. "minrtt".
	Name() string
	// Pick appends to picked the indexes of the paths that take the next chunk and
	// returns it. Picking several sends the same bytes on each (redundancy). Picking
	// none means to wait: Pick is called again when a window opens. Pick must not keep
	// paths.
	Pick(req Request, paths []Path, picked []int) []int
}

// Factory makes the Scheduler of a new connection.
type Factory func() Scheduler
