package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// unmappedWait is how long received bytes wait for their mapping. It rides on the segments
// that it covers, so one that is late was lost, with options that no longer come through.
const unmappedWait = 5 * time.Second

// Fallback to plain TCP in mid-connection (RFC 8684 section 3.7). Both ends have to agree
// about where each byte belongs. They do on the initial subflow as long as it has always been
// alone, for its numbers and those of the stream keep the distance that they began with; else
// an infinite mapping has to say it. Where that is not so, the subflow is reset: there may be
// another one, and an error is better than wrong bytes.

// fallbackCause is what a fallback is made of.
type fallbackCause struct {
	reason  string
	counter mib.Counter
	how     tell
	// declared: the peer has said by an infinite mapping that the byte at accounted has the DSN
	// next. Otherwise it follows the last one that came.
	declared bool
	next     seq.DSN
}

// fallBack goes over to plain TCP, or resets the subflow. It reports whether it has fallen
// back.
func (f *Subflow) fallBack(now time.Time, c fallbackCause) bool {
	if f.Shared.Mode != MPTCP {
		return f.Plain()
	}
	if !c.declared {
		c.next = f.mapped
	}
	placed, ok := f.Owner.MayFallBack(f, c.next)
	if !ok || !f.fits(c) {
		f.Shared.MIB.Add(mib.DSSCorruptionReset)
		f.reset(now, option.ReasonMiddlebox, c.reason+", and the ends may disagree about the stream")
		return false
	}
	f.Shared.MIB.Add(c.counter)
	f.beginInfinite(c.next, placed, c.how)
	f.fail.waiting, f.unmappedAt = false, time.Time{}
	f.sums = rxSums{}
	f.goPlain(now, c.reason)
	f.account(now) // what waited
	return true
}

// FallBack goes over to plain TCP for a reason that the connection has found, or resets the
// subflow.
func (f *Subflow) FallBack(now time.Time, reason string) {
	f.fallBack(now, fallbackCause{reason: reason, counter: mib.DssFallback, how: tellData})
}

// goPlain ends MPTCP for good (8684-3.7-15).
func (f *Subflow) goPlain(now time.Time, reason string) {
	f.Shared.Mode, f.Shared.FallbackReason = Plain, reason
	f.Shared.Checksum = false
	f.updateMSS()
	f.Owner.OnFallback(now, f)
}

// fits reports whether what was received here agrees with the byte at accounted having the
// DSN next.
func (f *Subflow) fits(c fallbackCause) bool {
	if !c.declared && (!f.mappedKnown || f.mapped != f.Shared.RcvNxt && f.mapped.Add(1) != f.Shared.RcvNxt || !f.unmappedAt.IsZero()) {
		// What comes next is not known to follow; one more is a DATA_FIN that was taken.
		return false
	}
	return f.maps.keepDistance(f.accounted, c.next)
}

// acksData reports whether a segment acknowledges data of ours.
func (f *Subflow) acksData(t packet.TCP) bool {
	ack := seq.SSN(t.Ack())
	if f.finSent && f.finSeq.Less(ack) {
		ack = f.finSeq
	}
	return f.sendBase().Less(ack)
}

// checkPresence looks whether the first data of ours is acknowledged by a DATA_ACK: if not,
// the path removes options (8684-3.7-03, -04, 8684-Q-10, 8684-Q-31). It reports false when the
// segment must not go on.
func (f *Subflow) checkPresence(now time.Time, t packet.TCP, set *option.Set, dss option.DSS) bool {
	f.peerAcks = dss.HasAck
	if f.Shared.Mode != MPTCP || f.dataAcked || !f.acksData(t) {
		return true
	}
	if dss.HasAck {
		// An ACK proxy may have put the number into an ACK that knew nothing of the data.
		f.dataAcked = f.Kind == Join || f.Shared.Joined || f.Shared.LocalIDSN.Add(1).Less(f.Shared.SndUna)
		return true
	}
	if set.HasMPTCP() {
		return true // another option took the room of the DATA_ACK; options do come through
	}
	const text = "data acknowledged without DATA_ACK"
	if f.Kind == Join || f.Shared.Joined {
		f.Shared.MIB.Add(mib.DSSCorruptionReset)
		f.reset(now, option.ReasonMiddlebox, text)
		return false
	}
	if !f.fallBack(now, fallbackCause{reason: text, counter: mib.DssFallback, how: tellAll}) {
		return false
	}
	f.SendAck(now) // tells the peer, also if we have nothing more to send
	return true
}

