package mptcp

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/internal/rangeset"
	"github.com/gomptcp/gomptcp/internal/sendbuf"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/subflow"
)

// Conn is a Multipath TCP connection, or a plain TCP connection if the peer does not
// speak MPTCP. It is a net.Conn; all methods may be called concurrently.
//
// Locks, in the order in which they are taken: the endpoint of a subflow (inside
// netstack), then Conn.mu, then Host.mu. Conn.mu protects the connection and all of its
// subflows. Code that holds it never calls an endpoint; what has to call one is queued
// with act and runs in a goroutine of its own that exists only while there is something
// to do. An idle connection has no goroutine.
type Conn struct {
	host          *Host
	number        uint64       // of the host's connections; set once
	local, remote *net.TCPAddr // of the initial subflow (8684-4-05)
	role          pathmgr.Role
	log           *slog.Logger

	mu      sync.Mutex
	shared  subflow.Shared
	subs    []*sub // alive, in the order of opening
	ended   []SubflowInfo
	nextID  uint32
	sched   scheduler.Scheduler
	pm      pathmgr.Manager
	unwatch func() // ends a pathmgr.Watcher's watching, if not nil
	events  events
	timer   clock.Timer
	timerAt time.Time // when timer fires, zero if it is not set

	// state of the connection as a whole, see state.go.
	phase       phase
	err         error // why it failed; set once
	established bool  // pathmgr has been told
	peerKnows   bool  // finished: the peer has got our last DATA_ACK

	tx tx
	rx rx

	signals  signals
	steering steering
	locals   []*localAddr // by ID
	remotes  []remoteAddr // that the peer has announced, at most Config.MaxAnnounced

	fastClose fastClose
	// singlePath: a fallback to plain TCP is under way, no subflow may be added.
	singlePath bool

	blindUntil time.Time // we have not run for a while, and silence means nothing until then
	renewedAt  time.Time // when a fresh subflow took another one's place, see renew.go

	breakAt  time.Time // when a connection without subflows ends
	lostBy   error     // what ended the last of them
	closeAt  time.Time // when Close gives up waiting for the peer
	pmAt     time.Time // when the path manager wants a Timer event
	draining bool      // a drain is queued

	lingering  int // ended subflows that are remembered for their ports' sake; Host.mu protects it
	actions    []func()
	actSpawned bool          // a goroutine that will run actions is on its way, or at work
	acting     bool          // somebody runs actions
	idle       sync.Cond     // signalled when acting becomes false
	dialed     chan struct{} // closed when the handshake has ended, well or badly
}

// tx is the sending side.
type tx struct {
	buf        *sendbuf.Buffer
	next       seq.DSN // first byte never placed
	edge       seq.DSN // right edge of the peer's window (8684-3.3.5-01)
	placed     placedQueue
	reinject   []reinjection
	reinjects  uint64 // bytes
	redundancy redundancy
	cond       sync.Cond
	deadline   deadline
	finAsked   bool // CloseWrite or Close
	finAcked   bool // the peer has confirmed the end of our stream
	finAt      time.Time
	finTries   int
	window     probe         // of a closed window
	dataAck    probe         // of a DATA_ACK that lags
	mildProbes int           // of these, sent since the last DATA_ACK that moved
	probedAt   time.Time     // when such a probe was sent last
	dataLag    time.Duration // how long a DATA_ACK comes after TCP's ACK, as a rule
	wide       wideDSN
	paths      []scheduler.Path // scratch for the scheduler
	pathSubs   []*sub
	picked     []int
}

// rx is the receiving side.
type rx struct {
	got      rangeset.Set[seq.DSN] // received beyond shared.RcvNxt
	first    seq.DSN               // first byte of the stream
	read     seq.DSN               // next byte for the application
	movedAt  time.Time             // when the stream's newest byte in order came, or a gap was opened
	flow     flow
	fin      seq.DSN
	finKnown bool
	eof      bool // everything up to the peer's DATA_FIN, or FIN, has come
	aside    asideQueue
	cond     sync.Cond
	deadline deadline
	reading  bool // a Read is at work
	closed   bool // Close was called: what comes is dropped
	ackDue   bool
}

// phase is the life of a connection.
type phase uint8

const (
	handshaking phase = iota // the initial subflow is being opened
	open                     // data flows, perhaps in one direction only
	finished                 // both ends confirmed; subflows are left to close, and the peer may miss our last DATA_ACK
	fastClosing              // aborted; the peer's RST is waited for
	dead                     // over; nothing is left
)

func newConn(h *Host, role pathmgr.Role, key option.Key) *Conn {
	c := &Conn{host: h, role: role, log: h.log, nextID: initialID, dialed: make(chan struct{})}
	c.shared.MIB = &h.mib
	c.shared.LocalKey = key
	c.shared.CapableSYNs = h.cfg.MPCapableSYNs
	c.shared.LocalIDSN = key.IDSN()
	c.shared.WantChecksum = h.cfg.Checksum
	c.shared.DenyJoin = h.cfg.DenyJoinInitial
	if h.cfg.DisableMPTCP {
		c.shared.Mode, c.shared.FallbackReason = subflow.Plain, "MPTCP is turned off"
	}
	first := c.shared.LocalIDSN.Add(1)
	c.shared.SndUna, c.shared.SndEnd = first, first
	c.tx.buf, c.tx.next, c.tx.edge = h.blocks.New(first), first, first
	c.tx.cond.L, c.rx.cond.L, c.idle.L, c.events.cond.L = &c.mu, &c.mu, &c.mu, &c.mu
	c.sched, c.pm = h.cfg.Scheduler(), h.cfg.PathManager()
	c.steers(h.cfg.Intent)
	return c
}

// LocalAddr is the local address of the initial subflow, also when that is gone.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the remote address of the initial subflow, also when that is gone.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// wake lets everyone who waits look again. c.mu is held.
func (c *Conn) wake() {
	c.tx.cond.Broadcast()
	c.rx.cond.Broadcast()
	c.events.cond.Broadcast()
}
