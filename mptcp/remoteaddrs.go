package mptcp

import (
	"log/slog"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// livenessProbes is how often a subflow is asked whether it works when the peer has
	// withdrawn its address; see also wakeProbes.
	livenessProbes = 3
	// minLivenessWait is how long an answer is waited for, or two round trips if that is more.
	// Linux answers one such ACK in 500 ms.
	minLivenessWait = 600 * time.Millisecond
)

// remoteAddr is an address that the peer has announced (8684-3.4.1-04). What is known from
// joins stays with their subflows.
type remoteAddr struct {
	id   option.AddrID
	addr netip.AddrPort // with the port of the subflow that carried it if it named none
}

// addAddrIn: the peer announces an address, or confirms that it has got an announcement of
// ours. One whose HMAC is wrong is ignored (8684-3.4.1-07), so is one that gives an ID to
// another address (8684-3.4.1-13).
func (c *Conn) addAddrIn(f *subflow.Subflow, a option.AddAddr) {
	if a.Echo {
		c.echoIn(a)
		return
	}
	addr := netip.AddrPortFrom(a.Addr.Addr().Unmap(), a.Addr.Port())
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), f.Remote.Port()) // 8684-Q-15
	}
	if !a.Verify(c.shared.LocalKey, c.shared.RemoteKey) || c.contradicts(a.ID, addr.Addr()) {
		c.count(mib.AddAddrDrop)
		c.logf("announced address ignored: wrong HMAC, or its ID is taken", c.byFlow(f), slog.Any("address", addr))
		return
	}
	c.count(mib.AddAddr)
	if a.Addr.Port() != 0 {
		c.count(mib.PortAdd)
	}
	c.signal(signal{option: a.Reply(), on: f.ID})
	if !c.remember(remoteAddr{a.ID, addr}) {
		c.count(mib.AddAddrDrop)
		c.logf("announced address ignored: Config.MaxAnnounced reached", c.byFlow(f), slog.Any("address", addr))
		return
	}
	c.logf("peer announces an address", c.byFlow(f), slog.Any("address", addr), slog.Int("id", int(a.ID)))
	c.tell(pathmgr.RemoteAddrUp{AddrID: uint8(a.ID), Addr: addr})
}

// contradicts reports whether the peer has announced another address by this ID.
func (c *Conn) contradicts(id option.AddrID, a netip.Addr) bool {
	return slices.ContainsFunc(c.remotes, func(r remoteAddr) bool { return r.id == id && r.addr.Addr() != a })
}

// remember keeps an announced address, perhaps under another ID or with another port than
// before. It reports false when there is no room.
func (c *Conn) remember(r remoteAddr) bool {
	for i, o := range c.remotes {
		if o.id == r.id || o.addr == r.addr {
			c.remotes[i] = r
			return true
		}
	}
	if len(c.remotes) >= c.host.cfg.MaxAnnounced {
		return false
	}
	c.remotes = append(c.remotes, r)
	return true
}

// removeAddrIn: the peer withdraws addresses. Those that are unknown are passed over
// (8684-3.4.2-05).
func (c *Conn) removeAddrIn(now time.Time, o option.RemoveAddr) {
	for _, id := range removalIDs(o) {
		n := len(c.remotes)
		c.remotes = slices.DeleteFunc(c.remotes, func(r remoteAddr) bool { return r.id == id })
		known := len(c.remotes) < n
		for _, s := range c.subs {
			if !s.down && s.RemoteID == id && s.State() >= subflow.Established {
				known = true
				c.askIfAlive(now, s, livenessProbes, minLivenessWait)
				c.doubt(s)
			}
		}
		if !known {
			c.count(mib.RmAddrDrop)
			continue
		}
		c.count(mib.RmAddr)
		c.logf("peer withdraws an address", nil, slog.Int("id", int(id)))
		c.tell(pathmgr.RemoteAddrDown{AddrID: uint8(id)})
	}
}

// liveness is the question whether a subflow still works: the peer has withdrawn its address
// (8684-3.4.2-02), or the host has slept.
type liveness struct {
	at    time.Time     // of the next probe, or of the verdict; zero: nobody asks
	last  time.Time     // when the newest segment had come before it was asked
	tries int           // probes that may still be sent
	pause time.Duration // between two, at least
	// doubted: until there is an answer no new data is sent where another subflow works.
	doubted bool
}

// askIfAlive begins to ask, with so many probes and such pauses between them.
func (c *Conn) askIfAlive(now time.Time, s *sub, tries int, pause time.Duration) {
	if s.isUsable() && s.liveness.at.IsZero() {
		s.liveness = liveness{at: now, last: s.LastReceived(), tries: tries, pause: pause}
	}
}

// doubt: the peer, which knows better, has given up the address of s. What is under way there is sent
// elsewhere, while s is asked.
func (c *Conn) doubt(s *sub) {
	if !s.liveness.at.IsZero() && !s.liveness.doubted {
		s.liveness.doubted = true
		if c.hasOther(s) {
			c.reinjectFrom(s.ID)
		}
	}
}

// isDoubted reports whether s is asked whether it works, since the peer has withdrawn its address.
func (s *sub) isDoubted() bool { return s.liveness.doubted && !s.liveness.at.IsZero() }

// probeLiveness asks where it is due, and resets the subflows that do not answer (8684-3.4.2-04).
// c.mu is held.
func (c *Conn) probeLiveness(now time.Time) {
	for _, s := range c.subs {
		q := &s.liveness
		switch {
		case q.at.IsZero():
		case !s.isUsable():
			q.at = time.Time{} // its end has begun
		case s.LastReceived().After(q.last):
			q.at = time.Time{}
			c.logf("subflow answers, and stays", s)
		case now.Before(q.at):
		case q.tries == 0:
			c.logf("subflow does not answer", s)
			s.SetResetOption(option.Reset{Reason: option.ReasonPerformance, Transient: true})
			c.resetSub(s, syscall.ETIMEDOUT)
			return // c.subs may have changed; the timer fires again for the others
		default:
			s.SendProbe(now)
			q.tries--
			q.at = now.Add(max(q.pause, 2*s.Sender().Snapshot().SRTT))
		}
	}
}

// prioIn: the peer wishes that we use a subflow only when nothing else works, or takes that
// back (8684-3.3.8-03).
func (c *Conn) prioIn(f *subflow.Subflow, o option.Prio) {
	s := c.byFlow(f)
	c.count(mib.MPPrioRx)
	c.logf("peer changes the priority of a subflow", s, slog.Bool("backup", o.Backup))
	c.tell(pathmgr.PriorityChanged{ID: f.ID, Backup: o.Backup})
}
