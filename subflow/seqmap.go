package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
)

// seqMap is the only code that translates between the sequence numbers that the
// endpoint below believes in and those on the wire. The endpoint believes that it never
// sent a byte of data: its segments get seq += bytes sent by the Sender, and
// acknowledgments become ISS+1, or ISS+2 once our FIN is acknowledged. The subflow
// that embeds it owns it; it lives on through TIME_WAIT.
//
// All that leaves is stamped from one timestamp clock, learnt from the SYN: two clocks
// would trip the peer's PAWS (RFC 7323 section 5).
type seqMap struct {
	iss, irs seq.SSN // initial sequence numbers, ours and the peer's
	rcvNxt   seq.SSN // last ACK number that left
	wireAck  seq.SSN // of the newest segment that the endpoint has seen
	finSent  bool
	finSeq   seq.SSN // our FIN's sequence number on the wire

	timestamps bool   // both ends use them
	tsOffset   uint32 // tsval = milliseconds of our clock + tsOffset
	tsRecent   uint32 // the peer's, to be echoed
	tsEpoch    time.Time

	sndScale, rcvScale uint8 // window scales: of windows that come in, and of ours
}

// sendBase is the sequence number of the first payload byte.
func (m *seqMap) sendBase() seq.SSN { return m.iss.Add(1) }

// learnClock fixes the timestamp clock by the value that a SYN carries.
func (m *seqMap) learnClock(now time.Time, tsval uint32) {
	m.tsEpoch, m.tsOffset = now, tsval
}

// tsNow is the timestamp of what leaves now.
func (m *seqMap) tsNow(now time.Time) uint32 {
	return m.tsOffset + uint32(now.Sub(m.tsEpoch)/time.Millisecond)
}

// seen keeps the peer's timestamp if the segment from at to end is the one to be echoed: it
// begins at or before what was acknowledged last, does not end before it, and is not older
// (RFC 7323 section 4.3).
func (m *seqMap) seen(at, end seq.SSN, tsval uint32) {
	if at.LessEq(m.rcvNxt) && m.rcvNxt.LessEq(end) && int32(tsval-m.tsRecent) >= 0 {
		m.tsRecent = tsval
	}
}

// outSeq translates a sequence number of the endpoint for the wire.
func (m *seqMap) outSeq(s uint32, sentEnd seq.SSN) seq.SSN {
	return seq.SSN(s).Add(sentEnd.Sub(m.sendBase()))
}

// inAck translates an acknowledgment from the wire for the endpoint.
func (m *seqMap) inAck(ack seq.SSN) uint32 {
	if m.finSent && m.finSeq.Less(ack) {
		return uint32(m.iss.Add(2))
	}
	return uint32(m.sendBase())
}

// sndMax is the highest acknowledgment that can be valid.
func (m *seqMap) sndMax(sentEnd seq.SSN) seq.SSN {
	if m.finSent {
		return m.finSeq.Add(1)
	}
	return sentEnd
}

// hideSACK overwrites the SACK option of a segment that the endpoint will see: it speaks
// of data that the endpoint never sent.
func hideSACK(t packet.TCP) {
	o := t.Options()
	for i := 0; i < len(o); {
		switch kind := o[i]; kind {
		case 0:
			return
		case 1:
			i++
		default:
			if i+1 >= len(o) || o[i+1] < 2 || i+int(o[i+1]) > len(o) {
				return
			}
			n := int(o[i+1])
			if kind == 5 {
				for j := i; j < i+n; j++ {
					o[j] = 1
				}
			}
			i += n
		}
	}
}
