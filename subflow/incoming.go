package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun"
)

// mappingSlack is how far beyond what a peer may send (inWindow) a mapping may reach: the rounding of the
// window field, and what a peer may announce ahead.
const mappingSlack = 1 << 17

// minUnmapped is how much data without a mapping is kept at least, in wait for one.
const minUnmapped = 1 << 16

// staleSpan is how far before the window a segment may lie so that what it acknowledges
// still counts: pure ACKs are overtaken by data.
const staleSpan = 1 << 20

// Incoming handles a segment of the subflow, whose checksum is right, and reports whether
// the endpoint has to see it; the segment is then translated in place. Options act only
// on segments that TCP would accept (8684-3-03). After a batch of segments the caller
// runs the sender.
func (f *Subflow) Incoming(now time.Time, p *tun.Packet, t packet.TCP) bool {
	flags := t.Flags()
	set := option.Parse(t.Options(), flags)
	switch {
	case f.state == Closed:
		f.translateIn(t)
		return true
	case flags&packet.FlagRST != 0:
		return f.resetIn(now, t, &set)
	case flags&packet.FlagSYN != 0:
		return f.synIn(now, t, &set)
	}
	switch f.state {
	case Idle, SynSent:
		return true // the endpoint answers
	case SynReceived:
		if f.beforeThird(t) {
			return true
		}
		if !f.thirdIn(now, t, &set) {
			return false
		}
	case SynAcked:
		return false // overtaken by data; it comes again
	}
	return f.segmentIn(now, p, t, &set)
}

// translateIn makes a segment what the endpoint below is used to: the acknowledgment in its
// own numbers, and no SACK of what it never sent. A subflow without a sender was never
// translated. For one that is over nothing else is left to do.
func (f *Subflow) translateIn(t packet.TCP) {
	if f.sender != nil && t.Flags()&packet.FlagACK != 0 {
		f.wireAck = seq.SSN(t.Ack())
		t.SetAck(f.inAck(f.wireAck))
	}
	hideSACK(t)
}

// segmentIn handles a segment of a synchronised subflow.
func (f *Subflow) segmentIn(now time.Time, p *tun.Packet, t packet.TCP, set *option.Set) bool {
	at, ack := seq.SSN(t.Seq()), seq.SSN(t.Ack())
	payload := p.Head[t.HeaderLen():min(t.TotalLen(), len(p.Head))]
	end := at.Add(len(payload))
	fin := t.Flags()&packet.FlagFIN != 0
	switch {
	case t.Flags()&packet.FlagACK == 0:
		return false
	case f.sndMax(seq.SSN(f.sender.SentEnd())).Less(ack) || f.sender.TooOld(t.Ack()):
		f.challenge(now) // acknowledges what was never sent, or long ago (RFC 5961 section 5)
		return false
	case f.advEdge.Less(at) && len(payload) > 0:
		f.SendAck(now) // beyond the window (RFC 9293 section 3.10.7.4)
		return false
	case f.advEdge.Less(at):
		f.challenge(now)
		return false
	case end.Less(f.rcvNxt.Add(-staleSpan)):
		f.translateIn(t)
		return true // long past; the endpoint answers with an ACK
	}
	f.lastIn = now
	if len(payload) > 0 {
		f.lastData = now
	}
	if ts, ok := set.Timestamps(); ok && f.timestamps {
		f.seen(at, end, ts.Val)
		f.noteEcho(ts.Ecr)
	}
	if f.state == PreEstablished && f.isFourth(set, len(payload)) {
		f.state = Established // 8684-Q-26
		f.Owner.OnUsable(now, f)
	}
	if f.Shared.Mode == MPTCP {
		if !f.optionsIn(now, t, set, len(payload)) {
			return false
		}
	} else if f.tx.middle && set.HasMPTCP() && !f.plainOptionsIn(now, t, set) {
		return false
	}
	f.ackIn(now, t, set, len(payload))
	if f.state == Closed {
		f.translateIn(t)
		return true
	}
	if f.Shared.Mode == MPTCP && f.Shared.Checksum && !f.sum(at, payload) {
		return false
	}
	if fin {
		f.peerFin, f.finSeen = at.Add(len(payload)), true
	}
	if len(payload) == 0 && !fin && !f.finSent && f.endpointUp && at == f.rcvNxt {
		return false // a pure ACK; it has been told to the sender
	}
	f.arrivals.seen(now, at, f.top, len(payload), f.sender.SRTT())
	f.noteArrived(at, len(payload), fin)
	if len(payload) == 0 && !fin && f.rcvNxt.Less(at) {
		// An ACK that has overtaken data or the peer's FIN. The endpoint, once it is closed, would take
		// what lies before for data that nobody reads any more, and reset.
		t.SetSeq(uint32(f.rcvNxt))
	}
	f.translateIn(t)
	return true
}

