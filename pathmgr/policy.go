package pathmgr

import "net/netip"

// canReach reports whether a subflow from local to remote makes sense at all. It is the one
// place for such rules. Private and public addresses mix freely (NAT); what a peer
// announces never leads from a real interface to a loopback service or the other way round.
func canReach(local, remote netip.Addr) bool {
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
		return local.IsLoopback() && remote.IsLoopback()
	case local.IsLinkLocalUnicast() != remote.IsLinkLocalUnicast():
		return false
	case remote.Zone() != "" && remote.Zone() != local.Zone():
		return false
	default:
		return local != remote
	}
}

// canAnnounce reports whether an address of ours may mean something to the peer.
func canAnnounce(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// unmapPort returns ap with an IPv4-mapped IPv6 address turned into IPv4, so that one
// address has one form.
func unmapPort(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
