package uplink

import (
	"fmt"
	"net/netip"
	"strings"
)

// step is one change of the system. Its text and what is carried out come from the same values.
type step interface {
	// do returns the commands that make the change.
	do() []string
	// undo returns the commands that undo it; none if it goes with the device.
	undo() []string
}

// deviceStep makes the TUN device. It takes the slot.
type deviceStep struct {
	slot  slot
	alias string
	mtu   int
}

func (s deviceStep) do() []string {
	return []string{
		fmt.Sprintf("ip tuntap add dev %s mode tun", s.slot.name()),
		fmt.Sprintf("ip link set dev %s alias '%s' mtu %d up", s.slot.name(), s.alias, s.mtu),
	}
}

func (s deviceStep) undo() []string {
	return []string{fmt.Sprintf("ip tuntap del dev %s mode tun", s.slot.name())}
}

// addressStep gives the device its pair of addresses.
type addressStep struct {
	slot slot
	pair pair
}

func (s addressStep) do() []string {
	nodad := ""
	if s.pair.system.Is6() {
		nodad = " nodad"
	}
	return []string{fmt.Sprintf("ip address add %v peer %v dev %s%s", s.pair.system, s.pair.host, s.slot.name(), nodad)}
}

func (addressStep) undo() []string { return nil }

// natStep makes the nftables table of one family.
type natStep struct {
	slot    slot
	uplink  string
	host    netip.Addr // the host's end of the device
	forward []Forward
	// notes are the kernel's variables that will be changed, with the values to be restored.
	notes []sysctlStep
}

// The chains of the table. That of the notes is never run through.
const (
	chainPost  = "postrouting"
	chainPre   = "prerouting"
	chainNotes = "notes"

	// The priorities of srcnat and dstnat.
	priorityPost = 100
	priorityPre  = -100
)

// family is the table's: ip or ip6.
func (s natStep) family() string {
	if s.host.Is6() {
		return "ip6"
	}
	return "ip"
}

func (s natStep) do() []string {
	table := s.family() + " " + s.slot.name()
	lines := []string{
		"nft 'add table " + table + "'",
		fmt.Sprintf("nft 'add chain %s %s { type nat hook postrouting priority %d; }'", table, chainPost, priorityPost),
		fmt.Sprintf(`nft 'add rule %s %s %s saddr %v oifname "%s" masquerade'`, table, chainPost, s.family(), s.host, s.uplink),
	}
	if len(s.forward) > 0 {
		lines = append(lines, fmt.Sprintf("nft 'add chain %s %s { type nat hook prerouting priority %d; }'", table, chainPre, priorityPre))
	}
	for _, f := range s.forward {
		lines = append(lines, fmt.Sprintf(`nft 'add rule %s %s iifname "%s" fib daddr type local tcp dport %d dnat to %v'`,
			table, chainPre, s.uplink, f.Port, netip.AddrPortFrom(s.host, f.To)))
	}
	if len(s.notes) > 0 {
		lines = append(lines, fmt.Sprintf("nft 'add chain %s %s'", table, chainNotes))
	}
	for _, n := range s.notes {
		lines = append(lines, fmt.Sprintf(`nft 'add rule %s %s counter comment "%s"'`, table, chainNotes, n.note()))
	}
	return lines
}

func (s natStep) undo() []string {
	return []string{fmt.Sprintf("nft 'delete table %s %s'", s.family(), s.slot.name())}
}

// routeStep adds a route to the slot's table.
type routeStep struct {
	slot slot
	route
	// dev is the uplink; "" makes the route unreachable.
	dev   string
	index int // dev's
}

// lastMetric is that of the unreachable route, behind all others.
const lastMetric = 1e9

func (s routeStep) text() string {
	var b strings.Builder
	if s.dst.Addr().Is6() {
		b.WriteString("-6 ")
	}
	b.WriteString("route %s ")
	if s.dev == "" {
		b.WriteString("unreachable ")
	}
	if s.dst.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(s.dst.String())
	}
	if s.via.IsValid() {
		fmt.Fprintf(&b, " via %v", s.via)
	}
	if s.dev != "" {
		fmt.Fprintf(&b, " dev %s", s.dev)
	}
	if s.onlink {
		b.WriteString(" onlink")
	}
	fmt.Fprintf(&b, " table %d", s.slot.table())
	if s.metric > 0 {
		fmt.Fprintf(&b, " metric %d", s.metric)
	}
	fmt.Fprintf(&b, " proto %d", protocol)
	return b.String()
}

func (s routeStep) do() []string   { return []string{"ip " + fmt.Sprintf(s.text(), "add")} }
func (s routeStep) undo() []string { return []string{"ip " + fmt.Sprintf(s.text(), "del")} }

// ruleStep sends what comes from the host to the slot's table.
type ruleStep struct {
	slot slot
	host netip.Addr
}

func (s ruleStep) text(verb string) []string {
	family := ""
	if s.host.Is6() {
		family = "-6 "
	}
	return []string{fmt.Sprintf("ip %srule %s pref %d from %v lookup %d protocol %d",
		family, verb, s.slot.preference(), s.host, s.slot.table(), protocol)}
}

func (s ruleStep) do() []string   { return s.text("add") }
func (s ruleStep) undo() []string { return s.text("del") }

// sysctlStep sets a variable of the kernel.
type sysctlStep struct {
	name, value string
	// old is what to restore; "" if the variable goes with the device.
	old string
}

func (s sysctlStep) do() []string { return []string{"sysctl -w " + s.name + "=" + s.value} }

func (s sysctlStep) undo() []string {
	if s.old == "" {
		return nil
	}
	return []string{"sysctl -w " + s.note()}
}

// note is what the nftables table keeps of it.
func (s sysctlStep) note() string { return s.name + "=" + s.old }

// parseNote reads what note wrote. Only variables that could be ours are taken.
func parseNote(text string) (name, old string, ok bool) {
	name, old, ok = strings.Cut(text, "=")
	if !strings.HasPrefix(name, "net/ipv4/conf/") && !strings.HasPrefix(name, "net/ipv6/conf/") || strings.Contains(name, "..") {
		return "", "", false
	}
	return name, old, ok && len(old) == 1 && old[0] >= '0' && old[0] <= '9'
}
