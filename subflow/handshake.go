package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// DefaultCapableSYNs is how many SYNs carry MP_CAPABLE before plain ones are tried
// (8684-3.1-33), unless Shared.CapableSYNs says otherwise.
const DefaultCapableSYNs = 3

// minSYNPause is how long a SYN has to wait for its answer before another one says that there
// is none. The endpoint sends it again at once when a segment with a wrong number comes, which
// anyone can send.
const minSYNPause = 500 * time.Millisecond

// synOut notes what the SYN or SYN/ACK of the endpoint says and returns the option
// that is to ride on it, or nil.
func (f *Subflow) synOut(now time.Time, t packet.TCP) option.Option {
	set := option.Parse(t.Options(), t.Flags())
	f.iss = seq.SSN(t.Seq())
	if ts, ok := set.Timestamps(); ok {
		f.learnClock(now, ts.Val)
		f.synTS = ts.Val
	}
	if ws, ok := set.WindowScale(); ok {
		f.rcvScale = ws
	}
	f.synCount++
	f.synAt = now
	f.synWindow = int(t.Window())
	if f.Role == Responder {
		f.rcvNxt = seq.SSN(t.Ack())
		f.advEdge = f.rcvNxt.Add(f.synWindow)
		f.edge = f.advEdge
		// SYN cookies leave options out; what is not in the SYN/ACK is not in use.
		if _, ok := set.Timestamps(); !ok {
			f.timestamps = false
		}
		if _, ok := set.WindowScale(); !ok {
			f.rcvScale, f.sndScale = 0, 0
		}
		return f.synAckOption()
	}
	if f.state == Idle {
		f.state = SynSent
	}
	if f.Kind == Join {
		f.countSYN(mib.MPJoinSynTx)
		return option.JoinSyn{Backup: f.LocalBackup, ID: f.LocalID, Token: f.Shared.RemoteKey.Token(), Nonce: f.LocalNonce}
	}
	if f.Shared.Mode == Plain {
		return nil
	}
	if f.synCount == 1 || now.Sub(f.capableAt) >= minSYNPause {
		f.capableAt = now
		f.capableSYNs++
	}
	if f.capableSYNs > f.Shared.capableSYNs() {
		f.capableIgnored = true
		f.Shared.MIB.Add(mib.MPCapableSYNTXDrop)
		f.fallback(now, "SYNs with MP_CAPABLE stayed unanswered")
		return nil
	}
	f.countSYN(mib.MPCapableSYNTX)
	return option.MPCapable{Form: option.CapableSyn, Version: option.Version, Flags: f.capableFlags()}
}

// countSYN counts the first SYN, not its repetitions.
func (f *Subflow) countSYN(c mib.Counter) {
	if f.synCount == 1 {
		f.Shared.MIB.Add(c)
	}
}

// CapableIgnored reports whether SYNs with MP_CAPABLE stayed unanswered, so that plain ones were
// sent (8684-3.1-33).
func (f *Subflow) CapableIgnored() bool { return f.capableIgnored }

func (f *Subflow) capableFlags() option.CapableFlags {
	flags := option.HMACSHA256
	if f.Shared.WantChecksum || f.Shared.Checksum {
		flags |= option.ChecksumRequired
	}
	if f.Shared.DenyJoin {
		flags |= option.DenyJoinInitial
	}
	return flags
}

func (f *Subflow) synAckOption() option.Option {
	if f.Kind == Join {
		o := option.NewJoinSynAck(f.Shared.LocalKey, f.Shared.RemoteKey, f.LocalNonce, f.remoteNonce)
		o.Backup, o.ID = f.LocalBackup, f.LocalID
		return o
	}
	if f.Shared.Mode == Plain || f.plainSynAck {
		return nil
	}
	return option.MPCapable{Form: option.CapableSynAck, Version: option.Version, Flags: f.capableFlags(), SenderKey: f.Shared.LocalKey}
}

