package uplink

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// plan is what sets up one uplink, in order. It is undone from the end.
type plan struct {
	slot   slot
	uplink link
	// hosts are the host's addresses on the device, one for each family.
	hosts []netip.Prefix
	steps []step
}

// newPlan plans the set-up of an uplink in a slot for the process pid.
func newPlan(s slot, up link, forward []Forward, snap *snapshot, pid int) (*plan, error) {
	p := &plan{slot: s, uplink: up}
	p.add(deviceStep{slot: s, alias: fmt.Sprintf("gomptcp: uplink %s, process %d", up.name, pid), mtu: up.mtu})
	families := []struct {
		wanted   bool
		is       func(netip.Addr) bool
		networks []netip.Prefix
		sysctls  func(s slot, up *link, snap *snapshot) []sysctlStep
	}{
		{up.hasIPv4(), is4, networks4, forwarding4},
		{up.hasIPv6(), is6, networks6, forwarding6},
	}
	for _, f := range families {
		if !f.wanted {
			continue
		}
		pair, err := s.pairFor(f.networks, snap.links)
		if err != nil {
			return nil, err
		}
		sysctls := f.sysctls(s, &up, snap)
		nat := natStep{slot: s, uplink: up.name, host: pair.host, forward: forward}
		for _, c := range sysctls {
			if c.old != "" {
				nat.notes = append(nat.notes, c)
			}
		}
		p.hosts = append(p.hosts, netip.PrefixFrom(pair.host, pair.host.BitLen()))
		// The notes come before what they note.
		p.add(addressStep{s, pair}, nat)
		p.addRoutes(f.is)
		p.add(ruleStep{s, pair.host})
		for _, c := range sysctls {
			p.add(c)
		}
	}
	return p, nil
}

func (p *plan) add(steps ...step) { p.steps = append(p.steps, steps...) }

// addRoutes gives the slot's table the uplink's routes of a family, those that make gateways
// reachable first, and an end: what has no route must not leave by another uplink, with an
// address that nobody knows.
func (p *plan) addRoutes(family func(netip.Addr) bool) {
	var direct, indirect []step
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	for _, r := range p.uplink.routes {
		if !family(r.dst.Addr()) {
			continue
		}
		step := routeStep{slot: p.slot, route: r, dev: p.uplink.name, index: p.uplink.index}
		if r.via.IsValid() {
			indirect = append(indirect, step)
		} else {
			direct = append(direct, step)
		}
	}
	if family(netip.IPv6Unspecified()) {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	p.add(direct...)
	p.add(indirect...)
	p.add(routeStep{slot: p.slot, route: route{dst: all, metric: lastMetric}})
}

// forwarding4 lets the kernel pass packets between device and uplink, and no others.
func forwarding4(s slot, up *link, snap *snapshot) []sysctlStep {
	const variable = "net/ipv4/conf/%s/forwarding"
	return slices.Concat(
		[]sysctlStep{{name: fmt.Sprintf(variable, s.name()), value: "1"}},
		snap.change(fmt.Sprintf(variable, up.name), "1"))
}

// forwarding6 is forwarding4 for IPv6. Before Linux 6.17 that takes forwarding between all
// interfaces, and forwarding ends that the kernel heeds router advertisements, unless it is told
// to heed them all the same.
func forwarding6(s slot, up *link, snap *snapshot) []sysctlStep {
	const variable, all = "net/ipv6/conf/%s/force_forwarding", "net/ipv6/conf/all/forwarding"
	if _, ok := snap.read(fmt.Sprintf(variable, up.name)); ok {
		return slices.Concat(
			[]sysctlStep{{name: fmt.Sprintf(variable, s.name()), value: "1"}},
			snap.change(fmt.Sprintf(variable, up.name), "1"))
	}
	if snap.original(all) != "0" {
		return nil
	}
	var steps []sysctlStep
	for _, l := range snap.links {
		if _, ours := parseSlot(l.name); ours {
			continue
		}
		if ra := "net/ipv6/conf/" + l.name + "/accept_ra"; snap.original(ra) == "1" {
			steps = append(steps, snap.change(ra, "2")...)
		}
		// Forwarding turned off everywhere turns it off here, too.
		own := "net/ipv6/conf/" + l.name + "/forwarding"
		_, noted := snap.noted[own]
		if now, _ := snap.read(all); snap.original(own) == "1" && (noted || now == "0") {
			steps = append(steps, sysctlStep{own, "1", "1"})
		}
	}
	return append(steps, snap.change(all, "1")...)
}

// original is the value that a variable had before any process changed it, "" if there is none.
func (snap *snapshot) original(name string) string {
	if old, ok := snap.noted[name]; ok {
		return old
	}
	v, _ := snap.read(name)
	return v
}

// change sets a variable unless that is its original value.
func (snap *snapshot) change(name, value string) []sysctlStep {
	if old := snap.original(name); old != "" && old != value {
		return []sysctlStep{{name, value, old}}
	}
	return nil
}

// String is the plan as text: what does it, and what undoes it.
func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# uplink %s: device %s\n", p.uplink.name, p.slot.name())
	for _, s := range p.steps {
		writeLines(&b, s.do())
	}
	fmt.Fprintf(&b, "# undone by\n")
	for _, s := range slices.Backward(p.steps) {
		writeLines(&b, s.undo())
	}
	return b.String()
}

func writeLines(b *strings.Builder, lines []string) {
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
}
