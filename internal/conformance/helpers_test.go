package conformance

import (
	"net/netip"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/scheduler"
)

// peerAt is an address of the peer with a port; 0 is for an ADD_ADDR without one.
func peerAt(l *Lab, path int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(l.PeerAddr(path), port)
}

// sack is a SACK option for the host's bytes from relative sequence number left to right.
func sack(p *Peer, left, right uint32) Part {
	b := option.AppendSACK(nil, []option.SACKBlock{{Left: p.HostSeq(left), Right: p.HostSeq(right)}})
	return Raw(b...)
}

// onlyJoins makes a scheduler that uses the newest subflow, and another one only for what
// that held before.
func onlyJoins() scheduler.Scheduler { return newest{} }

type newest struct{}

func (newest) Name() string { return "newest" }

func (newest) Pick(req scheduler.Request, paths []scheduler.Path, picked []int) []int {
	for i := len(paths) - 1; i >= 0; i-- {
		if req.Reinjection && paths[i].ID == req.ReinjectionOf {
			continue
		}
		if paths[i].Room > 0 {
			return append(picked, i)
		}
		break
	}
	return picked
}