// MayRepeat reports whether the connection may place bytes on the subflow a second time. On
// the only subflow there ever was that ends the possibility of a fallback, so the first
// DATA_ACK for data is waited for, unless that has taken long. And a peer that sends no
// DATA_ACKs may have fallen back already: it would deliver the bytes twice.
func (f *Subflow) MayRepeat(long bool) bool {
	return f.Shared.Joined || f.peerAcks && (f.dataAcked || long)
}

// unmapped: the n bytes at accounted have been received and have no mapping. It reports
// whether they have one now.
func (f *Subflow) unmapped(now time.Time, n int) bool {
	switch {
	case f.Kind == Initial && !f.everMapped && !f.Shared.Joined:
		// The peer's first data (8684-3.7-01, -04).
		c := fallbackCause{reason: "first data without a mapping", counter: mib.DssFallback, how: tellAll}
		if f.Role == Responder && !f.Shared.Signalled {
			c.how = tellData // the peer has seen no DSS, and falls back when it sees none on ACKs
		}
		return f.fallBack(now, c)
	case n >= max(f.Owner.ReceiveWindow(), minUnmapped):
		f.Shared.MIB.Add(mib.DSSCorruptionReset)
		f.reset(now, option.ReasonMiddlebox, "a window of data without a mapping") // 8684-3.3.1-10, 8684-3.7-05
	case f.unmappedAt.IsZero():
		f.unmappedAt = now.Add(unmappedWait)
	}
	return false // 8684-3.3.1-08: acknowledged here, not by DATA_ACK
}

// infiniteIn handles an infinite mapping of the peer, at any time; of its numbers only the
// distance counts (8684-Q-12). It reports false when the segment must not go on.
func (f *Subflow) infiniteIn(now time.Time, dss option.DSS) bool {
	f.Shared.MIB.Add(mib.InfiniteMapRx)
	start := f.irs.Add(int(int32(dss.SSN)))
	if !f.fallBack(now, fallbackCause{
		reason: "infinite mapping from the peer", counter: mib.DssFallback, how: tellData,
		declared: true, next: dss.WideDSN(f.Shared.RcvNxt).Add(f.accounted.Sub(start)),
	}) {
		return false
	}
	f.tx.peerPlain = true
	return true
}

// plainOptionsIn handles the options of a peer that may not have noticed yet that we have
// fallen back. It reports false when the segment must not go on.
func (f *Subflow) plainOptionsIn(now time.Time, t packet.TCP, set *option.Set) bool {
	if o, ok := set.Fail(); ok && f.rcvNxt.LessEq(seq.SSN(t.Seq())) {
		f.failIn(now, o)
	}
	dss, ok := set.DSS()
	if !ok || !dss.HasMap || f.tx.peerPlain {
		return true
	}
	if dss.Infinite() {
		f.Shared.MIB.Add(mib.InfiniteMapRx)
		f.tx.peerPlain = true
		if f.tx.tell == tellAll {
			f.tx.tell = tellData
		}
		return true
	}
	m, ok := f.mappingOf(dss)
	if !ok {
		return true
	}
	if f.rx.from.Less(m.end()) && m.n > 0 && m.dsn != f.plainDSN(m.start) {
		f.Shared.MIB.Add(mib.DSSCorruptionReset)
		f.reset(now, option.ReasonMiddlebox, "a mapping that does not fit plain TCP")
		return false
	}
	if dss.DataFin && f.inWindow(m.dsn.Add(m.n)) {
		f.Owner.OnDataFin(now, f, m.dsn.Add(m.n))
	}
	return true
}
