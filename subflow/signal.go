package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
)

const (
	// maxDupAcks is how many duplicate ACKs in a row may leave for the sake of options alone
	// (8684-3-02).
	maxDupAcks = 2
	// minSignalPause is how long after them the next ones may follow when there is no data and
	// nothing new to acknowledge, or two round trips if that is more: data that was under way
	// has come by then.
	minSignalPause = 100 * time.Millisecond
)

// duplicates counts the signals that a TCP which looks at no options would take for duplicate
// ACKs: with the same acknowledgment and window, and no data since (RFC 5681 section 2).
type duplicates struct {
	n       int // signals in a row
	ack     uint32
	window  uint16
	resumes time.Time // when the row no longer counts
}

// noteProgress ends the row when a segment leaves that is no duplicate ACK.
func (f *Subflow) noteProgress(ack uint32, flags uint8, window uint16, n int) {
	d := &f.dups
	if n > 0 || flags != packet.FlagACK || ack != d.ack || window != d.window {
		d.n = 0
	}
	d.ack, d.window = ack, window
}

// OptionAt returns when SendOption will send at the latest; a time that has passed means
// now.
func (f *Subflow) OptionAt() time.Time {
	if f.dups.n < maxDupAcks || f.dups.ack != uint32(f.rcvNxt) {
		return time.Time{}
	}
	return f.dups.resumes
}

// Stamp is the timestamp of what is sent now; false if the peer understands none.
func (f *Subflow) Stamp(now time.Time) (uint32, bool) { return f.tsNow(now), f.timestamps }

// HasEchoed reports whether the peer has echoed a timestamp of ours, or a later one: it has got the
// segment, or one that was sent after it. What it sends after its FIN does not count, since by then nobody
// may look at options any more.
func (f *Subflow) HasEchoed(stamp uint32) bool { return f.echoes && int32(f.echoed-stamp) >= 0 }

// noteEcho notes the timestamp that a valid segment echoes.
func (f *Subflow) noteEcho(ecr uint32) {
	if !f.finSeen && (!f.echoes || int32(ecr-f.echoed) > 0) {
		f.echoes, f.echoed = true, ecr
	}
}

// SendOption sends a rare signal on an ACK of its own, if the rule on duplicate ACKs
// allows one now (8684-3-02); it reports whether it was sent. A DATA_ACK goes with it where
// there is room, so that a peer which waits for one to complete a handshake is content; an
// ADD_ADDR travels alone, and with IPv6 and a port it needs the room of the timestamps too
// (8684-A-04).
func (f *Subflow) SendOption(now time.Time, o option.Option) bool {
	if f.sender == nil || now.Before(f.OptionAt()) {
		return false
	}
	if f.dups.n >= maxDupAcks {
		f.dups.n = 0
	}
	f.dups.resumes = now.Add(max(minSignalPause, 2*f.sender.Snapshot().SRTT))
	opts := f.timestampsOption(now)
	if option.PaddedSize(len(opts)+o.Size()) > packet.MaxOptionsLen {
		opts = opts[:0]
	}
	opts = option.Pad(o.AppendTo(opts), 0)
	if add, ok := o.(option.AddAddr); !ok || add.Echo {
		if d := f.ackDSS(); len(opts)+d.Size() <= packet.MaxOptionsLen {
			opts = option.Pad(d.AppendTo(opts), 0)
		}
	}
	f.send(uint32(f.ackSeq()), uint32(f.rcvNxt), packet.FlagACK, f.windowField(), opts, nil, 0, 0)
	f.dups.n++
	return true
}
