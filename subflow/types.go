package subflow

import (
	"math"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun"
)

// Role says who sent the SYN of a subflow.
type Role uint8

const (
	// Opener sent the SYN.
	Opener Role = iota
	// Responder answered it.
	Responder
)

// Kind tells the first subflow of a connection from the others.
type Kind uint8

const (
	// Initial is the subflow that carries MP_CAPABLE.
	Initial Kind = iota
	// Join is a subflow that carries MP_JOIN.
	Join
)

// State is the state of a subflow. It only moves forward.
type State uint8

const (
	// Idle: no SYN has passed yet.
	Idle State = iota
	// SynSent: the opener's SYN has left.
	SynSent
	// SynReceived: the peer's SYN has come (responder).
	SynReceived
	// SynAcked: the opener has got a good SYN/ACK and its third packet has not left yet.
	SynAcked
	// PreEstablished: the third packet of a join has left and is not yet acknowledged: no
	// data may be sent (RFC 8684 section 3.2).
	PreEstablished
	// Established: data flows.
	Established
	// Closing: a FIN went or came; nothing new is sent.
	Closing
	// Closed: over.
	Closed
)

var stateNames = [...]string{"idle", "connecting", "connecting", "connecting", "connecting", "established", "closing", "closed"}

// String gives the state in a word.
func (s State) String() string { return stateNames[s] }

// Mode says what a connection speaks.
type Mode uint8

const (
	// Negotiating: the handshake has not settled it.
	Negotiating Mode = iota
	// MPTCP: both ends speak Multipath TCP.
	MPTCP
	// Plain: plain TCP, from the start or after a fallback.
	Plain
)

// Shared is what the subflows of a connection have in common. The connection owns
// it; its lock protects it. Subflows write only the fields that say so.
type Shared struct {
	// MIB counts what happens; may be nil.
	MIB *mib.Set
	// Mode is set by the initial subflow's handshake, or by a fallback.
	Mode Mode
	// FallbackReason says in words why Mode is Plain.
	FallbackReason string
	// CapableSYNs is how many SYNs carry MP_CAPABLE before plain ones are tried; 0 means
	// DefaultCapableSYNs, negative all.
	CapableSYNs int
	// WantChecksum is our own wish for DSS checksums; Checksum is what was negotiated, set by
	// the handshake.
	WantChecksum, Checksum bool
	// LocalKey is chosen before the handshake; RemoteKey is set by it.
	LocalKey, RemoteKey option.Key
	// LocalIDSN and RemoteIDSN follow from the keys (8684-W-15).
	LocalIDSN, RemoteIDSN seq.DSN
	// DenyJoin is our own flag C; RemoteDeniesJoin: flag C of the peer's MP_CAPABLE, set by the handshake.
	DenyJoin, RemoteDeniesJoin bool
	// PeerConfirmed: a DSS has come, or what stands for it (8684-Q-08): the peer has both
	// keys, and MP_CAPABLE need not be repeated. Set by subflows.
	PeerConfirmed bool
	// Signalled: a DSS of ours has left. The peer may have taken it as confirmation. Set by
	// subflows.
	Signalled bool
	// Joined: a second subflow has got so far that the peer may have sent data on it.
	Joined bool
	// Wide: the peer's latest mapping had an 8-byte DSN, so our DATA_ACKs need 8 bytes
	// (8684-3.3.2-02). Set by subflows.
	Wide bool
	// WideDSN: our mappings have 8-byte DSNs (8684-3.3.1-14).
	WideDSN bool
	// RcvNxt is the next DSN expected: our DATA_ACK.
	RcvNxt seq.DSN
	// Advertised is the right edge of the window that any subflow has shown. Set by subflows.
	Advertised seq.DSN
	// Widest is the widest window that any subflow has shown, in bytes. Set by subflows.
	Widest int
	// SndUna is the first DSN that the peer has not acknowledged; SndEnd the one after the
	// last byte ever placed on a subflow, DATA_FIN included.
	SndUna, SndEnd seq.DSN
	// DataFin is the DSN of our DATA_FIN once it may be sent and until it is
	// acknowledged; DataFinPending says that this is the case.
	DataFin        seq.DSN
	DataFinPending bool
}

