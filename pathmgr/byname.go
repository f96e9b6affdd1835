package pathmgr

import (
	"maps"
	"slices"
)

var managers = map[string]Factory{
	"backup":     Backup,
	"default":    Default,
	"endpoints":  WithEndpoints(fixed{DefaultLimits}),
	"fullmesh":   Fullmesh,
	"manual":     Manual,
	"ndiffports": NDiffPorts(DefaultPorts),
	"none":       None,
}

// ByName returns the factory of the manager called name; false if there is none. "ndiffports" has
// DefaultPorts; "endpoints" has no endpoint and Linux' limits, so that it only lets the peer open two
// subflows: see package pathmgr/endpoints.
func ByName(name string) (Factory, bool) {
	f, ok := managers[name]
	return f, ok
}

// Names returns all names that ByName knows, sorted.
func Names() []string { return slices.Sorted(maps.Keys(managers)) }
