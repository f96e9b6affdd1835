package mptcp

import (
	"net/netip"
	"time"

	"github.com/gomptcp/gomptcp/pathmgr"
)

// parallel is a path manager for hosts that are joined by pipes: from 10.0.x.1 only 10.0.x.2
// can be reached. It opens one subflow over each pipe, from the client.
type parallel struct {
	initial netip.AddrPort // remote end
	local   netip.Addr
	client  bool
	backup  bool // what it opens is for emergencies
}

func newParallel() pathmgr.Manager { return &parallel{} }

// parallelOrBackup is newParallel, with subflows that are backups or not.
func parallelOrBackup(backup bool) pathmgr.Factory {
	return func() pathmgr.Manager { return &parallel{backup: backup} }
}

// Name implements pathmgr.Manager.
func (*parallel) Name() string { return "parallel" }

// Handle implements pathmgr.Manager.
func (m *parallel) Handle(_ time.Time, ev pathmgr.Event) []pathmgr.Action {
	switch ev := ev.(type) {
	case pathmgr.Established:
		m.client, m.local, m.initial = ev.Role == pathmgr.Client, ev.Local.Addr(), ev.Remote
		var list []pathmgr.Action
		for _, a := range ev.Locals {
			if a != m.local {
				list = append(list, m.open(a)...)
			}
		}
		return list
	case pathmgr.LocalAddrUp:
		return m.open(ev.Addr)
	}
	return nil
}

func (m *parallel) open(local netip.Addr) []pathmgr.Action {
	if !m.client {
		return nil
	}
	return []pathmgr.Action{pathmgr.Open{Local: local, Remote: netip.AddrPortFrom(local.Next(), m.initial.Port()), Backup: m.backup}}
}
