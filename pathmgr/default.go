package pathmgr

// DefaultMaxSubflows is how many subflows the managers of this package let a connection have, the
// initial one and those that the peer opened included, unless they say otherwise.
const DefaultMaxSubflows = 8

// Default returns the default manager: a full mesh that heals itself.
//
// On a client it opens a subflow from each local address to the peer's initial address
// (unless the peer denied that, RFC 8684 section 3.1, flag C) and to each announced one, as far as
// WorthTrying allows, up to DefaultMaxSubflows. What is lost is opened again, with growing pauses
// from 250 ms to 30 s; while no subflow is left, from three times a second on; and at once when its
// local address comes back. It is not opened again when the peer reset it for good (section 3.6),
// after an orderly close, and when the first attempt to an announced address failed (section 3.4.1:
// not before it is announced again). A server's initial address that was withdrawn is tried when no
// subflow is left and, for a second, no other address has helped.
//
// On a server it opens nothing: clients sit behind NATs, and open the subflows themselves. It
// announces the host's addresses, up to 8 of both families, to which the client has no subflow yet
// and which are WorthAnnouncing.
//
// On both it withdraws an address that goes away; a server announces it again when it comes back.
//
// Priorities it leaves to the connection: see Steerable.
func Default() Manager { return newDefault(DefaultMaxSubflows) }

// DefaultWithLimit returns a Factory of the default manager with another limit on the number
// of subflows; a limit below 1 counts as 1.
func DefaultWithLimit(maxSubflows int) Factory {
	return func() Manager { return newDefault(max(maxSubflows, 1)) }
}

func newDefault(limit int) Manager {
	m := newMesh("default", limit)
	m.steerable = true
	return m
}

// newMesh returns a mesh that does what Default says.
func newMesh(name string, limit int) *mesh {
	m := &mesh{name: name, limit: limit}
	m.wishes = m.allPairs
	m.announces = func() bool { return m.role == Server }
	return m
}

// allPairs wishes for a subflow from each local address to each address of the peer; from a client only.
func (m *mesh) allPairs() (list []wish) {
	if m.role != Client {
		return nil
	}
	for _, r := range m.remotes {
		for _, l := range m.locals {
			list = append(list, wish{local: l, to: r})
		}
	}
	return list
}
