package subflow

import (
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// infinite is what tells the peer of a fallback in mid-connection: the infinite mapping on
// the first new data, and on what follows until that is acknowledged, since it may be lost
// (8684-3.7-04, 8684-Q-12). The zero value: there is nothing to tell.
type infinite struct {
	pending  bool
	checksum bool    // checksums were negotiated: the field is there, and 0 (8684-W-25)
	from     seq.SSN // first byte that was not sent before the fallback
}

// noteInfinite begins it when MPTCP was in use until now and data has been sent.
func (f *Subflow) noteInfinite() {
	if f.Shared.Mode != MPTCP || f.sender == nil {
		return
	}
	f.infinite = infinite{pending: true, checksum: f.Shared.Checksum, from: seq.SSN(f.sender.SentEnd())}
}

// appendInfinite appends the option to those of a segment of data, if it is due. Plain TCP
// has one subflow, so that DSN and SSN keep the distance that they had from the start.
func (f *Subflow) appendInfinite(opts []byte, s *Segment) []byte {
	at := seq.SSN(s.Seq)
	if !f.infinite.pending || at.Less(f.infinite.from) {
		return opts
	}
	off := at.Sub(f.sendBase())
	if f.infinite.from.Sub(f.sendBase()) < int(f.sender.BytesAcked()) {
		f.infinite.pending = false
		return opts
	}
	d := option.DSS{
		HasMap: true, DSN64: true, DSN: uint64(f.Shared.LocalIDSN.Add(1 + off)), SSN: uint32(1 + off),
		HasChecksum: f.infinite.checksum,
	}
	return d.AppendTo(opts)
}