// noteArrived notes how far the sequence numbers reach that the endpoint has been given.
func (f *Subflow) noteArrived(at seq.SSN, n int, fin bool) {
	if fin {
		n++
	}
	f.top = f.top.Max(at.Add(n))
}

// isFourth reports whether a segment shows that the third packet of a join has come. An
// ACK that answers a SYN that came twice does not: it echoes an older timestamp. On a path of less
// than a millisecond that may be the same one: then only what has an option counts, and the third
// packet is repeated.
func (f *Subflow) isFourth(set *option.Set, n int) bool {
	_, dss := set.DSS()
	ts, ok := set.Timestamps()
	return n > 0 || dss || !ok || !f.timestamps || f.thirdTS != f.synTS && int32(ts.Ecr-f.thirdTS) >= 0
}

// sum adds the payload of a segment to the checksums, as far as it was not verified yet. It
// reports false when there is no room for it.
func (f *Subflow) sum(at seq.SSN, payload []byte) bool {
	if skip := f.accounted.Sub(at); skip > 0 {
		at, payload = f.accounted, payload[min(skip, len(payload)):]
	}
	if len(payload) == 0 || f.fail.waiting {
		return true
	}
	m := f.maps.at(at)
	return f.sums.add(at, payload, m != nil && at.Add(len(payload)).LessEq(m.end()))
}

// optionsIn handles the MPTCP options of a valid segment. It reports false when the
// segment must not go on.
func (f *Subflow) optionsIn(now time.Time, t packet.TCP, set *option.Set, n int) bool {
	dss, hasDSS := set.DSS()
	if c, ok := set.Capable(); ok && f.Kind == Initial && f.Role == Responder && c.Form >= option.CapableData &&
		c.SenderKey == f.Shared.RemoteKey && c.ReceiverKey == f.Shared.LocalKey {
		// The client's first data (8684-3.1-13): the mapping of 8684-W-22.
		f.confirm()
		dss = option.DSS{
			HasMap: true, DSN64: true, DSN: uint64(f.Shared.RemoteIDSN.Add(1)), SSN: 1, Len: c.DataLen,
			HasChecksum: c.Form == option.CapableDataChecksum, Checksum: c.Checksum,
		}
		hasDSS = true
	} else if hasDSS && (dss.HasAck || dss.HasMap) {
		f.confirm()
	}
	if _, third := set.JoinAck(); third && f.Kind == Join && f.Role == Responder {
		f.SendAck(now) // the fourth packet, also when the first was lost (8684-3.2-15)
	}
	if hasDSS && !f.dssIn(now, t, dss, n) {
		return false
	}
	if !f.checkPresence(now, t, set, dss) {
		return false
	}
	if set.HasMPTCP() && f.rcvNxt.LessEq(seq.SSN(t.Seq())) {
		f.signalsIn(now, set)
	}
	return true
}

// signalsIn hands rare options to the connection.
func (f *Subflow) signalsIn(now time.Time, set *option.Set) {
	if o, ok := set.AddAddr(); ok {
		f.Owner.OnOption(now, f, o)
	}
	if o, ok := set.RemoveAddr(); ok {
		f.Owner.OnOption(now, f, o)
	}
	if o, ok := set.Prio(); ok {
		f.RemoteBackup = o.Backup
		f.Owner.OnOption(now, f, o)
	}
	if o, ok := set.Fail(); ok {
		f.failIn(now, o)
	}
	if o, ok := set.FastClose(); ok {
		f.Owner.OnOption(now, f, o)
	}
}

