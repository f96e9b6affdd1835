package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
)

const (
	// minPathMTU4 and minPathMTU6 are the least MTU that is believed, in bytes: a smaller one
	// makes segments so short that a forged message would do harm. RFC 8200 section 5 asks
	// 1280 bytes of every link; for IPv4 the value is that of other stacks.
	minPathMTU4, minPathMTU6 = 552, 1280
	// pathMTULife is how long a lowered MTU holds until the link's is tried again (RFC 1191
	// section 6.3, RFC 8201 section 4).
	pathMTULife = 10 * time.Minute
	// trialBackoffs is after how many retransmission timeouts in a row shorter segments are
	// tried (RFC 4821 section 7.5), steepBackoffs after how many the shortest are.
	trialBackoffs, steepBackoffs = 2, 4
	// trialMTU is what gets through tunnels and PPP.
	trialMTU = 1280
	// blackHoleHits is how often only shorter segments have to get through, so that it is no
	// accident.
	blackHoleHits = 2
)

// pathMTU is what a subflow knows of the MTU behind its own link. The mappings of chunks do
// not depend on it: what was placed is only cut into shorter segments.
type pathMTU struct {
	limit int       // 0: that of the link
	until time.Time // when limit ends
	// trial is the MTU in use while longer segments seem to vanish; 0 if they do not. hits
	// counts how often a shorter one got through then.
	trial, hits int
}

// linkMTU is the longest IP packet to be sent now.
func (f *Subflow) linkMTU() int {
	mtu := f.Link.MTU()
	for _, limit := range [...]int{f.path.limit, f.path.trial} {
		if limit > 0 {
			mtu = min(mtu, limit)
		}
	}
	return mtu
}

func (f *Subflow) minPathMTU() int {
	if f.Local.Addr().Unmap().Is4() {
		return minPathMTU4
	}
	return minPathMTU6
}

// PathMTU is the longest IP packet in bytes that the subflow sends now.
func (f *Subflow) PathMTU() int { return f.linkMTU() }

// TooBig handles an ICMP message about a segment of the subflow, whose checksum is right,
// and reports whether the path's MTU is lower now. A message counts only if it speaks of
// something that is in flight and can be what it says (RFC 5927 section 7.1): an
// attacker who does not see the segments would have to guess. What is in flight from there
// on is sent again in shorter segments, which is no sign of congestion (RFC 1191 section
// 6.5). The caller runs the sender.
func (f *Subflow) TooBig(now time.Time, m *packet.TooBig) bool {
	if f.sender == nil || f.state == Closed || m.Len <= m.MTU || !f.sender.isInFlight(m.Seq) {
		f.Shared.MIB.Add(mib.OutOfWindowIcmps)
		return false
	}
	mtu := max(m.MTU, f.minPathMTU())
	if mtu >= f.linkMTU() {
		return false // known, perhaps by the message about the segment before
	}
	f.path = pathMTU{limit: mtu, until: now.Add(pathMTULife)}
	f.Shared.MIB.Add(mib.PathMTULowered)
	f.updateMSS()
	f.sender.resendLonger(m.Seq)
	return true
}

// timedOut is told of the retransmission timeouts in a row, for a segment of size bytes of
// payload. Perhaps something on the way swallows long segments and no message says so.
func (f *Subflow) timedOut(backoffs, size int) {
	mtu := max(trialMTU, f.minPathMTU())
	if backoffs >= steepBackoffs {
		mtu = f.minPathMTU()
	}
	if backoffs < trialBackoffs || mtu >= f.linkMTU() || size <= f.mssOf(mtu, f.dataRoom()) {
		return
	}
	f.path.trial = mtu
	f.updateMSS()
}

// delivered is told of what has newly got through, the longest segment of it having longest
// bytes of payload.
func (f *Subflow) delivered(now time.Time, longest int) {
	p := &f.path
	switch {
	case p.limit > 0 && !now.Before(p.until):
		*p = pathMTU{}
		f.updateMSS()
	case p.hits == 0 && p.trial == 0:
	case longest > f.mssOf(max(p.trial, trialMTU), f.dataRoom()):
		p.trial, p.hits = 0, 0 // long ones get through
		f.updateMSS()
	case p.trial > 0:
		// The path may just have come back: only the second time is it believed.
		if p.hits++; p.hits < blackHoleHits {
			p.trial = 0
			f.updateMSS()
			return
		}
		*p = pathMTU{limit: p.trial, until: now.Add(pathMTULife)}
		f.Shared.MIB.Add(mib.PathMTUBlackHole)
		f.Owner.OnPathMTU(now, f)
	}
}
