package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// arrivals watches for losses on the path that have nothing to do with how much we send, foremost among what comes
// from the peer, of which nobody tells: gaps, and what tail loss probes bring to light. The Subflow owns it.
type arrivals struct {
	meter lossMeter
	gapAt time.Time // when the newest gap was seen that nothing has filled; zero: none
}

// ArrivalLosses is the share of what has come from the peer in the last ten seconds or so that was lost, from 0
// to 1, as far as it can be seen. Lone segments of ours that were lost count too, for the path is the same.
func (f *Subflow) ArrivalLosses(now time.Time) float64 { return f.arrivals.meter.ratio(now) }

// SuspectLoss counts one loss more: what has just come was probably lost before.
func (f *Subflow) SuspectLoss(now time.Time) { f.arrivals.missed(now) }

// seen notes a segment of n bytes at a sequence number, when the stream had come up to top, not without gaps. rtt is the
// subflow's: a gap that is filled in less than half of it was no loss.
func (a *arrivals) seen(now time.Time, at, top seq.SSN, n int, rtt time.Duration) {
	a.meter.count(now, 1, 0)
	switch {
	case n == 0:
	case top.Less(at):
		a.gapAt = now
		a.meter.count(now, 0, 1)
	case at.Less(top) && !a.gapAt.IsZero():
		if now.Sub(a.gapAt) < rtt/2 {
			a.meter.count(now, 0, -1)
		}
		a.gapAt = time.Time{}
	}
}

// missed notes a loss that was not seen as a gap.
func (a *arrivals) missed(now time.Time) { a.meter.count(now, 0, 1) }