// dssIn handles a DSS. It reports false when the segment must not go on.
func (f *Subflow) dssIn(now time.Time, t packet.TCP, dss option.DSS, n int) bool {
	if dss.HasAck {
		f.dataAckIn(now, t, dss)
	}
	if !dss.HasMap {
		return true
	}
	if dss.Infinite() && !dss.DataFin {
		return f.infiniteIn(now, dss)
	}
	if dss.HasChecksum != f.Shared.Checksum {
		f.reset(now, option.ReasonMPTCP, "DSS checksum against what was negotiated") // 8684-3.3-02, -03
		return false
	}
	f.Shared.Wide = dss.DSN64
	m, ok := f.mappingOf(dss)
	if !ok {
		return true
	}
	if m.fin && (m.n == 0 || !f.Shared.Checksum) && !f.dataFinIn(now, &m) {
		return true // with data it counts when the checksum is verified
	}
	if m.n == 0 {
		return true
	}
	return f.mappingIn(now, m, n)
}

// mappingOf is the mapping of a DSS. It reports false for a DATA_FIN that the length does not
// count.
func (f *Subflow) mappingOf(dss option.DSS) (m rxMapping, ok bool) {
	m = rxMapping{
		start: f.irs.Add(int(int32(dss.SSN))), dsn: dss.WideDSN(f.Shared.RcvNxt),
		n: int(dss.Len), ssn: dss.SSN, checksum: dss.Checksum, fin: dss.DataFin,
	}
	if m.fin {
		m.n--
	}
	return m, m.n >= 0
}

func (f *Subflow) dataAckIn(now time.Time, t packet.TCP, dss option.DSS) {
	ack := dss.WideAck(f.Shared.SndUna)
	if ack.Less(f.Shared.SndUna) || f.Shared.SndEnd.Less(ack) {
		return // old, or of data never sent
	}
	f.Owner.OnDataAck(now, f, ack, int(t.Window())<<f.sndScale)
}

// dataFinIn handles the F flag; it reports false if the option is to be ignored.
func (f *Subflow) dataFinIn(now time.Time, m *rxMapping) bool {
	if f.Shared.Checksum && m.n == 0 && !option.VerifyDSSChecksum(uint64(m.dsn), m.ssn, 1, 0, m.checksum) {
		return false
	}
	if end := m.dsn.Add(m.n); f.inWindow(end) {
		f.Owner.OnDataFin(now, f, end)
	}
	return true
}

// inWindow reports whether the DSN end may come: what lies before it was offered, or a peer may think so. TCP ignores
// the window of an ACK that repeats an earlier one and shows less (RFC 9293 section 3.10.7.4), and Linux adds the window that
// it knows to each new DATA_ACK, which those bring, too. So it sends up to the widest window beyond DATA_ACK. To drop that
// would leave a gap in the subflow, perhaps in front of the very bytes that DATA_ACK waits for.
func (f *Subflow) inWindow(end seq.DSN) bool {
	edge := f.Shared.Advertised.Max(f.Shared.RcvNxt.Add(f.Shared.Widest))
	return end.LessEq(edge.Add(mappingSlack))
}

// mappingIn keeps a mapping. It reports false when the segment that carried it has to be
// dropped: its data lies outside the window (8684-3.8-02), or there is no room for the
// mapping.
func (f *Subflow) mappingIn(now time.Time, m rxMapping, n int) bool {
	if m.end().LessEq(f.accounted) {
		return true // an old one again
	}
	fits := f.inWindow(m.dsn.Add(m.n)) && m.end().LessEq(f.advEdge.Add(mappingSlack))
	if !fits {
		f.Shared.MIB.Add(mib.NoDSSInWindow)
	} else if f.maps.contradict(m) {
		f.Shared.MIB.Add(mib.DSSNotMatching)
	}
	// A part of a mapping cannot be verified: with checksums it has to be wholly new.
	if fits && f.Shared.Checksum && (m.start.Less(f.accounted) || f.maps.overlap(m)) {
		return true
	}
	if !fits || !f.maps.add(m) {
		if n > 0 {
			f.SendAck(now) // says where the window ends
		}
		return n == 0
	}
	f.everMapped = true
	f.account(now)
	if f.fail.due && n == 0 {
		f.SendAck(now) // for a segment with data the endpoint sends one
	}
	return true
}

