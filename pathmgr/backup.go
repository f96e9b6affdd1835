package pathmgr

import "time"

// backup is the manager of Backup: a mesh whose subflows are all backups but one.
type backup struct{ *mesh }

// Backup returns a manager that uses one path at a time and has the others ready: make before
// break. A client opens the subflows that Default opens, all but the initial one as backup (flag B
// of MP_JOIN, RFC 8684 section 3.2). When the one in use ends, the oldest of the others takes its place,
// and the peer is told so (MP_PRIO, section 3.3.8); what comes back then is a backup. A path that is only
// silent is left to the scheduler, which uses backups as long as nothing else works.
//
// A server announces its addresses as with Default, and leaves the priorities to the client.
func Backup() Manager {
	m := newMesh("backup", DefaultMaxSubflows)
	all := m.wishes
	m.wishes = func() []wish {
		list := all()
		for i := range list {
			list[i].backup = true
		}
		return list
	}
	return backup{m}
}

func (b backup) Handle(now time.Time, ev Event) []Action {
	return append(b.mesh.Handle(now, ev), b.promote()...)
}

// promote has one subflow in use if there is any.
func (b backup) promote() []Action {
	if b.role != Client {
		return nil
	}
	for _, o := range b.others {
		if !o.backup {
			return nil
		}
	}
	var first *pair
	for _, p := range b.pairs {
		switch {
		case p.state != pairUp:
		case !p.backup:
			return nil
		case first == nil || p.since.Before(first.since) || p.since.Equal(first.since) && p.id < first.id:
			first = p
		}
	}
	if first == nil {
		return nil
	}
	first.backup = false
	return []Action{SetBackup{ID: first.id, Backup: false}}
}
