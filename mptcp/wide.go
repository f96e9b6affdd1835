package mptcp

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/seq"
)

const (
	// msl is TCP's maximum segment lifetime (RFC 9293 section 3.4.1).
	msl = 2 * time.Minute
	// wideSpan is the stretch over which the data rate is looked at. The lower half of a DSN
	// tells numbers apart that are less than 2^31 away: when the rate is known to be too
	// high, nothing has come near that.
	wideSpan = 1 << 30
)

// wideDSN finds out whether 2^32 bytes could go within one MSL, so that an old segment
// might be taken for a new one by the lower half of its DSN: then mappings need the whole
// (8684-3.3.1-14). Mappings stay short otherwise: the peer answers long ones with long
// DATA_ACKs, which leaves room for one SACK block in place of three.
type wideDSN struct {
	from seq.DSN // where the present stretch begins
	at   time.Time
}

// sent notes that bytes before next have been placed, and reports whether the stretch that
// ends there, if it is one, went too fast.
func (w *wideDSN) sent(now time.Time, next seq.DSN) bool {
	if w.at.IsZero() {
		w.from, w.at = next, now
		return false
	}
	if next.Sub(w.from) < wideSpan {
		return false
	}
	fast := now.Sub(w.at) < msl/((1<<32)/wideSpan)
	w.from, w.at = next, now
	return fast
}