// hasSignal reports whether there is an MPTCP option other than DSS.
func hasSignal(set *option.Set) bool {
	for t := option.SubtypeCapable; t <= option.SubtypeReset; t++ {
		if t != option.SubtypeDSS && set.Has(t) {
			return true
		}
	}
	return false
}

// ackIn tells the sender, and for plain TCP the connection, what the segment
// acknowledges.
func (f *Subflow) ackIn(now time.Time, t packet.TCP, set *option.Set, n int) {
	f.ack = Ack{Seq: t.Ack(), Window: int(t.Window()) << f.sndScale, HasData: n > 0, Signal: hasSignal(set)}
	if ts, ok := set.Timestamps(); ok && f.timestamps {
		f.ack.HasTS, f.ack.TSEcr = true, ts.Ecr
	}
	if blocks, nb := set.SACK(); nb > 0 && f.sackOK {
		f.sackBuf = f.sackBuf[:0]
		for _, b := range blocks[:nb] {
			f.sackBuf = append(f.sackBuf, SACKBlock{Start: uint32(b.Left), End: uint32(b.Right)})
		}
		f.ack.SACK = f.sackBuf
	}
	if f.finSent && f.finSeq.Less(seq.SSN(f.ack.Seq)) {
		f.ack.Seq = uint32(f.finSeq) // the FIN is the endpoint's affair
		f.finAcked = true
	}
	if f.room != f.dataRoom() {
		f.updateMSS()
	}
	res := f.sender.OnAck(now, &f.ack)
	if res.Delivered > 0 {
		f.delivered(now, res.Longest)
	}
	if res.TailLost {
		f.arrivals.missed(now)
	}
	if f.Shared.Mode == Plain {
		f.Owner.OnDataAck(now, f, f.ackedDSN(), f.ack.Window)
	}
}

// account hands bytes that the endpoint has acknowledged to the connection, as far as
// mappings, and checksums if they are in use, cover them.
func (f *Subflow) account(now time.Time) {
	if f.state == Closed {
		return // nobody will read them
	}
	end := f.rcvNxt
	if f.finTaken {
		end = f.peerFin
	}
	for f.accounted.Less(end) {
		if f.rx.on {
			n, dsn := end.Sub(f.accounted), f.rx.next
			f.accounted, f.rx.next = end, dsn.Add(n)
			f.bytesIn += uint64(n)
			f.Owner.OnMapped(now, f, dsn, n)
			return
		}
		if !f.accountMapped(now, end) {
			return
		}
	}
}

// accountMapped hands over bytes of one mapping. It reports whether there may be more.
func (f *Subflow) accountMapped(now time.Time, end seq.SSN) bool {
	m := f.maps.at(f.accounted)
	switch {
	case m == nil:
		return f.unmapped(now, end.Sub(f.accounted))
	case m.bad || f.Shared.Checksum && end.Less(m.end()):
		return false // only a whole mapping can be verified
	case f.Shared.Checksum && !f.verify(m):
		f.checksumFailed(now, m)
		return false
	}
	off := f.accounted.Sub(m.start)
	dsn, n := m.dsn.Add(off), min(m.n-off, end.Sub(f.accounted))
	fin := m.fin && f.Shared.Checksum
	f.accounted = f.accounted.Add(n)
	f.mapped, f.mappedKnown = dsn.Add(n), true
	f.unmappedAt = time.Time{}
	f.bytesIn += uint64(n)
	f.Owner.OnMapped(now, f, dsn, n)
	if fin && f.inWindow(f.mapped) {
		f.Owner.OnDataFin(now, f, f.mapped)
	}
	return true
}

// verify checks the DSS checksum of a mapping whose bytes have all come.
func (f *Subflow) verify(m *rxMapping) bool {
	sum, ok := f.sums.over(m.start, m.n)
	dll := m.n
	if m.fin {
		dll++
	}
	if !ok || !option.VerifyDSSChecksum(uint64(m.dsn), m.ssn, uint16(dll), sum, m.checksum) {
		return false
	}
	f.sums.dropBelow(m.end())
	return true
}
