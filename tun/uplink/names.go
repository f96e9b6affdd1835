package uplink

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A slot is one uplink in use: its number is in all names and numbers. Whoever holds the device
// of that name owns the slot.
type slot int

const (
	// maxSlots is how many uplinks are in use at once, by all processes.
	maxSlots = 64
	// namePrefix begins the names of devices and nftables tables.
	namePrefix = "gomptcp"
	// protocol marks rules and routes (RTPROT_*).
	protocol = 213
	// firstPreference is that of slot 0's rule. It is low: a VPN's rules for all packets come later.
	firstPreference = 2130
	// firstTable is slot 0's routing table.
	firstTable = 213000
)

// name is that of the slot's device and nftables tables.
func (s slot) name() string { return namePrefix + strconv.Itoa(int(s)) }

func (s slot) preference() int { return firstPreference + int(s) }
func (s slot) table() int      { return firstTable + int(s) }

// parseSlot returns the slot that a device or an nftables table belongs to.
func parseSlot(name string) (s slot, ok bool) {
	digits, ok := strings.CutPrefix(name, namePrefix)
	n, err := strconv.Atoi(digits)
	s = slot(n)
	return s, ok && err == nil && n >= 0 && n < maxSlots && s.name() == name
}

// freeSlot returns the lowest slot without a device.
func freeSlot(links []link) (slot, error) {
	taken := map[slot]bool{}
	for _, l := range links {
		if s, ok := parseSlot(l.name); ok {
			taken[s] = true
		}
	}
	for s := range slot(maxSlots) {
		if !taken[s] {
			return s, nil
		}
	}
	return 0, fmt.Errorf("all %d devices called %s0 and so on are in use", maxSlots, namePrefix)
}

// pair is the two addresses of a device: the system's end and the host's.
type pair struct{ system, host netip.Addr }

// Where the pairs come from: 10.213.N.0/30 of slot N and so on. The first network that the
// machine has no other use for is taken.
var (
	networks4 = []netip.Prefix{netip.MustParsePrefix("10.213.0.0/16"), netip.MustParsePrefix("172.29.0.0/16"), netip.MustParsePrefix("198.18.0.0/16")}
	networks6 = []netip.Prefix{netip.MustParsePrefix("fd67:6d70:7463::/48"), netip.MustParsePrefix("fd67:6d70:7464::/48")}
)

// pairFor returns the slot's addresses from the first network that overlaps nothing of the links.
func (s slot) pairFor(networks []netip.Prefix, links []link) (pair, error) {
	for _, n := range networks {
		if inUse(n, links) {
			continue
		}
		b := n.Addr().AsSlice()
		if n.Addr().Is4() {
			b[2] = byte(s)
		} else {
			b[7] = byte(s)
		}
		last := len(b) - 1
		var p pair
		b[last] = 1
		p.system, _ = netip.AddrFromSlice(b)
		b[last] = 2
		p.host, _ = netip.AddrFromSlice(b)
		return p, nil
	}
	return pair{}, fmt.Errorf("all private networks that could be used are in use elsewhere: %v", networks)
}

// inUse reports whether an address or a route, other than a default route, of a link that is
// none of our devices overlaps the network.
func inUse(n netip.Prefix, links []link) bool {
	for _, l := range links {
		if _, ours := parseSlot(l.name); ours {
			continue
		}
		for _, a := range l.addrs {
			if n.Contains(a.Addr()) {
				return true
			}
		}
		for _, r := range l.routes {
			if r.dst.Bits() > 0 && r.dst.Overlaps(n) {
				return true
			}
		}
	}
	return false
}
