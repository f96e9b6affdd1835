package pathmgr

import "time"

// fullmeshHeadStart is how long the other end has to join from an address that it announces.
const fullmeshHeadStart = time.Second

// Fullmesh returns a manager that joins every local address with every address of the peer, up to
// DefaultMaxSubflows, in both roles: what Default does on a client, and beyond that
//
//   - a client announces its further addresses, too;
//   - a server opens subflows to the addresses that the client announced, if the client has not done so
//     itself within a second. It never opens one to the address of the initial subflow, whose port
//     takes none.
//
// It is for peers that reach each other both ways; behind a NAT it costs SYNs in vain.
func Fullmesh() Manager {
	m := newMesh("fullmesh", DefaultMaxSubflows)
	m.announces = func() bool { return true }
	m.headStart = fullmeshHeadStart
	m.wishes = func() (list []wish) {
		for _, r := range m.remotes {
			for _, l := range m.locals {
				list = append(list, wish{local: l, to: r})
			}
		}
		return list
	}
	return m
}
