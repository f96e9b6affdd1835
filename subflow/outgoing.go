package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun"
)

// Outgoing handles a segment of the endpoint below (SYN, ACK, FIN or RST; never data of
// ours) and sends it, translated and with the options that belong on it. The
// endpoint is locked by the caller: nothing here calls it.
func (f *Subflow) Outgoing(now time.Time, p *tun.Packet, t packet.TCP) {
	flags := t.Flags()
	switch {
	case flags&packet.FlagSYN != 0:
		f.sendSYN(t, f.synOut(now, t))
	case flags&packet.FlagRST != 0:
		f.sendRST(now, t)
	case f.sender == nil && f.state != SynAcked:
		// An answer of the endpoint to something odd in mid-handshake.
		_ = f.Link.Send(p)
	default:
		f.ackOut(now, t)
	}
}

// sendSYN sends a SYN or SYN/ACK of the endpoint with one more option.
func (f *Subflow) sendSYN(t packet.TCP, o option.Option) {
	opts := append(f.opts[:0], t.Options()...)
	if f.Kind == Initial && f.Shared.Mode != Plain && (f.Shared.WantChecksum || f.Shared.Checksum) {
		lowerMSS(opts, infiniteRoom)
	}
	if o != nil {
		opts = stripPadding(opts)
		if option.PaddedSize(len(opts)+o.Size()) <= packet.MaxOptionsLen {
			opts = option.Pad(o.AppendTo(opts), 0)
		}
	}
	opts = option.Pad(opts, 0)
	f.send(uint32(t.Seq()), t.Ack(), t.Flags(), t.Window(), opts, nil, 0, 0)
	if f.Kind == Join && f.Role == Opener {
		f.syn = append(f.syn[:0], f.head...)
	}
}

// RepeatSYN sends the SYN of a join again that has no answer yet, between the repetitions by the endpoint,
// whose pauses grow.
func (f *Subflow) RepeatSYN(now time.Time) {
	if f.state != SynSent || len(f.syn) == 0 {
		return
	}
	f.synCount++ // the time of an answer says nothing any more
	f.synAt = now
	f.head = append(f.head[:0], f.syn...)
	packet.SetChecksumPartial(f.head)
	f.packet = tun.Packet{Head: f.head, Checksum: tun.ChecksumPartial}
	_ = f.Link.Send(&f.packet)
}

// stripPadding removes trailing end-of-list and NOP bytes.
func stripPadding(opts []byte) []byte {
	end := 0
	for i := 0; i < len(opts); {
		switch {
		case opts[i] == 0:
			return opts[:end]
		case opts[i] == 1:
			i++
		case i+1 >= len(opts) || opts[i+1] < 2 || i+int(opts[i+1]) > len(opts):
			return opts[:end]
		default:
			i += int(opts[i+1])
			end = i
		}
	}
	return opts[:end]
}

// ackOut sends an ACK or FIN of the endpoint. What the endpoint acknowledges is
// handed to the connection first, so that the DATA_ACK is as new as the ACK.
func (f *Subflow) ackOut(now time.Time, t packet.TCP) {
	hadFin := f.finTaken
	f.noteAck(seq.SSN(t.Ack()), int(t.Window())<<f.rcvScale)
	f.thirdOut(now)
	f.account(now)
	set := option.Parse(t.Options(), t.Flags())
	blocks, n := set.SACK()
	f.lastSACK = append(f.lastSACK[:0], blocks[:n]...)
	end := seq.SSN(f.sender.SentEnd())
	at := f.outSeq(t.Seq(), end)
	flags := t.Flags()
	if flags&packet.FlagFIN != 0 {
		f.fin.at = now
		if !f.finSent {
			f.finSent, f.finSeq = true, at
			f.sender.Finish()
			f.SetClosing()
		}
	}
	f.sendAck(now, at, flags)
	if f.finTaken && !hadFin {
		f.Owner.OnPeerFin(now, f)
	}
}

// noteAck takes over what the endpoint has received.
func (f *Subflow) noteAck(ack seq.SSN, window int) {
	f.rcvNxt = f.rcvNxt.Max(ack)
	f.edge = f.edge.Max(ack.Add(window))
	if f.finSeen && !f.finTaken && f.rcvNxt == f.peerFin.Add(1) {
		f.finTaken = true
	}
}

// SendAck sends an ACK of our own: a DATA_ACK or a window after a read, the third or
// fourth packet of a handshake again.
func (f *Subflow) SendAck(now time.Time) {
	if f.sender == nil {
		return
	}
	f.sendAck(now, f.ackSeq(), packet.FlagACK)
}