// synIn handles a segment with SYN. It reports whether the endpoint has to see it.
func (f *Subflow) synIn(now time.Time, t packet.TCP, set *option.Set) bool {
	isAck := t.Flags()&packet.FlagACK != 0
	switch {
	case f.Role == Responder && !isAck && (f.state == Idle || f.state == SynReceived && seq.SSN(t.Seq()) == f.irs):
		again := f.state == SynReceived
		f.learnPeer(now, t, set)
		f.state = SynReceived
		if f.Kind == Join {
			return f.joinSynIn(set)
		}
		f.capableSynIn(now, set, again)
		return true
	case f.Role == Opener && isAck && f.state == SynSent:
		if seq.SSN(t.Ack()) != f.iss.Add(1) {
			return true // the endpoint answers with RST
		}
		f.learnPeer(now, t, set)
		f.rcvNxt = f.irs.Add(1)
		if f.synCount == 1 {
			f.rtt = now.Sub(f.synAt)
		}
		if f.Kind == Join {
			return f.joinSynAckIn(now, set)
		}
		f.state = SynAcked
		f.capableSynAckIn(now, set)
		return true
	case f.Role == Opener && !isAck && f.state == SynSent:
		f.learnPeer(now, t, set)
		return f.simultaneousOpen(now)
	default:
		// A SYN or SYN/ACK again: the endpoint answers with an ACK, which carries our
		// third packet's option if it was lost.
		if isAck {
			t.SetAck(f.inAck(seq.SSN(t.Ack())))
		}
		return true
	}
}

// simultaneousOpen: the peer's SYN has crossed ours. Who is client and who server is not
// clear then, and RFC 8684 does not say: the connection is plain TCP, as it is on Linux. A join
// is given up. It reports whether the endpoint has to see the SYN: it answers with a SYN/ACK.
func (f *Subflow) simultaneousOpen(now time.Time) bool {
	f.rcvNxt = f.irs.Add(1)
	if f.Kind == Join {
		f.reset(now, option.ReasonMPTCP, "simultaneous open")
		return false
	}
	f.state = SynReceived
	if f.Shared.Mode != Plain {
		f.Shared.MIB.Add(mib.SimultConnectFallback)
		f.fallback(now, "simultaneous open")
	}
	return true
}

// learnPeer takes over what the peer's SYN says of TCP.
func (f *Subflow) learnPeer(now time.Time, t packet.TCP, set *option.Set) {
	f.lastIn = now
	f.irs = seq.SSN(t.Seq())
	f.accounted = f.irs.Add(1)
	f.top = f.accounted
	f.advEdge = f.accounted.Add(f.synWindow)
	f.edge = f.advEdge
	f.peerWindow = int(t.Window())
	if mss, ok := set.MSS(); ok {
		f.peerMSS = int(mss)
	} else {
		f.peerMSS = 536
	}
	f.sackOK = set.SACKPermitted()
	if ts, ok := set.Timestamps(); ok {
		f.timestamps = true
		f.tsRecent = ts.Val
	}
	if ws, ok := set.WindowScale(); ok {
		f.sndScale = min(ws, 14)
	} else {
		f.rcvScale = 0
	}
}

// capableUsable reports whether a peer's MP_CAPABLE can be taken up (8684-3.1-23, -26,
// -28, 8684-Q-24).
func capableUsable(c option.MPCapable) bool {
	return c.Version == option.Version && !c.Flags.Has(option.Extensible) && c.Flags.Has(option.HMACSHA256)
}

