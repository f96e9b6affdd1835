package mptcp

import (
	"container/list"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/netstack"
	"github.com/gomptcp/gomptcp/internal/rangeset"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
	"github.com/gomptcp/gomptcp/subflow/congestion"
)

// flowKey identifies a TCP connection of the host.
type flowKey struct{ local, remote netip.AddrPort }

// sub is a subflow with its endpoint. The connection's lock protects it; ep is set once
// and its methods are called without the lock.
type sub struct {
	*subflow.Subflow
	silence
	standstill standstill
	conn       *Conn
	key        flowKey
	link       *netstack.Link
	ep         *netstack.Endpoint // nil until the handshake of a responder has passed below

	readPos     seq.SSN // next byte to read from ep; valid when hasPos
	hasPos      bool
	late        rangeset.Set[seq.SSN] // unread bytes of which another copy came first, see copies.go
	next        time.Time             // when the sender wants to run
	giveUpAt    time.Time             // when the SYN of a join has waited long enough
	thirdAt     time.Time             // when the third packet of a join is sent again
	thirds      int
	penalisedAt time.Time // when its window was made smaller because the peer's was full of its bytes
	rescued     uint64    // what was placed here up to this offset was sent elsewhere if it had to be
	aliveAt     time.Time // when it is looked whether the peer is still there
	aliveProbes int
	down        bool          // pathmgr has been told of the end
	release     bool          // ep is to be closed once it is empty
	failed      bool          // and with a RST, since the subflow ended with an error
	finAsked    bool          // CloseWrite of ep has been asked for (plain TCP)
	abortLater  bool          // ep is to be reset as soon as it is attached
	closeLater  bool          // a FIN is to be sent as soon as ep is attached
	withdrawn   bool          // we have withdrawn its local address
	liveness    liveness      // does it work still?
	settled     chan struct{} // closed when it carries data, or has ended
	endedBy     error         // why it has ended; set with down
	waits       *list.Element // in a list of handshakes that the peer has to complete; Host.mu protects it
	lastWord    bool          // its FIN carries the last DATA_ACK of the connection
	loneFin     bool          // its FIN was only to find out whether the peer is plain TCP
	upAt        time.Time     // since when it carries data
	mute        muteness      // while bytes of the peer are missing
	renewing    bool          // another one is opened that takes its place
	instead     replacement   // whose place it takes
	knocking    knocking      // its SYN is sent more often than by TCP's timer
	steered     steered       // is the peer to send here?
}

// newSub makes a subflow of c; its local address has an ID, or there is room for one more.
// c.mu is held.
func (c *Conn) newSub(kind subflow.Kind, role subflow.Role, key flowKey, link *netstack.Link, backup bool) *sub {
	s := &sub{conn: c, key: key, link: link, settled: make(chan struct{})}
	cfg := subflow.Config{
		ID: c.nextID, Kind: kind, Role: role, Local: key.local, Remote: key.remote,
		Link: link, Shared: &c.shared, Owner: c,
		Controller: c.host.cfg.Congestion, LocalBackup: backup,
	}
	if l, err := c.useAddr(key.local.Addr(), 0); err == nil {
		cfg.LocalID = l.id
	}
	cfg.Siblings = func(buf []congestion.Sibling) []congestion.Sibling { return c.siblings(s, buf) }
	if kind == subflow.Join {
		cfg.LocalNonce = c.host.newNonce()
	}
	c.nextID++
	s.Subflow = subflow.New(cfg)
	c.subs = append(c.subs, s)
	c.logNew(s)
	return s
}

// settle ends the wait for the subflow's handshake.
func (s *sub) settle() {
	select {
	case <-s.settled:
	default:
		close(s.settled)
	}
}

// end marks a subflow as over. c.mu is held.
func (s *sub) end(err error) {
	s.down = true
	if s.endedBy = err; err == nil {
		s.endedBy = errClosed
	}
	s.settle()
}

// siblings appends snapshots of the other subflows for a coupled controller.
func (c *Conn) siblings(of *sub, buf []congestion.Sibling) []congestion.Sibling {
	for _, s := range c.subs {
		if s == of || !s.Usable() {
			continue
		}
		st := s.Sender().Snapshot()
		window := s.Sender().CoupledWindow()
		if !c.waiting() {
			window = min(window, st.InFlight) // the application is the limit (RFC 6356 section 3)
		}
		buf = append(buf, congestion.Sibling{Window: window, SRTT: st.SRTT, MSS: s.MSS()})
	}
	return buf
}

