package scheduler

import (
	"maps"
	"slices"
)

var schedulers = map[string]Factory{
	"backup":        Backup,
	"blest":         BLEST,
	"earliest":      Earliest,
	"ecf":           ECF,
	"minrtt":        MinRTT,
	"redundant":     Redundant,
	"redundanttail": RedundantTail,
	"roundrobin":    RoundRobin,
}

// ByName returns the factory of the scheduler called name; false if there is none.
func ByName(name string) (Factory, bool) {
	f, ok := schedulers[name]
	return f, ok
}

// Names returns all names that ByName knows, sorted.
func Names() []string { return slices.Sorted(maps.Keys(schedulers)) }