func (f *Subflow) capableSynIn(now time.Time, set *option.Set, again bool) {
	c, ok := set.Capable()
	if ok && !again {
		f.Shared.MIB.Add(mib.MPCapableSYNRX)
	}
	if f.Shared.Mode == Plain {
		return
	}
	usable := ok && !c.Flags.Has(option.Extensible) && c.Flags.Has(option.HMACSHA256) && c.Version >= option.Version
	if f.plainSynAck = !usable; !usable {
		// Of SYNs with and without the option, which may overtake each other, none decides: the
		// third packet does (8684-3.1-32).
		if !again {
			f.fallback(now, "no usable MP_CAPABLE in the SYN")
		}
		return
	}
	f.Shared.Checksum = f.Shared.WantChecksum || c.Flags.Has(option.ChecksumRequired)
	f.Shared.RemoteDeniesJoin = c.Flags.Has(option.DenyJoinInitial)
}

func (f *Subflow) capableSynAckIn(now time.Time, set *option.Set) {
	if f.Shared.Mode == Plain {
		return
	}
	c, ok := set.Capable()
	if ok {
		f.Shared.MIB.Add(mib.MPCapableSYNACKRX)
	}
	if !ok || !capableUsable(c) {
		f.Shared.MIB.Add(mib.MPCapableFallbackSYNACK)
		f.fallback(now, "no usable MP_CAPABLE in the SYN/ACK")
		return
	}
	f.setRemoteKey(c.SenderKey)
	f.Shared.Mode = MPTCP
	f.Shared.Checksum = f.Shared.WantChecksum || c.Flags.Has(option.ChecksumRequired)
	f.Shared.RemoteDeniesJoin = c.Flags.Has(option.DenyJoinInitial)
}

func (f *Subflow) setRemoteKey(k option.Key) {
	f.Shared.RemoteKey = k
	f.Shared.RemoteIDSN = k.IDSN()
	f.Shared.RcvNxt = f.Shared.RemoteIDSN.Add(1)
}

// joinSynIn: the connection has found the token; nonce and ID are ours to keep.
func (f *Subflow) joinSynIn(set *option.Set) bool {
	j, ok := set.JoinSyn()
	if !ok {
		return false
	}
	f.remoteNonce, f.RemoteID, f.RemoteBackup = j.Nonce, j.ID, j.Backup
	return true
}

func (f *Subflow) joinSynAckIn(now time.Time, set *option.Set) bool {
	j, ok := set.JoinSynAck()
	if !ok {
		f.reset(now, option.ReasonMPTCP, "SYN/ACK without MP_JOIN") // 8684-3.2-13
		return false
	}
	f.Shared.MIB.Add(mib.MPJoinSynAckRx)
	if j.Backup {
		f.Shared.MIB.Add(mib.MPJoinSynAckBackupRx)
	}
	if !j.Verify(f.Shared.LocalKey, f.Shared.RemoteKey, f.LocalNonce) {
		f.Shared.MIB.Add(mib.MPJoinSynAckHMacFailure)
		f.reset(now, option.ReasonMPTCP, "wrong HMAC in the SYN/ACK") // 8684-3.2-12
		return false
	}
	f.remoteNonce, f.RemoteID, f.RemoteBackup = j.Nonce, j.ID, j.Backup
	f.state = SynAcked
	return true
}

// thirdOut: the endpoint's first ACK after a SYN/ACK is leaving.
func (f *Subflow) thirdOut(now time.Time) {
	if f.state != SynAcked {
		return
	}
	f.state = Established
	if f.Kind == Join {
		f.state, f.thirdTS = PreEstablished, f.tsNow(now)
	}
	f.endpointUp = true
	f.startSender(now)
	f.Owner.OnTCPEstablished(now, f)
	if f.state == Established {
		f.Owner.OnUsable(now, f)
	}
}

// thirdOption is what rides on ACKs until the peer has shown that the third packet
// came (8684-3.1-11, 8684-3.2-16), or nil.
func (f *Subflow) thirdOption() option.Option {
	if f.Role != Opener || f.Shared.Mode != MPTCP {
		return nil
	}
	if f.Kind == Join {
		if f.state != PreEstablished {
			return nil
		}
		return option.NewJoinAck(f.Shared.LocalKey, f.Shared.RemoteKey, f.LocalNonce, f.remoteNonce)
	}
	if f.Shared.PeerConfirmed {
		return nil
	}
	return option.MPCapable{Form: option.CapableAck, Version: option.Version, Flags: f.capableFlags(), SenderKey: f.Shared.LocalKey, ReceiverKey: f.Shared.RemoteKey}
}

