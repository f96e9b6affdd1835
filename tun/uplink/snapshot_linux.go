package uplink

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// retryDumps is how often a list is asked for again that changed while it was read.
const retryDumps = 5

// dump calls a function that lists something until it has got a consistent answer.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range retryDumps {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, nil
}

// snapshot looks at the system.
func (k *kernel) snapshot() (*snapshot, error) {
	links, err := dump(k.nl.LinkList)
	if err != nil {
		return nil, err
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return k.nl.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	snap := &snapshot{read: readSysctl, noted: map[string]string{}}
	byIndex := map[int]*link{}
	for _, l := range links {
		a := l.Attrs()
		snap.links = append(snap.links, link{
			name: a.Name, index: a.Index, mtu: a.MTU, loopback: a.Flags&net.FlagLoopback != 0,
			enabled: a.RawFlags&unix.IFF_UP != 0,
			up:      a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0,
		})
	}
	for i := range snap.links {
		byIndex[snap.links[i].index] = &snap.links[i]
	}
	for _, a := range addrs {
		p, ok := prefix(a.IPNet)
		// Neither addresses that pass nor an IPv4 subnet's further ones (IFA_F_SECONDARY is
		// IFA_F_TEMPORARY), which masquerading does not use.
		const passing = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_TEMPORARY | unix.IFA_F_DEPRECATED
		if l := byIndex[a.LinkIndex]; l != nil && ok && a.Scope == int(netlink.SCOPE_UNIVERSE) && a.Flags&passing == 0 {
			l.addrs = append(l.addrs, p)
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := dump(func() ([]netlink.Route, error) { return k.nl.RouteList(nil, family) })
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			addRoute(byIndex, family, &r)
		}
	}
	for i := range snap.links {
		snap.links[i].sort()
	}
	return snap, nil
}

// addRoute notes a route of the main table with the links that it uses.
func addRoute(byIndex map[int]*link, family int, r *netlink.Route) {
	if r.Type != unix.RTN_UNICAST {
		return
	}
	all := netip.IPv4Unspecified()
	if family == netlink.FAMILY_V6 {
		all = netip.IPv6Unspecified()
	}
	dst, ok := prefix(r.Dst)
	if !ok {
		dst = netip.PrefixFrom(all, 0)
	}
	if dst.Addr().IsLinkLocalUnicast() || dst.Addr().IsMulticast() {
		return
	}
	hops := []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Flags: r.Flags}}
	if len(r.MultiPath) > 0 {
		hops = r.MultiPath
	}
	for _, h := range hops {
		via, _ := netip.AddrFromSlice(h.Gw)
		if l := byIndex[h.LinkIndex]; l != nil {
			l.routes = append(l.routes, route{dst, via.Unmap(), r.Priority, h.Flags&int(netlink.FLAG_ONLINK) != 0})
		}
	}
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

// sort puts what has no order of its own in one, so that looks can be compared.
func (l *link) sort() {
	slices.SortFunc(l.addrs, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	slices.SortFunc(l.routes, func(a, b route) int {
		return cmp.Or(a.dst.Addr().Compare(b.dst.Addr()), cmp.Compare(a.dst.Bits(), b.dst.Bits()),
			cmp.Compare(a.metric, b.metric), a.via.Compare(b.via))
	})
	l.routes = slices.Compact(l.routes)
}
