package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

const (
	// failRTO is when MP_FAIL is sent again, doubled each time, and maxFails how often it is
	// sent before the subflow is reset.
	failRTO  = time.Second
	maxFails = 7
	// maxFailAnswers bounds the answers to copies of one MP_FAIL.
	maxFailAnswers = 5
)

// failure is the state of MP_FAIL on the only subflow (8684-3.7-09, -10). The zero value:
// nothing has failed.
type failure struct {
	option  option.Fail
	due     bool // it rides on the next ACK
	waiting bool // a checksum failed; the peer's MP_FAIL or infinite mapping is waited for
	at      time.Time
	sent    int
	answers int // to the peer's MP_FAIL; theirs is what it said
	theirs  seq.DSN
}

// checksumFailed deals with a mapping whose checksum is wrong. What it covers, and what
// follows, is not delivered (8684-3.7-06, -08), unless the peer declares that it is plain TCP
// from there on.
func (f *Subflow) checksumFailed(now time.Time, m *rxMapping) {
	m.bad = true
	f.Shared.MIB.Add(mib.DataCsumErr)
	_, may := f.Owner.MayFallBack(f, m.dsn)
	if !may || !f.Owner.Alone(f) || m.start != f.accounted || m.dsn != f.Shared.RcvNxt || !f.maps.keepDistance(m.start, m.dsn) {
		f.failWith = option.Fail{DSN: m.dsn} // 8684-3.7-07, -12
		f.reset(now, option.ReasonMiddlebox, "DSS checksum failed")
		return
	}
	f.fail = failure{option: option.Fail{DSN: m.dsn}, due: true, waiting: true, at: now.Add(failRTO)}
	f.sums = rxSums{}
	f.Owner.OnChecksumFailed(now, f, m.dsn)
}

// failIn handles MP_FAIL of the peer on a segment other than a RST. An answer is not
// answered (8684-Q-11).
func (f *Subflow) failIn(now time.Time, o option.Fail) {
	f.Shared.MIB.Add(mib.MPFailRx)
	f.Owner.OnOption(now, f, o)
	switch {
	case f.Plain():
		if f.fail.answers == 0 || f.fail.answers >= maxFailAnswers || o.DSN != f.fail.theirs {
			return
		}
		// Ours was lost.
	case f.fail.waiting:
		f.fallBack(now, fallbackCause{reason: "DSS checksum failed on the only subflow", counter: mib.DSSCorruptionFallback, how: tellAll})
		return
	case f.Shared.SndEnd.LessEq(o.DSN):
		return // of data never sent
	default:
		f.fail = failure{option: option.Fail{DSN: f.Shared.RcvNxt}, theirs: o.DSN}
		const reason = "the peer's DSS checksum failed"
		if !f.Owner.Alone(f) {
			f.failWith = f.fail.option
			f.reset(now, option.ReasonMiddlebox, reason)
			return
		}
		f.failWith = f.fail.option // if it is reset
		if !f.fallBack(now, fallbackCause{reason: reason, counter: mib.DSSCorruptionFallback, how: tellAll}) {
			return
		}
		f.failWith = nil
	}
	f.fail.answers++
	f.fail.due = true
	f.SendAck(now)
}

// appendFail appends MP_FAIL to the options of an ACK, if it is due.
func (f *Subflow) appendFail(opts []byte) []byte {
	if !f.fail.due {
		return opts
	}
	f.fail.due = false
	f.fail.sent++
	f.Shared.MIB.Add(mib.MPFailTx)
	return option.Pad(f.fail.option.AppendTo(opts), 0)
}

// Wake is when Tick has something to do; zero: never.
func (f *Subflow) Wake() time.Time {
	at := f.finDue()
	add := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	add(f.unmappedAt)
	if f.fail.waiting {
		add(f.fail.at)
	}
	return at
}

// Tick does what is due: FIN or MP_FAIL again, and the end of waiting for an answer or a mapping.
func (f *Subflow) Tick(now time.Time) {
	f.repeatFin(now)
	if due(f.unmappedAt, now) {
		f.unmappedAt = time.Time{}
		f.Shared.MIB.Add(mib.DSSCorruptionReset)
		f.reset(now, option.ReasonMiddlebox, "data without a mapping") // 8684-3.7-05
		return
	}
	if !f.fail.waiting || now.Before(f.fail.at) {
		return
	}
	if f.fail.sent >= maxFails {
		f.fail.waiting = false
		f.reset(now, option.ReasonMiddlebox, "MP_FAIL not answered")
		return
	}
	f.fail.at = now.Add(failRTO << f.fail.sent)
	f.fail.due = true
	f.SendAck(now)
}