// byFlow finds the sub of a subflow that is alive.
func (c *Conn) byFlow(f *subflow.Subflow) *sub {
	for _, s := range c.subs {
		if s.Subflow == f {
			return s
		}
	}
	return nil
}

// attach gives s its endpoint; it reports false when s is over and so is ep. c.mu is not
// held.
func (s *sub) attach(ep *netstack.Endpoint) bool {
	c := s.conn
	c.mu.Lock()
	s.ep = ep
	s.EndpointUp()
	c.host.handshakeOver(s)
	c.rx.cond.Broadcast()
	if s.closeLater {
		c.act(s.closeWrite)
		if c.phase == finished && c.rx.closed {
			c.drainSoon() // which closes ep
		}
	}
	gone := s.abortLater || s.State() == subflow.Closed
	c.mu.Unlock()
	if gone {
		ep.Abort()
		return false
	}
	ep.SetNotify(s.event)
	return true
}

// checkClosed ends a subflow whose FINs are both acknowledged. netstack tells it too, but not
// when the FINs have crossed. c.mu is held.
func (c *Conn) checkClosed(s *sub) {
	if s.FinAcked() && c.neverAnswered(s) {
		s.FallBack(c.host.clock.Now(), "the end of the stream was acknowledged by TCP only")
	}
	if s.lastWord && s.FinAcked() && !c.peerKnows {
		c.peerKnows = true
		c.host.forgetToken(c) // it needs no subflow any more (8684-Q-32)
	}
	if s.FinAcked() && s.PeerFinTaken() {
		c.subDown(s, nil)
	}
}

