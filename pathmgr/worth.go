package pathmgr

import "net/netip"

// WorthTrying reports whether a subflow from local to remote, an address of the peer, may be of
// any use. initial is the peer's address of the initial subflow. All managers of this package
// keep to it:
//
//   - both have one family, neither is unspecified, multicast or broadcast, and they are not the same;
//   - loopback leads to loopback only, and only when initial is loopback; a link-local address leads to one
//     on the same link: what a peer
//     announces never leads from a real interface to a loopback service;
//   - a private address is tried only when initial is private too. Else it names a place in the peer's
//     network, and in ours most likely another host, if any (RFC 8684 section 3.4.1). From a private
//     address to a public one is fine: there is a NAT between them.
//
// Private are those of RFC 1918, RFC 4193 and RFC 6598 (behind the NAT of a provider).
func WorthTrying(local, remote, initial netip.Addr) bool {
	local, remote, initial = local.Unmap(), remote.Unmap(), initial.Unmap()
	switch {
	case !local.IsValid() || !remote.IsValid():
		return false
	case local.Is4() != remote.Is4():
		return false
	case local.IsUnspecified() || remote.IsUnspecified():
		return false
	case local.IsMulticast() || remote.IsMulticast() || remote == broadcast:
		return false
	case local.IsLoopback() || remote.IsLoopback():
		return local.IsLoopback() && remote.IsLoopback() && initial.IsLoopback()
	case local.IsLinkLocalUnicast() != remote.IsLinkLocalUnicast():
		return false
	case remote.Zone() != "" && remote.Zone() != local.Zone():
		return false
	case isPrivate(remote) && !isPrivate(initial):
		return false
	default:
		return local != remote
	}
}

// WorthAnnouncing reports whether an address of ours may mean something to a peer that has the
// address peer in the initial subflow: it is no unspecified, multicast, broadcast, loopback or link-local
// address, and private only when peer is.
func WorthAnnouncing(a, peer netip.Addr) bool {
	a, peer = a.Unmap(), peer.Unmap()
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != broadcast && !a.IsLoopback() && !a.IsLinkLocalUnicast() &&
		(!isPrivate(a) || isPrivate(peer))
}

// isPrivate reports whether an address has a meaning in its own network only.
func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || shared.Contains(a)
}

var (
	broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	shared    = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
)

// unmapPort returns ap with an IPv4-mapped IPv6 address turned into IPv4, so that one
// address has one form.
func unmapPort(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
