package uplink

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Cleanup undoes what processes that died have left behind in the calling thread's network
// namespace, and returns the commands that would do the same. What belongs to a process that runs
// stays. New does it, too.
func Cleanup() (undone []string, err error) {
	err = onThread(func(k *kernel, _ func(error)) error {
		unlock, err := k.lock()
		if err != nil {
			return fmt.Errorf("uplink: %w", err)
		}
		defer unlock()
		undone, err = k.cleanup()
		if err != nil {
			return fmt.Errorf("uplink: cleaning up: %w", err)
		}
		return nil
	})
	return undone, err
}

// cleanup undoes what belongs to slots without a device. The namespace is locked.
func (k *kernel) cleanup() (undone []string, err error) {
	links, err := dump(k.nl.LinkList)
	if err != nil {
		return nil, err
	}
	live := map[slot]bool{}
	for _, l := range links {
		if s, ok := parseSlot(l.Attrs().Name); ok {
			live[s] = true
		}
	}
	var errs []error
	note := func(command string, err error) {
		if err = unlessGone(err); err != nil {
			errs = append(errs, err)
			return
		}
		undone = append(undone, command)
	}
	k.cleanRules(live, note)
	k.cleanRoutes(live, note)
	k.cleanTables(live, note)
	return undone, errors.Join(errs...)
}

// dead reports whether a number is that of a slot whose process is gone.
func dead(live map[slot]bool, number, first int) bool {
	s := slot(number - first)
	return s >= 0 && s < maxSlots && !live[s]
}

func (k *kernel) cleanRules(live map[slot]bool, note func(string, error)) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rules, err := dump(func() ([]netlink.Rule, error) { return k.nl.RuleList(family) })
		if err != nil {
			note("", err)
		}
		for _, r := range rules {
			if r.Protocol != protocol || !dead(live, r.Priority, firstPreference) || r.Table-firstTable != r.Priority-firstPreference {
				continue
			}
			r.Family = family
			note(fmt.Sprintf("ip rule del pref %d from %v lookup %d protocol %d", r.Priority, r.Src, r.Table, protocol), k.nl.RuleDel(&r))
		}
	}
}

func (k *kernel) cleanRoutes(live map[slot]bool, note func(string, error)) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := dump(func() ([]netlink.Route, error) {
			return k.nl.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			note("", err)
		}
		for _, r := range routes {
			if r.Protocol == protocol && dead(live, r.Table, firstTable) {
				note(fmt.Sprintf("ip route del %v table %d proto %d", r.Dst, r.Table, protocol), k.nl.RouteDel(&r))
			}
		}
	}
}

// cleanTables restores what the tables have noted, unless a live slot has noted it, too, and
// removes the tables.
func (k *kernel) cleanTables(live map[slot]bool, note func(string, error)) {
	list, err := tables()
	if err != nil {
		note("", err)
	}
	kept := map[string]bool{}
	for _, t := range list {
		for name := range t.notes {
			kept[name] = kept[name] || live[t.slot]
		}
	}
	for _, t := range list {
		if live[t.slot] {
			continue
		}
		for name, old := range t.notes {
			if !kept[name] {
				kept[name] = true
				s := sysctlStep{name: name, old: old}
				note(s.undo()[0], restoreSysctl(name, old))
			}
		}
		note(fmt.Sprintf("nft 'delete table %s %s'", t.family, t.slot.name()), deleteTable(t.family, t.slot.name()))
	}
}
