package uplink

import (
	"cmp"
	"math"
	"net/netip"
	"path"
	"slices"
)

// snapshot is what the plans are made from: the system at one moment.
type snapshot struct {
	links []link
	// read returns a variable of the kernel; names are as below /proc/sys.
	read func(name string) (value string, ok bool)
	// noted has the variables that were changed by a process that runs, or died, with the values
	// from before.
	noted map[string]string
}

// link is an interface of the system.
type link struct {
	name     string
	index    int
	loopback bool
	// enabled: it is switched on. up: it has carrier, too.
	enabled, up bool
	mtu         int
	// addrs are those of global scope that stay, sorted.
	addrs []netip.Prefix
	// routes are those of the main table through it, sorted.
	routes []route
}

// route is one to a network, through a gateway if via is valid.
type route struct {
	dst    netip.Prefix
	via    netip.Addr
	metric int
	// onlink: the gateway is on the link though its address does not say so.
	onlink bool
}

// is4 and is6 are the families.
func is4(a netip.Addr) bool { return a.Is4() }
func is6(a netip.Addr) bool { return a.Is6() }

// has reports whether the link has an address and a route of a family.
func (l *link) has(family func(netip.Addr) bool) bool {
	return slices.ContainsFunc(l.addrs, func(p netip.Prefix) bool { return family(p.Addr()) }) &&
		slices.ContainsFunc(l.routes, func(r route) bool { return family(r.dst.Addr()) })
}

// minMTU6 is the least MTU of a link for IPv6 (RFC 8200 section 5).
const minMTU6 = 1280

func (l *link) hasIPv4() bool { return l.has(is4) }
func (l *link) hasIPv6() bool { return l.mtu >= minMTU6 && l.has(is6) }

// defaultMetric is the lowest of the link's default routes.
func (l *link) defaultMetric() (metric int, ok bool) {
	metric = math.MaxInt
	for _, r := range l.routes {
		if r.dst.Bits() == 0 && r.metric < metric {
			metric, ok = r.metric, true
		}
	}
	return metric, ok
}

// choose returns the links that are uplinks now, the best first.
func choose(match []string, links []link) []link {
	var chosen []link
	for _, l := range links {
		_, ours := parseSlot(l.name)
		if l.up && !l.loopback && !ours && (l.hasIPv4() || l.hasIPv6()) && matches(match, &l) {
			chosen = append(chosen, l)
		}
	}
	slices.SortFunc(chosen, func(a, b link) int {
		am, _ := a.defaultMetric()
		bm, _ := b.defaultMetric()
		return cmp.Or(cmp.Compare(am, bm), cmp.Compare(a.name, b.name))
	})
	return chosen
}

func matches(match []string, l *link) bool {
	return slices.ContainsFunc(match, func(m string) bool {
		if m == Auto {
			_, ok := l.defaultMetric()
			return ok
		}
		ok, _ := path.Match(m, l.name)
		return ok
	})
}

// same reports whether two looks at an uplink call for the same set-up.
func (l *link) same(o *link) bool {
	return l.name == o.name && l.index == o.index && l.mtu == o.mtu &&
		slices.Equal(l.addrs, o.addrs) && slices.Equal(l.routes, o.routes)
}