// beforeThird reports whether a segment that comes while we wait for the third packet has a
// number before it. A client whose third packet was lost probes a silent peer so. The endpoint
// answers with an ACK (RFC 9293 section 3.10.7.4). An opener of a join would take this for the
// fourth packet, and does not probe so early.
func (f *Subflow) beforeThird(t packet.TCP) bool {
	return f.Kind == Initial && t.Flags()&packet.FlagACK != 0 &&
		seq.SSN(t.Ack()) == f.iss.Add(1) && seq.SSN(t.Seq()).Less(f.irs.Add(1))
}

// thirdIn handles the first segment after our SYN/ACK. It reports whether the segment
// may go on.
func (f *Subflow) thirdIn(now time.Time, t packet.TCP, set *option.Set) bool {
	if t.Flags()&packet.FlagACK == 0 || seq.SSN(t.Ack()) != f.iss.Add(1) || seq.SSN(t.Seq()) != f.irs.Add(1) {
		// Not the third packet: data that overtook it is as good once it comes again.
		return false
	}
	if f.Kind == Join {
		j, ok := set.JoinAck()
		verified := ok && j.Verify(f.Shared.LocalKey, f.Shared.RemoteKey, f.LocalNonce, f.remoteNonce)
		if ok && !verified {
			f.Shared.MIB.Add(mib.MPJoinAckHMacFailure)
		}
		if !verified {
			f.reset(now, option.ReasonMPTCP, "third packet without a valid MP_JOIN") // 8684-3.2-14
			return false
		}
	} else if f.Shared.Mode != Plain {
		f.capableAckIn(now, set)
	}
	f.rtt = 0
	if f.synCount == 1 {
		f.rtt = now.Sub(f.synAt)
	}
	f.rcvNxt = f.irs.Add(1)
	f.state = Established
	f.startSender(now)
	f.Owner.OnTCPEstablished(now, f)
	f.Owner.OnUsable(now, f)
	return f.state == Established
}

// capableAckIn: the third packet decides what the connection speaks (8684-3.1-32,
// 8684-Q-06). An echoed key that is not ours means that someone meddled (8684-3.1-17).
func (f *Subflow) capableAckIn(now time.Time, set *option.Set) {
	c, ok := set.Capable()
	switch {
	case !ok || c.Form < option.CapableAck:
		f.Shared.MIB.Add(mib.MPCapableFallbackACK)
		f.fallback(now, "no MP_CAPABLE in the third packet")
	case !capableUsable(c) || c.ReceiverKey != f.Shared.LocalKey:
		f.Shared.MIB.Add(mib.MPCapableFallbackACK)
		f.fallback(now, "mangled MP_CAPABLE in the third packet")
	default:
		f.Shared.MIB.Add(mib.MPCapableACKRX)
		f.setRemoteKey(c.SenderKey)
		f.Shared.Mode = MPTCP
		if c.Form != option.CapableAck {
			f.confirm()
		}
	}
}

// fallback makes the connection a plain TCP one in the handshake; see fallBack for later.
func (f *Subflow) fallback(now time.Time, reason string) {
	if f.Shared.Mode == Plain {
		return
	}
	f.goPlain(now, reason)
}

// reset asks the connection to reset the endpoint, with MP_TCPRST on the RST.
func (f *Subflow) reset(now time.Time, reason option.ResetReason, text string) {
	f.resetWith = option.Reset{Reason: reason}
	f.Owner.OnReset(now, f, &ResetError{Reason: reason, Text: text})
}