// event is called by the endpoint, which may be locked.
func (s *sub) event(ev netstack.Event) {
	if ev&(netstack.Failed|netstack.Closed|netstack.Connected) == 0 {
		return
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if ev&netstack.Connected != 0 {
		s.EndpointUp()
	}
	if s.down || ev&(netstack.Failed|netstack.Closed) == 0 {
		return
	}
	c.act(func() {
		err := s.ep.Err()
		c.mu.Lock()
		defer c.mu.Unlock()
		if reset := s.PeerReset(); err != nil && reset != nil {
			err = errors.Join(err, reset)
		}
		c.subDown(s, err)
		c.service(c.host.clock.Now())
	})
}

// subDown ends a subflow: what it held goes elsewhere. err is nil for an orderly close.
// c.mu is held.
func (c *Conn) subDown(s *sub, err error) {
	if s.down {
		return
	}
	s.end(err)
	wasUp := s.State() >= subflow.Established
	if s.withdrawn {
		c.count(mib.RmSubflow)
	}
	c.logf("subflow down", s, because(err)...)
	info := s.info()
	info.State = "closed"
	info.Reason = words(err)
	c.addEnded(info)
	if c.shared.Mode == subflow.MPTCP {
		c.reinjectFrom(s.ID)
		c.singlePath = false // if a fallback was under way, it has failed
	}
	if s.Plain() && s.FinAcked() {
		c.finConfirmed()
	}
	s.Subflow.Close()
	s.release, s.failed = true, err != nil
	c.host.forgetFlow(s)
	c.releaseEmpty()
	if s.Kind == subflow.Initial && c.phase == handshaking {
		if err == nil {
			err = errors.New("closed in the handshake")
		}
		c.fail(err)
		return
	}
	if c.established {
		ev := pathmgr.SubflowDown{ID: s.ID, Local: s.Local, Remote: s.Remote, Established: wasUp, Err: err}
		if s.Sender() != nil {
			ev.RTT = s.Sender().Snapshot().SRTT
		}
		if err == nil && s.loneFin {
			ev.Err = ErrNoPath // nobody wanted to close it, and it is needed again
		}
		var reset *subflow.ResetError
		if errors.As(err, &reset) && (reset.Remote && reset.Reason != 0 || reset.Reason == option.ReasonMiddlebox) {
			// Also if it is we who say so: what is in the way there stays.
			ev.Permanent, ev.Reason = !reset.Transient, uint8(reset.Reason)
		}
		c.tell(ev)
	}
	if old := s.instead.old; old != nil && !old.down {
		c.renewalFailed(old, err)
	}
	c.afterSubDown(err)
}

// maxEnded bounds the ended subflows that are remembered: a peer may open and reset as many as
// it likes.
const maxEnded = 64

// addEnded remembers an ended subflow for Info.
func (c *Conn) addEnded(info SubflowInfo) {
	if len(c.ended) >= maxEnded {
		c.ended = append(c.ended[:0], c.ended[1:]...)
	}
	c.ended = append(c.ended, info)
}

// afterSubDown: the connection may have lost its last subflow.
func (c *Conn) afterSubDown(err error) {
	alive := false
	for _, s := range c.subs {
		if s.down {
			continue
		}
		if alive = true; s.State() >= subflow.Established {
			return
		}
	}
	switch {
	case c.phase == dead:
	case alive && (c.shared.Mode != subflow.MPTCP || c.phase != open || c.host.cfg.BreakTimeout < 0):
		// One is being opened, and that decides.
	case c.phase == fastClosing, c.phase == finished && (c.peerKnows || c.host.cfg.BreakTimeout < 0):
		c.die()
	case c.shared.Mode != subflow.MPTCP:
		if err == nil && c.rx.eof {
			c.die()
			return
		}
		if err == nil {
			err = errClosedByPeer
		}
		c.fail(err)
	case c.host.cfg.BreakTimeout < 0:
		c.fail(noPath(err))
	case c.breakAt.IsZero():
		c.lostBy = err
		// Those that are being opened do not count: to a peer that is gone there may always be one.
		c.logf("no subflow is left", nil, slog.Duration("wait", c.host.cfg.BreakTimeout))
		c.breakAt = c.host.clock.Now().Add(c.host.cfg.BreakTimeout)
		c.hurryJoins()
	}
}

// noPath is ErrNoPath with what ended the last subflow, if that was an error.
func noPath(err error) error {
	if err == nil {
		return ErrNoPath
	}
	return fmt.Errorf("%w: %w", ErrNoPath, err)
}

// releaseEmpty closes the endpoints of ended subflows from which all has been read.
func (c *Conn) releaseEmpty() {
	keep := c.subs[:0]
	for _, s := range c.subs {
		if !s.release || (c.err == nil && !(c.rx.closed && c.phase == dead) && s.unread()) {
			keep = append(keep, s)
			continue
		}
		switch {
		case s.ep == nil:
		case s.failed:
			c.act(s.ep.Abort)
		default:
			c.act(s.ep.Close)
		}
	}
	clear(c.subs[len(keep):])
	c.subs = keep
}

// unread reports whether s holds bytes that the application may still need: also those
// behind a gap, which count as received and do not come again.
func (s *sub) unread() bool {
	c := s.conn
	return s.ep != nil && s.position().Less(s.Accounted()) && !(c.rx.eof && c.rx.read == c.dataEnd())
}

// position is the sequence number of the next byte to read from the endpoint. Before the
// handshake has told where the peer's numbers start it means nothing, and nothing can be
// read there.
func (s *sub) position() seq.SSN {
	if !s.hasPos {
		return s.ReadStart()
	}
	return s.readPos
}

// over reports whether s has ended, so that its ports may serve a new connection.
func (s *sub) over() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.State() == subflow.Closed
}

// talks reports whether s can send segments without new data: it is established or closing.
func (s *sub) talks() bool {
	return !s.down && s.Sender() != nil && s.State() >= subflow.Established && s.State() < subflow.Closed
}

// isBackup reports whether either end wishes that s is used only when nothing else works.
func (s *sub) isBackup() bool { return s.standsBy() || s.RemoteBackup }

// standsBy reports whether we wish that: not only to steer the peer.
func (s *sub) standsBy() bool { return s.LocalBackup && !s.steered.rests }

// isUsable reports whether s carries data.
func (s *sub) isUsable() bool { return !s.down && s.Usable() }

// works reports whether it does so with success, as far as is known.
func (s *sub) works() bool { return s.isUsable() && !s.stale }