// SendProbe sends an ACK that the peer has to answer, with its present window: its
// sequence number is one that was acknowledged already (RFC 9293 section 3.8.4).
func (f *Subflow) SendProbe(now time.Time) {
	if f.sender == nil {
		return
	}
	if f.thirdOption() != nil {
		f.SendAck(now) // the peer may wait for our third packet still, whose number a probe does not have
	}
	f.probed = now
	at := f.ackSeq()
	if !f.sender.Drained() {
		at = seq.SSN(f.sender.AckedEnd()) // the peer may not have the rest, and answers only what it has
	}
	f.sendAck(now, at.Add(-1), packet.FlagACK)
}

// LastProbe is when SendProbe was called last, zero if it never was.
func (f *Subflow) LastProbe() time.Time { return f.probed }

// ackSeq is the sequence number of an ACK without data.
func (f *Subflow) ackSeq() seq.SSN {
	if f.finSent {
		return f.finSeq.Add(1)
	}
	return seq.SSN(f.sender.SentEnd())
}

// SendDataFin sends the connection's DATA_FIN without data (8684-3.3.3-03).
func (f *Subflow) SendDataFin(now time.Time) {
	if f.sender == nil || f.Shared.Mode != MPTCP {
		return
	}
	d := f.ackDSS()
	d.HasMap, d.DSN64, d.DataFin, d.DSN, d.SSN, d.Len = true, f.Shared.WideDSN, true, uint64(f.Shared.DataFin), 0, 1
	f.setChecksum(&d, 0)
	opts := f.timestampsOption(now)
	opts = option.Pad(d.AppendTo(opts), 0)
	f.send(uint32(f.ackSeq()), uint32(f.rcvNxt), packet.FlagACK, f.windowField(), opts, nil, 0, 0)
}

func (f *Subflow) timestampsOption(now time.Time) []byte {
	if !f.timestamps {
		return f.opts[:0]
	}
	return option.AppendTimestamps(f.opts[:0], f.tsNow(now), f.tsRecent)
}

// sendAck sends a segment without data. This and emit are where it is decided which
// options ride: timestamps, then MPTCP's, then as many SACK blocks as still fit.
func (f *Subflow) sendAck(now time.Time, at seq.SSN, flags uint8) {
	opts := f.appendAckOption(f.appendFail(f.timestampsOption(now)), flags)
	if room := packet.MaxOptionsLen - len(opts); f.sackOK {
		n := len(f.lastSACK)
		for n > 0 && option.SACKSize(n) > room {
			n--
		}
		opts = option.AppendSACK(opts, f.lastSACK[:n])
	}
	f.send(uint32(at), uint32(f.rcvNxt), flags, f.windowField(), opts, nil, 0, 0)
}

// appendAckOption appends what belongs on a segment without data, if there is room for it.
func (f *Subflow) appendAckOption(opts []byte, flags uint8) []byte {
	if f.Shared.Mode == MPTCP {
		if third := f.thirdOption(); third != nil {
			return appendFitting(opts, third)
		}
	}
	d, due := option.DSS{}, false
	switch {
	case f.Shared.Mode == Plain:
		d, due = f.infiniteOnAck(flags)
	case f.Shared.Mode == MPTCP && f.state >= Established:
		d, due = f.ackDSS(), true
	}
	if due && option.PaddedSize(len(opts)+d.Size()) <= packet.MaxOptionsLen {
		opts = option.Pad(d.AppendTo(opts), 0)
	}
	return opts
}

func appendFitting(opts []byte, o option.Option) []byte {
	if option.PaddedSize(len(opts)+o.Size()) > packet.MaxOptionsLen {
		return opts
	}
	return option.Pad(o.AppendTo(opts), 0)
}

// ackDSS is a DSS with the DATA_ACK (8684-3.3.2-02, 8684-Q-10).
func (f *Subflow) ackDSS() option.DSS {
	f.Shared.Signalled = true
	return option.DSS{HasAck: true, Ack64: f.Shared.Wide, Ack: uint64(f.Shared.RcvNxt)}
}

// setChecksum completes a mapping with the checksum, if one was negotiated.
func (f *Subflow) setChecksum(d *option.DSS, payload option.Sum) {
	if f.Shared.Checksum {
		d.HasChecksum = true
		d.Checksum = option.DSSChecksum(d.DSN, d.SSN, d.Len, payload)
	}
}

