package pathmgr

// DefaultPorts is how many subflows the manager named "ndiffports" has.
const DefaultPorts = 2

// NDiffPorts returns a Factory of managers that have n subflows between the two addresses of the
// initial one, which counts, from different local ports: for networks that spread load over
// several paths by ports, and links that treat each TCP connection alike. The client opens them, and
// what is lost again as Default does; on a server it does nothing. Addresses that the peer
// announces are left alone. n below 1 counts as 1; Config.MaxSubflows bounds it.
func NDiffPorts(n int) Factory {
	return func() Manager {
		m := newMesh("ndiffports", max(n, 1))
		m.announces = func() bool { return false }
		m.wishes = func() (list []wish) {
			for _, r := range m.remotes {
				for slot := 0; slot < n && r.initial; slot++ {
					list = append(list, wish{local: m.initial.local, to: r, slot: slot})
				}
			}
			return list
		}
		return m
	}
}
