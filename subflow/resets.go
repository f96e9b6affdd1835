package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// challengePause is the least time between two challenge ACKs (RFC 5961 section 7).
const challengePause = 100 * time.Millisecond

// resetIn handles a RST. It counts only if TCP accepts it, and only then its options do
// (8684-3-03).
func (f *Subflow) resetIn(now time.Time, t packet.TCP, set *option.Set) bool {
	if !f.resetAcceptable(now, t) {
		return false
	}
	f.peerReset = &ResetError{Remote: true}
	if r, ok := set.Reset(); ok {
		f.Shared.MIB.Add(mib.MPRstRx)
		f.peerReset.Reason, f.peerReset.Transient = r.Reason, r.Transient
	}
	if fail, ok := set.Fail(); ok {
		f.Shared.MIB.Add(mib.MPFailRx)
		f.Owner.OnOption(now, f, fail)
	}
	if fc, ok := set.FastClose(); ok {
		f.Owner.OnOption(now, f, fc)
	}
	f.translateIn(t)
	return true
}

// resetAcceptable applies RFC 5961 section 3.2: a RST is taken only if it has exactly the
// sequence number that comes next, or the one after the last byte that has come, which is
// what a peer uses whose bytes before were lost on the way. Another one in the window is
// answered with an ACK: an honest peer then resets with the right number.
func (f *Subflow) resetAcceptable(now time.Time, t packet.TCP) bool {
	at := seq.SSN(t.Seq())
	switch f.state {
	case Idle:
		return false
	case SynSent:
		return t.Flags()&packet.FlagACK != 0 && seq.SSN(t.Ack()) == f.iss.Add(1) // RFC 9293 section 3.10.7.3
	case SynReceived, SynAcked:
		return at == f.irs.Add(1)
	}
	switch {
	case at == f.rcvNxt || at == f.top && f.rcvNxt.Less(at):
		return true
	case f.rcvNxt.Less(at) && at.Less(f.advEdge):
		f.challenge(now)
	}
	return false
}

// challenge answers a segment that cannot be right with an ACK, which tells an honest peer how
// things stand; not too often, since anyone can send such segments.
func (f *Subflow) challenge(now time.Time) {
	if now.Sub(f.challengedAt) >= challengePause {
		f.challengedAt = now
		f.SendAck(now)
	}
}

// sendRST sends a RST of the endpoint, with the reason if there is one. One without ACK
// answers a segment: it has the number that this one asked for.
func (f *Subflow) sendRST(now time.Time, t packet.TCP) {
	at := seq.SSN(t.Seq())
	switch {
	case f.sender == nil:
	case t.Flags()&packet.FlagACK == 0:
		at = f.wireAck
	default:
		at = f.outSeq(t.Seq(), seq.SSN(f.sender.SentEnd()))
	}
	f.sendResetSegment(now, at, t.Ack(), t.Flags())
}

// SendReset sends a RST of our own, after the SYN of a responder at the earliest: the endpoint
// below lives on for what is still to be read from it, or is not there yet.
func (f *Subflow) SendReset(now time.Time) {
	at := f.sendBase()
	if f.sender != nil {
		at = f.ackSeq()
	}
	f.sendResetSegment(now, at, uint32(f.rcvNxt), packet.FlagRST|packet.FlagACK)
}

func (f *Subflow) sendResetSegment(now time.Time, at seq.SSN, ack uint32, flags uint8) {
	opts := f.timestampsOption(now)
	if f.Shared.Mode == MPTCP || f.Kind == Join {
		if f.failWith != nil {
			opts = f.failWith.AppendTo(opts)
			f.Shared.MIB.Add(mib.MPFailTx)
		}
		if f.resetWith != nil && option.PaddedSize(len(opts)+f.resetWith.Size()) <= packet.MaxOptionsLen {
			opts = f.resetWith.AppendTo(opts)
			f.countReset()
		}
	}
	f.send(uint32(at), ack, flags, 0, option.Pad(opts, 0), nil, 0, 0)
}

func (f *Subflow) countReset() {
	switch f.resetWith.(type) {
	case option.FastClose:
		f.Shared.MIB.Add(mib.MPFastcloseTx)
	case option.Reset:
		f.Shared.MIB.Add(mib.MPRstTx)
	}
}

// SendFastClose sends MP_FASTCLOSE on an ACK (RFC 8684 section 3.5, option A). The caller
// bounds how often.
func (f *Subflow) SendFastClose(now time.Time) {
	if f.sender == nil {
		return
	}
	opts := f.timestampsOption(now)
	opts = option.FastClose{ReceiverKey: f.Shared.RemoteKey}.AppendTo(opts)
	f.Shared.MIB.Add(mib.MPFastcloseTx)
	f.send(uint32(f.ackSeq()), uint32(f.rcvNxt), packet.FlagACK, f.windowField(), option.Pad(opts, 0), nil, 0, 0)
}
