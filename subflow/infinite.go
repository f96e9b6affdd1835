package subflow

import (
	"encoding/binary"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// rxInfinite is the infinite mapping of what comes in, on a subflow that is plain TCP
// (8684-3.3.1-17). The zero value: there is none.
type rxInfinite struct {
	on   bool
	from seq.SSN // bytes before have mappings of their own
	next seq.DSN // of the byte at accounted
}

// txInfinite is the infinite mapping of what we send.
type txInfinite struct {
	dsn seq.DSN // of the byte at off
	off uint64  // as the Sender counts

	// What follows is for a fallback in mid-connection.
	tell      tell
	option    option.DSS // what is told
	from      seq.SSN    // first byte that was not sent before the fallback
	fromOff   uint64
	told      bool
	peerPlain bool // the peer has told that it is plain TCP, too
	middle    bool // MPTCP was in use before
}

// tell says how the peer learns of a fallback.
type tell uint8

const (
	// tellNothing: the peer knows.
	tellNothing tell = iota
	// tellData: by the infinite mapping on the first new data, on what follows until that is
	// acknowledged, since it may be lost, and on the FIN (8684-3.7-04, -11).
	tellData
	// tellAll: also on ACKs, with a DATA_ACK: the peer may have nothing but these to learn
	// from, and what gets no DATA_ACK it would send again, which plain TCP would deliver twice.
	tellAll
)

// beginInfinite fills in both mappings: the byte at accounted has the DSN next, the next one
// that is placed the DSN placed. The mapping that is told begins with the first byte without
// DATA_ACK (8684-Q-12).
func (f *Subflow) beginInfinite(next, placed seq.DSN, how tell) {
	f.rx = rxInfinite{on: true, from: f.accounted, next: next}
	una, off := f.Shared.SndUna.Min(placed), f.sender.Placed()
	f.tx = txInfinite{
		dsn: placed, off: off, tell: how, middle: true,
		from: seq.SSN(f.sender.SentEnd()), fromOff: f.sender.BytesSent(),
		option: option.DSS{
			HasMap: true, DSN64: true, DSN: uint64(una), SSN: uint32(off) + 1 - uint32(placed.Sub(una)),
			HasChecksum: f.Shared.Checksum, // the field is there, and 0 (8684-W-25)
		},
	}
}

// ackedDSN is the DSN after the last byte that TCP has acknowledged, on plain TCP
// (8684-3.7-14).
func (f *Subflow) ackedDSN() seq.DSN {
	return f.tx.dsn.Add(int(int64(f.sender.BytesAcked()) - int64(f.tx.off)))
}

// appendInfinite appends the infinite mapping to the options of a segment of data, if it is
// due there.
func (f *Subflow) appendInfinite(opts []byte, s *Segment) []byte {
	if how := f.telling(); how == tellNothing || how == tellData && seq.SSN(s.Seq).Less(f.tx.from) {
		return opts
	}
	f.noteTold()
	return f.tx.option.AppendTo(opts)
}

// telling is how the peer has to be told now: no longer when new data, which told it, has been
// acknowledged.
func (f *Subflow) telling() tell {
	if f.tx.tell != tellNothing && f.sender.BytesAcked() > f.tx.fromOff {
		f.tx.tell = tellNothing
	}
	return f.tx.tell
}

// infiniteOnAck is the option of a segment of plain TCP without data, if there is one.
func (f *Subflow) infiniteOnAck(flags uint8) (d option.DSS, due bool) {
	d = f.tx.option
	switch how := f.telling(); {
	case how == tellAll:
		d.HasAck, d.Ack64, d.Ack = true, f.Shared.Wide, uint64(f.Shared.RcvNxt)
	case how == tellData && flags&packet.FlagFIN != 0:
	default:
		return d, false
	}
	f.noteTold()
	return d, true
}

func (f *Subflow) noteTold() {
	if !f.tx.told {
		f.tx.told = true
		f.Shared.MIB.Add(mib.InfiniteMapTx)
	}
}

// Plain reports whether the subflow is, or has become, plain TCP.
func (f *Subflow) Plain() bool { return f.rx.on }

// plainDSN is the DSN of a byte that was received under the infinite mapping.
func (f *Subflow) plainDSN(pos seq.SSN) seq.DSN { return f.rx.next.Add(-f.accounted.Sub(pos)) }

// infiniteRoom is by how much our SYN lowers the MSS when checksums are in use: a Linux sender
// that is told of a wrong one cuts the segment with the infinite mapping by the MSS of plain
// TCP, and what the option then makes longer than the MTU never leaves it.
const infiniteRoom = 24

// lowerMSS lowers the MSS option among the options of a SYN.
func lowerMSS(opts []byte, by uint16) {
	for i := 0; i+3 < len(opts) && opts[i] != 0; {
		switch {
		case opts[i] == 1:
			i++
		case opts[i] == 2:
			binary.BigEndian.PutUint16(opts[i+2:], binary.BigEndian.Uint16(opts[i+2:])-by)
			return
		default:
			i += max(2, int(opts[i+1]))
		}
	}
}