// capableSYNs is CapableSYNs as a limit.
func (s *Shared) capableSYNs() int {
	switch {
	case s.CapableSYNs < 0:
		return math.MaxInt
	case s.CapableSYNs == 0:
		return DefaultCapableSYNs
	}
	return s.CapableSYNs
}

// Owner is the connection as its subflows call it, under its lock.
type Owner interface {
	// ReceiveWindow is the number of bytes from Shared.RcvNxt on that we can take.
	ReceiveWindow() int
	// OnTCPEstablished: the three-way handshake has passed; the sender exists. For a join
	// data has to wait for OnUsable.
	OnTCPEstablished(now time.Time, f *Subflow)
	// OnUsable: the subflow may carry data.
	OnUsable(now time.Time, f *Subflow)
	// OnDataAck: a DATA_ACK (or in Plain mode an ACK) came, with the window from there on.
	OnDataAck(now time.Time, f *Subflow, ack seq.DSN, window int)
	// OnMapped: the n bytes from dsn on have been received in order on the subflow and
	// acknowledged there.
	OnMapped(now time.Time, f *Subflow, dsn seq.DSN, n int)
	// OnDataFin: the peer's stream ends at dsn.
	OnDataFin(now time.Time, f *Subflow, dsn seq.DSN)
	// OnPeerFin: the peer's FIN has been received in order.
	OnPeerFin(now time.Time, f *Subflow)
	// OnOption: an option that concerns the connection came on a valid segment: AddAddr,
	// RemoveAddr, Prio, FastClose or Fail.
	OnOption(now time.Time, f *Subflow, o option.Option)
	// OnReset: the subflow cannot go on and the endpoint has to be reset; the RST carries
	// the reason.
	OnReset(now time.Time, f *Subflow, why *ResetError)
	// OnPathMTU: the path swallows long segments, and Subflow.PathMTU is lower now.
	OnPathMTU(now time.Time, f *Subflow)
	// Alone reports whether f is the only subflow that is up.
	Alone(f *Subflow) bool
	// MayFallBack reports whether the connection can go on as plain TCP on f alone, where the
	// next byte to come has the DSN next; placed is the DSN of the next byte that will be placed.
	MayFallBack(f *Subflow, next seq.DSN) (placed seq.DSN, ok bool)
	// OnChecksumFailed: the DSS checksum of the mapping from dsn on is wrong on the only
	// subflow; the peer is asked to go over to plain TCP.
	OnChecksumFailed(now time.Time, f *Subflow, dsn seq.DSN)
	// OnFallback: Shared.Mode became Plain.
	OnFallback(now time.Time, f *Subflow)
}

// Link is the device that carries a subflow.
type Link interface {
	// Name of the device.
	Name() string
	// MTU in bytes.
	MTU() int
	// Features of the device.
	Features() tun.Features
	// Send sends one packet without waiting and without keeping its bytes.
	Send(p *tun.Packet) error
}

// ResetError says why a subflow was reset, by MP_TCPRST's reasons (RFC 8684 section
// 3.6).
type ResetError struct {
	// Reason is the reason code on the wire.
	Reason option.ResetReason
	// Transient is the T flag: a new subflow on this path may be tried.
	Transient bool
	// Remote: the peer reset it.
	Remote bool
	// Text says more where we know more; may be empty.
	Text string
}

// Error implements error.
func (e *ResetError) Error() string {
	who, what := "reset by us", e.Reason.String()
	if e.Remote {
		who = "reset by peer"
	}
	if e.Text != "" {
		what += ": " + e.Text
	}
	return "subflow " + who + ": " + what
}
