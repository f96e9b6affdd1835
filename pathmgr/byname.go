package pathmgr

import (
	"maps"
	"slices"
)

var managers = map[string]Factory{
	"default": Default,
	"none":    None,
}

// ByName returns the factory of the manager called name; false if there is none.
func ByName(name string) (Factory, bool) {
	f, ok := managers[name]
	return f, ok
}

// Names returns all names that ByName knows, sorted.
func Names() []string { return slices.Sorted(maps.Keys(managers)) }