// windowField is the window to advertise: the connection's, relative to DATA_ACK, unless
// the endpoint below takes less. The connection's right edge never moves left, whichever
// subflow showed it (8684-3.3.4-02): where the window scale has to round, it rounds up
// rather than take back. The right edge of one subflow may, since DATA_ACK does not follow
// its ACKs.
func (f *Subflow) windowField() uint16 {
	unit := 1 << f.rcvScale
	field := f.Owner.ReceiveWindow() >> f.rcvScale
	if shown := int(f.Shared.Advertised.Sub(f.Shared.RcvNxt)); field<<f.rcvScale < shown {
		field = (shown + unit - 1) >> f.rcvScale
	}
	if f.state > SynAcked {
		field = min(field, max(0, f.edge.Sub(f.rcvNxt))>>f.rcvScale)
	}
	field = min(field, 0xffff)
	f.advEdge = f.advEdge.Max(f.rcvNxt.Add(field << f.rcvScale))
	f.Shared.Advertised = f.Shared.Advertised.Max(f.Shared.RcvNxt.Add(field << f.rcvScale))
	f.Shared.Widest = max(f.Shared.Widest, field<<f.rcvScale)
	return uint16(field)
}

// Offer is the right edge of the window that an ACK would show now, before rounding: the
// connection's, as far as the endpoint below takes it.
func (f *Subflow) Offer() seq.DSN {
	return f.Shared.RcvNxt.Add(max(0, min(f.Owner.ReceiveWindow(), f.edge.Sub(f.rcvNxt))))
}

// emit sends a segment of data for the Sender.
func (f *Subflow) emit(now time.Time, s *Segment) error {
	flags := packet.FlagACK
	if s.Push {
		flags |= packet.FlagPSH
	}
	if f.timestamps {
		s.TSVal = f.tsNow(now)
	}
	opts := f.timestampsOption(now)
	if f.Shared.Mode == MPTCP {
		opts = option.Pad(f.appendMapping(opts, s), 0)
	} else {
		opts = option.Pad(f.appendInfinite(opts, s), 0)
	}
	mss := f.mss(0) + timestampsRoom(f.timestamps) - len(opts)
	gso := 0
	if s.Len > mss {
		gso = mss
	}
	return f.send(s.Seq, uint32(f.rcvNxt), flags, f.windowField(), opts, s.Payload, s.Len, gso)
}

func timestampsRoom(on bool) int {
	if on {
		return option.TimestampsSize
	}
	return 0
}

// appendMapping appends what says where the segment's bytes belong: the DSS with
// mapping and DATA_ACK, or on the client's first data MP_CAPABLE (8684-3.1-12).
func (f *Subflow) appendMapping(opts []byte, s *Segment) []byte {
	d := f.ackDSS()
	d.HasMap, d.DSN64, d.DSN, d.SSN, d.Len = true, f.Shared.WideDSN, uint64(s.Mapping.DSN), s.Mapping.SSN, uint16(s.Mapping.Len)
	if f.Shared.Checksum {
		e := s.Entry
		if !e.HasChecksum {
			f.setChecksum(&d, f.payloadSum(e))
			e.HasChecksum, e.Checksum = true, d.Checksum
		}
		d.HasChecksum, d.Checksum = true, e.Checksum
	}
	first := f.Kind == Initial && f.Role == Opener && s.Mapping.DSN == f.Shared.LocalIDSN.Add(1)
	if !first || f.Shared.PeerConfirmed {
		return d.AppendTo(opts)
	}
	c := option.MPCapable{
		Form: option.CapableData, Version: option.Version, Flags: f.capableFlags(),
		SenderKey: f.Shared.LocalKey, ReceiverKey: f.Shared.RemoteKey, DataLen: d.Len,
	}
	if d.HasChecksum {
		c.Form, c.Checksum = option.CapableDataChecksum, d.Checksum
	}
	return c.AppendTo(opts)
}

// payloadSum sums the bytes of a whole chunk.
func (f *Subflow) payloadSum(e *Entry) option.Sum {
	var sum option.Sum
	var pieces [2][]byte
	off := 0
	for _, b := range e.Data().AppendTo(pieces[:0], 0, e.Data().Len()) {
		sum = sum.AddBytes(b, off)
		off += len(b)
	}
	return sum
}

// send builds one packet and hands it to the device.
func (f *Subflow) send(at, ack uint32, flags uint8, window uint16, opts []byte, payload [][]byte, n, gso int) error {
	f.ipID += uint16(1 + n/max(gso, 1))
	f.noteProgress(ack, flags, window, n)
	f.head = packet.AppendTCP(f.head[:0], &packet.Fields{
		Src: f.Local, Dst: f.Remote, ID: f.ipID,
		Seq: at, Ack: ack, Flags: flags, Window: window, Options: opts, PayloadLen: n,
	})
	f.packet = tun.Packet{Head: f.head, Payload: payload, GSOSize: gso, Checksum: tun.ChecksumPartial}
	return f.Link.Send(&f.packet)
}
