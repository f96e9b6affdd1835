package congestion

import (
	"maps"
	"slices"
)

var controllers = map[string]Factory{
	"bbr":   NewBBR,
	"cubic": NewCubic,
	"lia":   NewLIA,
}

// ByName returns the factory of the controller called name; false if there is none.
func ByName(name string) (Factory, bool) {
	f, ok := controllers[name]
	return f, ok
}

// Names returns all names that ByName knows, sorted.
func Names() []string { return slices.Sorted(maps.Keys(controllers)) }
