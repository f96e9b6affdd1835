package mptcp

import (
	"log/slog"
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/subflow/congestion"
)

// Config configures a Host. The zero value works; a field left zero has the default
// that stands beside it. It must not be changed after NewHost.
type Config struct {
	// Intent says what several paths are for, and so chooses Scheduler and PathManager where they are nil.
	// Default: Balanced.
	Intent Intent
	// Scheduler makes the packet scheduler of each connection. Default: that of Intent.
	Scheduler scheduler.Factory
	// PathManager makes the path manager of each connection that has none of its own, see ConnConfig.
	// Default: that of Intent.
	PathManager pathmgr.Factory
	// NoSteering leaves it to the peer alone which paths it sends on. Otherwise a client asks it, by flag B of
	// MP_JOIN and by MP_PRIO (RFC 8684 section 3.3.8), to leave a path alone for as long as it sends little, if the
	// path's round trip is more than twice as long as another's, or if it loses something and another,
	// on which answers take no longer on average, at most a quarter of that; SubflowInfo.Rests tells. It does so only
	// with path managers that say that they have no priorities (pathmgr.Steerable), such as pathmgr.Default, not with
	// Aggregate, and not on subflows whose priority was set by Conn.SetBackup or AddSubflow.
	NoSteering bool
	// Congestion makes the congestion controller of each subflow, e.g. congestion.NewBBR, or
	// congestion.NewLIA, which couples them. Default: congestion.NewCubic.
	Congestion congestion.Factory

	// Checksum asks for DSS checksums (RFC 8684 section 3.1, flag A). Default: only when
	// the peer asks.
	Checksum bool
	// DisableMPTCP makes all connections plain TCP.
	DisableMPTCP bool

	// MPCapableSYNs is how many SYNs of Dial ask for Multipath TCP (MP_CAPABLE) and may stay unanswered
	// before plain ones are sent, up to 100 (RFC 8684 section 3.9.3). Default: 3, so that the
	// first plain SYN leaves after 7 s; -1: all ask.
	MPCapableSYNs int
	// BlackholeTimeout is for how long connections to an address are plain TCP at once, after one was
	// set up only when plain SYNs were sent; it doubles each time that MPTCP is tried again in
	// vain, up to a week. Default: 1 h; negative: MPTCP is tried each time.
	BlackholeTimeout time.Duration

	// SendBuffer is the number of bytes that a connection accepts for sending before
	// Write waits, 4 KiB to 256 MiB. Default: 8 MiB.
	SendBuffer int
	// ReceiveBuffer is the number of bytes that a connection offers as its receive window,
	// shared by all subflows, 4 KiB to 64 MiB. Default: 8 MiB.
	ReceiveBuffer int

	// DialTimeout bounds Dial when its context has no deadline. Default: 60 s; negative: none.
	DialTimeout time.Duration
	// CloseTimeout is how long, after Close has returned, the peer has to confirm what was sent,
	// before the connection is reset. It must not be negative. Default: 60 s.
	CloseTimeout time.Duration
	// BreakTimeout is how long a connection without any subflow lives on and waits for a
	// path (break before make). Default: 60 s; negative: it ends at once.
	BreakTimeout time.Duration
	// FastCloseByACK lets Conn.Abort send MP_FASTCLOSE on an ACK, repeated until the peer has
	// answered (RFC 8684 section 3.5, option A). Default: on RSTs, sent once (option R).
	FastCloseByACK bool
	// KeepAlive is after how long without anything from the peer an idle subflow is probed, and
	// how long each of nine probes waits for an answer before the subflow is reset. Default:
	// 15 s; negative: never.
	KeepAlive time.Duration
	// MaxSubflows bounds the subflows of one connection, the initial one included, those that
	// the peer opens among them, 1 to 64. Default: 8.
	MaxSubflows int
	// MaxAnnounced bounds the addresses announced by the peer (ADD_ADDR) that one connection
	// remembers, up to 255. Default: 8; negative: they are ignored, though confirmed.
	MaxAnnounced int
	// DenyJoinInitial refuses further subflows to the address and port of the initial subflow
	// (RFC 8684 section 3.1, flag C), as a server behind a load balancer has to: announce
	// others.
	DenyJoinInitial bool

	// MaxHalfOpen bounds the connections, and apart from them the joins, that peers have begun to
	// open and not completed, 16 to 1048576. The oldest makes room for a new one. A connection takes
	// some 7 KB meanwhile, a join 5 to 15 KB. Default: 4096.
	MaxHalfOpen int

	// Environment is where the host's time and randomness come from: a node of a
	// simulated network (package tun/simnet). Default: the machine's.
	Environment clock.Environment

	// Logger gets debug lines that tell the story of each connection. Default: none.
	Logger *slog.Logger
}
