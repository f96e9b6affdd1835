package uplink

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// rig is a machine with a device whose packets leave by one of two interfaces.
func rig() []link {
	return []link{
		{name: "mp0", index: 1, enabled: true}, // without carrier, as long as nobody has opened it
		{name: "wlan0", index: 2, enabled: true, up: true, addrs: prefixes("192.168.1.50/24", "2001:db8::50/64")},
	}
}

func TestFooting(t *testing.T) {
	p := Path{Device: "mp0", Addrs: prefixes("10.71.0.2/24"), Uplink: "wlan0"}
	stands := func(change func(l []link)) bool {
		links := rig()
		change(links)
		_, ok := p.footing(links)
		return ok
	}
	require.True(t, stands(func([]link) {}))
	require.False(t, stands(func(l []link) { l[0].enabled = false }), "the device is switched off")
	require.False(t, stands(func(l []link) { l[0].name = "other" }), "the device is gone")
	require.False(t, stands(func(l []link) { l[1].up = false }), "no carrier")
	require.False(t, stands(func(l []link) { l[1].name = "other" }), "the uplink is gone")
	require.False(t, stands(func(l []link) { l[1].addrs = nil }), "no address")
	require.False(t, stands(func(l []link) { l[1].addrs = prefixes("2001:db8::50/64") }), "none of the family")

	p.Addrs = prefixes("10.71.0.2/24", "fd71::2/64")
	both, _ := p.footing(rig())
	require.Equal(t, p.Addrs, both.hosts)
	links := rig()
	links[1].addrs = prefixes("2001:db8::50/64")
	one, _ := p.footing(links)
	require.Equal(t, prefixes("fd71::2/64"), one.hosts, "what works is used")
	require.False(t, one.holds(both), "and the other family, when it comes")

	p.Uplink = ""
	require.True(t, stands(func(l []link) { l[1].up = false }), "only the device counts")
	require.False(t, stands(func(l []link) { l[0].enabled = false }))
}

// A path that works is left alone when something is added, and only then.
func TestFootingHolds(t *testing.T) {
	p := Path{Device: "mp0", Addrs: prefixes("10.71.0.2/24"), Uplink: "wlan0"}
	holds := func(change func(l []link)) bool {
		before, _ := p.footing(rig())
		links := rig()
		change(links)
		after, _ := p.footing(links)
		return before.holds(after)
	}
	require.True(t, holds(func([]link) {}))
	require.True(t, holds(func(l []link) { l[1].addrs = append(prefixes("192.168.1.7/24"), l[1].addrs...) }))
	require.True(t, holds(func(l []link) { l[1].addrs = prefixes("192.168.1.50/24") }), "the other family is none of its business")
	require.False(t, holds(func(l []link) { l[1].addrs = prefixes("192.168.1.51/24") }), "another address")
	p.Addrs = prefixes("10.71.0.2/24", "fd71::2/64")
	require.False(t, holds(func(l []link) { l[1].addrs = prefixes("192.168.1.50/24") }), "a family less")
	require.False(t, holds(func(l []link) { l[0].index = 7 }), "another device of that name")
	require.False(t, holds(func(l []link) { l[1].index = 7 }), "another interface of that name")
}

func TestWatchConfigErrors(t *testing.T) {
	host := struct{ Host }{}
	path := Path{Device: "mp0", Addrs: prefixes("10.71.0.2/24")}
	for want, cfg := range map[string]WatchConfig{
		"Paths is empty": {Host: host},
		"no Device":      {Host: host, Paths: []Path{{Addrs: path.Addrs}}},
		"or no Addrs":    {Host: host, Paths: []Path{path, {Device: "mp1"}}},
		"mp0 twice":      {Host: host, Paths: []Path{path, path}},
		"Host is nil":    {Paths: []Path{path}},
	} {
		_, err := Watch(cfg)
		require.ErrorContains(t, err, want)
	}
}
