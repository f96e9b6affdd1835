package mptcp

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/subflow"
)

// Info is a snapshot of a connection, as MPTCP_INFO and MPTCP_FULL_INFO are on Linux.
type Info struct {
	// MPTCP: the connection speaks Multipath TCP. False before the handshake has
	// settled it and after a fallback to plain TCP.
	MPTCP bool
	// FallbackReason says in words why MPTCP is false; empty if it is true or not yet settled.
	FallbackReason string
	// LocalToken and RemoteToken identify the connection in joins to this host and to
	// the peer (RFC 8684 section 3.2). Zero for plain TCP.
	LocalToken, RemoteToken uint32
	// Checksum: DSS checksums are in use.
	Checksum bool
	// BytesWritten counts the stream bytes that Write has accepted, BytesSent those of them that
	// were given to a subflow, BytesAcked those that the peer has confirmed (DATA_ACK).
	BytesWritten, BytesSent, BytesAcked uint64
	// BytesReceived counts the stream bytes that have arrived in order, BytesRead those that
	// the application has read.
	BytesReceived, BytesRead uint64
	// BytesReinjected is the number of stream bytes sent again on another subflow.
	BytesReinjected uint64
	// Scheduler is the name of the packet scheduler.
	Scheduler string
	// PathManager is the name of the path manager.
	PathManager string
	// Subflows has the subflows in the order of opening, the last 64 closed ones included.
	Subflows []SubflowInfo
	// Announced has the addresses that we have announced and not withdrawn, RemoteAddrs those
	// that the peer has, at most Config.MaxAnnounced (RFC 8684 section 3.4).
	Announced, RemoteAddrs []AnnouncedAddr
}

// AnnouncedAddr is an address at which further subflows are welcome.
type AnnouncedAddr struct {
	// ID is the address ID in this connection.
	ID uint8
	// Addr has port 0 if we named none; for the peer's it is then the port that follows from that.
	Addr netip.AddrPort
	// Echoed: the peer has confirmed it. Always true for the peer's.
	Echoed bool
}

// SubflowInfo is a snapshot of one subflow.
type SubflowInfo struct {
	// ID identifies the subflow within its connection; the initial one has 1.
	ID uint32
	// Local and Remote are its addresses.
	Local, Remote netip.AddrPort
	// Device is the name of the local device.
	Device string
	// LocalID and RemoteID are the IDs of the two addresses in this connection (RFC 8684
	// section 3.2); 0 stands for those of the initial subflow.
	LocalID, RemoteID uint8
	// Backup: either side asked for use only when nothing else works. LocalBackup: we did, with
	// flag B of MP_JOIN or with MP_PRIO; RemoteBackup: the peer did.
	Backup, LocalBackup, RemoteBackup bool
	// Rests: the peer was asked in the same way to leave it alone, for as long as it sends little; what we
	// send uses it. See Config.NoSteering.
	Rests bool
	// State is "connecting", "established", "stale", "closing" or "closed".
	State string
	// Reason says why a closed subflow ended; empty for an orderly close.
	Reason string
	// BytesSent counts payload bytes sent for the first time on this subflow, BytesReceived
	// those received in order on it, BytesAcked those acknowledged by the peer's TCP.
	BytesSent, BytesReceived, BytesAcked uint64
	// Retransmits counts segments sent again on this subflow.
	Retransmits uint64
	// SRTT, RTTVar and MinRTT; 0 if not measured.
	SRTT, RTTVar, MinRTT time.Duration
	// MSS is the payload of a full segment in bytes, MPTCP's options allowed for; 0 before the
	// handshake has passed.
	MSS int
	// Cwnd and InFlight in bytes.
	Cwnd, InFlight int
	// DeliveryRate in bytes/s; 0 if not measured.
	DeliveryRate float64
}

// Info returns a snapshot of the connection.
func (c *Conn) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := Info{
		MPTCP: c.shared.Mode == subflow.MPTCP, FallbackReason: c.shared.FallbackReason, Checksum: c.shared.Checksum,
		Scheduler:       c.sched.Name(),
		PathManager:     c.pm.Name(),
		BytesWritten:    c.sentBefore(c.tx.buf.End()),
		BytesSent:       c.sentBefore(c.tx.next),
		BytesAcked:      c.sentBefore(c.shared.SndUna),
		BytesReceived:   c.received(c.dataEnd()),
		BytesRead:       c.received(c.rx.read),
		BytesReinjected: c.tx.reinjects,
		Subflows:        append([]SubflowInfo(nil), c.ended...),
	}
	if i.MPTCP {
		i.LocalToken, i.RemoteToken = uint32(c.shared.LocalKey.Token()), uint32(c.shared.RemoteKey.Token())
	}
	for _, s := range c.subs {
		if !s.down {
			i.Subflows = append(i.Subflows, s.info())
		}
	}
	slices.SortFunc(i.Subflows, func(a, b SubflowInfo) int { return cmp.Compare(a.ID, b.ID) })
	for _, l := range c.locals {
		if l.announced {
			i.Announced = append(i.Announced, AnnouncedAddr{ID: uint8(l.id), Addr: l.at, Echoed: l.echoed})
		}
	}
	for _, r := range c.remotes {
		i.RemoteAddrs = append(i.RemoteAddrs, AnnouncedAddr{ID: uint8(r.id), Addr: r.addr, Echoed: true})
	}
	return i
}

// sentBefore counts the bytes of our stream before end.
func (c *Conn) sentBefore(end seq.DSN) uint64 { return uint64(end.Sub(c.shared.LocalIDSN.Add(1))) }

// received counts the bytes of the peer's stream before end.
func (c *Conn) received(end seq.DSN) uint64 {
	if c.phase == handshaking {
		return 0
	}
	return uint64(end.Sub(c.rx.first))
}

func (s *sub) info() SubflowInfo {
	i := SubflowInfo{
		ID: s.ID, Local: s.Local, Remote: s.Remote, Device: s.link.Name(), LocalID: uint8(s.LocalID), RemoteID: uint8(s.RemoteID),
		Backup: s.isBackup(), LocalBackup: s.standsBy(), RemoteBackup: s.RemoteBackup, Rests: s.steered.rests,
		State: s.State().String(), BytesReceived: s.BytesReceived(),
	}
	if s.stale {
		i.State = "stale"
	}
	if snd := s.Sender(); snd != nil {
		st := snd.Snapshot()
		i.BytesSent, i.BytesAcked, i.Retransmits = st.BytesSent, st.BytesAcked, st.Retransmits
		i.RTTVar, i.MSS = st.RTTVar, s.MSS()
		i.SRTT, i.MinRTT, i.Cwnd, i.InFlight, i.DeliveryRate = st.SRTT, st.MinRTT, st.Cwnd, st.InFlight, st.DeliveryRate
	}
	return i
}
