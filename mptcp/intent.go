package mptcp

import (
	"slices"

	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
)

// Intent says what several paths are for. It stands for a packet scheduler and a path manager, as the
// multipath service types of Apple's systems do, whose names and meanings these are
// (URLSessionConfiguration.MultipathServiceType in Apple's documentation). Either is replaced by
// one that is given beside it.
//
// The peer decides about what it sends. It is told which paths are backups, and with Balanced and Interactive also
// which suit the moment: see Config.NoSteering.
type Intent uint8

const (
	// Balanced is the zero value, the default: all paths as far as they make a transfer end sooner, and
	// none that would make it end later. scheduler.Earliest and pathmgr.Default. Apple
	// has no such type; its zero value is one path only.
	Balanced Intent = iota
	// Handover is for what must not break, and for second paths that cost money: one path carries everything,
	// and the others are there as backups before they are needed ("seamless handover between Wi-Fi and cellular
	// in order to preserve the connection"). scheduler.Backup and pathmgr.Backup.
	Handover
	// Interactive is for small things that somebody waits for ("attempts to use the lowest-latency interface"):
	// requests, messages and the ends of transfers go on all paths at once, the copy that comes first
	// counts, and the rest goes where it arrives first. scheduler.RedundantTail and pathmgr.Default. Small
	// data costs as many times its bytes as there are paths. For the answers the peer is steered to the path that
	// loses nothing, even if that is somewhat farther.
	Interactive
	// Aggregate is for bulk data ("aggregates the capacities of other Multipath options in an attempt to
	// increase throughput and minimize latency"): both ends use all paths from the beginning, for the peer is not
	// steered. scheduler.Earliest and pathmgr.Default.
	Aggregate

	intents // how many there are
)

var intentNames = [intents]string{"balanced", "handover", "interactive", "aggregate"}

// String returns the name, as IntentByName takes it.
func (i Intent) String() string {
	if i >= intents {
		return "unknown"
	}
	return intentNames[i]
}

// IntentByName returns the intent called name; false if there is none.
func IntentByName(name string) (Intent, bool) {
	i := slices.Index(intentNames[:], name)
	return Intent(max(i, 0)), i >= 0
}

// IntentNames returns all names that IntentByName knows, the default first.
func IntentNames() []string { return slices.Clone(intentNames[:]) }

// Scheduler is the packet scheduler that the intent stands for.
func (i Intent) Scheduler() scheduler.Factory {
	switch i {
	case Handover:
		return scheduler.Backup
	case Interactive:
		return scheduler.RedundantTail
	default:
		return scheduler.Earliest
	}
}

// PathManager is the path manager that the intent stands for.
func (i Intent) PathManager() pathmgr.Factory {
	if i == Handover {
		return pathmgr.Backup
	}
	return pathmgr.Default
}
