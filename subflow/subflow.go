package subflow

import (
	"net/netip"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun"
)

// Config is what a Subflow is made from.
type Config struct {
	// ID identifies the subflow within its connection.
	ID   uint32
	Kind Kind
	Role Role
	// Local and Remote are the addresses on the wire.
	Local, Remote netip.AddrPort
	// Link is the device that carries it.
	Link Link
	// Shared and Owner are the connection's.
	Shared *Shared
	Owner  Owner
	// Controller makes the congestion controller; Siblings gives it the other subflows.
	Controller congestion.Factory
	Siblings   func([]congestion.Sibling) []congestion.Sibling
	// LocalID is the address ID of Local. LocalNonce is fresh (joins only).
	LocalID    option.AddrID
	LocalNonce option.Nonce
	// LocalBackup is our own request that the peer use the subflow as a backup.
	LocalBackup bool
}

// Subflow is one TCP connection of a connection. See the package comment for who
// protects it.
type Subflow struct {
	Config
	seqMap
	state State

	// RemoteID is the peer's address ID, known after the handshake. RemoteBackup is the
	// peer's request that we use this subflow as a backup (MP_JOIN, MP_PRIO).
	RemoteID     option.AddrID
	RemoteBackup bool

	sender *Sender // nil until the TCP handshake has passed

	// Handshake.
	synAt       time.Time
	synCount    int
	synWindow   int           // the window that our SYN showed, in bytes
	rtt         time.Duration // of the handshake
	remoteNonce option.Nonce
	peerMSS     int
	peerWindow  int
	sackOK      bool
	// capableIgnored: SYNs with MP_CAPABLE stayed unanswered, and plain ones were sent. plainSynAck:
	// the newest SYN had none, so the answer has none (8684-3.1-31).
	capableIgnored, plainSynAck bool
	capableSYNs                 int       // sent so far, with some time between them
	capableAt                   time.Time // when the last of them left
	endpointUp                  bool      // the endpoint below has completed its handshake
	dataAcked                   bool      // our data has been acknowledged by a DATA_ACK here (8684-Q-10)
	peerAcks                    bool      // the peer's newest segment has a DATA_ACK
	synTS, thirdTS              uint32    // timestamps of the newest SYN and of the third packet (joins that we open)

	// Receiving. accounted is how far the bytes that the endpoint accepted have been
	// handed to the connection by their mappings; it stops at an unmapped byte.
	maps        rxMappings
	accounted   seq.SSN
	top         seq.SSN // end of what the endpoint has been given, behind gaps too
	sums        rxSums  // checksums in use only
	rx          rxInfinite
	mapped      seq.DSN // of the byte at accounted, if it follows the one before
	mappedKnown bool
	everMapped  bool      // a mapping of the peer has come
	unmappedAt  time.Time // when waiting for the mapping of the byte at accounted ends; zero: it is not waited for
	peerFin     seq.SSN
	finSeen     bool // peerFin is set
	finTaken    bool // and the endpoint has accepted it
	finAcked    bool // the peer has acknowledged our FIN
	fin         finTimer
	bytesIn     uint64
	arrivals    arrivals
	lastIn      time.Time // of the newest segment from the peer
	lastData    time.Time // of the newest one with data
	edge        seq.SSN   // right edge of the window that the endpoint below offers
	advEdge     seq.SSN   // right edge of what has been advertised

	// Sending.
	room   int        // what the sender's MSS leaves to MPTCP's options
	opts   []byte     // scratch for the options of one segment
	head   []byte     // scratch for its headers
	syn    []byte     // headers of the SYN of a join
	packet tun.Packet // scratch of send
	ack    Ack        // scratch of ackIn

	sackBuf  []SACKBlock
	lastSACK []option.SACKBlock // what the endpoint reported last, for ACKs of our own
	ipID     uint16
	dups     duplicates
	echoed   uint32 // the newest timestamp of ours that the peer has echoed; valid when echoes
	echoes   bool
	probed   time.Time // when a probe was sent last

	tx   txInfinite
	fail failure
	path pathMTU

	resetWith    option.Option // rides on the RST that we send: Reset, FastClose
	failWith     option.Option // Fail that rides with it
	peerReset    *ResetError   // what the peer's RST said
	challengedAt time.Time     // when a RST was last answered with an ACK
}

// New returns a subflow in state Idle.
func New(cfg Config) *Subflow {
	return &Subflow{
		Config: cfg,
		opts:   make([]byte, 0, packet.MaxOptionsLen),
		head:   make([]byte, 0, 128),
	}
}

// State returns where the subflow is in its life.
func (f *Subflow) State() State { return f.state }

// Sender returns the sender, or nil before the TCP handshake has passed.
func (f *Subflow) Sender() *Sender { return f.sender }

// Usable reports whether new data may be placed on the subflow.
func (f *Subflow) Usable() bool { return f.state == Established }

// HandshakeRTT is the round trip of the SYN, 0 if it could not be measured.
func (f *Subflow) HandshakeRTT() time.Duration { return f.rtt }

// PeerWindow is the window of the peer's SYN, in bytes.
func (f *Subflow) PeerWindow() int { return f.peerWindow }

// BytesReceived counts the payload bytes received in order.
func (f *Subflow) BytesReceived() uint64 { return f.bytesIn }

// LastReceived is when the newest segment came from the peer.
func (f *Subflow) LastReceived() time.Time { return f.lastIn }

// LastData is when the newest segment with data came from the peer, in order or not.
func (f *Subflow) LastData() time.Time { return f.lastData }

// PeerReset is what the peer's RST said, or nil.
func (f *Subflow) PeerReset() *ResetError { return f.peerReset }

// PeerFinTaken reports whether the peer's FIN has been received in order.
func (f *Subflow) PeerFinTaken() bool { return f.finTaken }

// FinSent reports whether our FIN has left.
func (f *Subflow) FinSent() bool { return f.finSent }

// FinAcked reports whether the peer has acknowledged our FIN.
func (f *Subflow) FinAcked() bool { return f.finAcked }

// Find returns the sequence number of the byte d if that is among those received in order from
// pos on; the first, if it came several times.
func (f *Subflow) Find(d seq.DSN, pos seq.SSN) (seq.SSN, bool) {
	end := f.accounted
	if f.rx.on {
		end = f.rx.from
	}
	for i := f.maps.search(pos); i < len(f.maps.list); i++ {
		m := &f.maps.list[i]
		if m.bad || end.LessEq(m.start) {
			break
		}
		from := max(0, pos.Sub(m.start)) // the mapping of a byte that was read stays until all of its bytes were
		n := min(m.n, end.Sub(m.start))
		if m.dsn.Add(from).LessEq(d) && d.Less(m.dsn.Add(n)) {
			return m.start.Add(int(d.Sub(m.dsn))), true
		}
	}
	if f.rx.on && !d.Less(f.plainDSN(end)) && d.Less(f.rx.next) {
		return end.Add(int(d.Sub(f.plainDSN(end)))), true
	}
	return 0, false
}

// ReadStart is the sequence number of the first payload byte of the peer.
func (f *Subflow) ReadStart() seq.SSN { return f.irs.Add(1) }

// Accounted is how far received bytes have been handed to the connection.
func (f *Subflow) Accounted() seq.SSN { return f.accounted }

// EndpointUp tells that the endpoint below has completed its handshake: from now on it
// need not see pure ACKs.
func (f *Subflow) EndpointUp() { f.endpointUp = true }

// SetResetOption sets the option that rides on the RST when the endpoint is aborted: a
// Reset or a FastClose.
func (f *Subflow) SetResetOption(o option.Option) { f.resetWith = o }

// Close ends the subflow as far as this package is concerned: nothing is sent any more
// but what the endpoint below sends, which is still translated.
func (f *Subflow) Close() {
	if f.sender != nil {
		f.sender.Close()
	}
	f.state = Closed
	f.sums = rxSums{}
}

// SetClosing stops new data; what was placed is still sent.
func (f *Subflow) SetClosing() {
	if f.state < Closing {
		f.state = Closing
	}
}

// RxRun describes readable bytes at the head of the subflow.
type RxRun struct {
	DSN seq.DSN
	// N is the number of bytes with consecutive DSNs, 0 if there are none to read.
	N int
}

// ReadableAt returns the run of bytes at pos, as long as it continues in both
// sequence spaces, at most limit bytes.
func (f *Subflow) ReadableAt(pos seq.SSN, limit int) RxRun {
	end := f.accounted
	if f.rx.on {
		end = f.rx.from
	}
	var r RxRun
	for i := f.maps.search(pos); i < len(f.maps.list) && r.N < limit && pos.Less(end); i++ {
		m := &f.maps.list[i]
		if pos.Less(m.start) || m.bad {
			break
		}
		off := pos.Sub(m.start)
		d := m.dsn.Add(off)
		if r.N == 0 {
			r.DSN = d
		} else if d != r.DSN.Add(r.N) {
			break
		}
		n := min(m.n-off, end.Sub(pos), limit-r.N)
		r.N += n
		pos = pos.Add(n)
	}
	if f.rx.on && end.LessEq(pos) && (r.N == 0 || r.DSN.Add(r.N) == f.plainDSN(pos)) {
		if r.N == 0 {
			r.DSN = f.plainDSN(pos)
		}
		r.N += min(f.accounted.Sub(pos), limit-r.N)
	}
	return r
}

// Forget tells that all bytes before pos have been read.
func (f *Subflow) Forget(pos seq.SSN) {
	f.maps.dropBelow(pos)
	if f.rx.on {
		f.rx.from = f.rx.from.Max(pos)
	}
}

// mss is the payload of a full segment when the options take room bytes.
func (f *Subflow) mss(room int) int { return f.mssOf(f.linkMTU(), room) }

// mssOf is the same for IP packets of up to mtu bytes.
func (f *Subflow) mssOf(mtu, room int) int {
	ip := packet.IPv6Len
	if f.Local.Addr().Unmap().Is4() {
		ip = packet.IPv4MinLen
	}
	mss := mtu - ip - packet.TCPMinLen
	if f.peerMSS > 0 {
		mss = min(mss, f.peerMSS)
	}
	if f.timestamps {
		room += option.TimestampsSize
	}
	return max(mss-room, 64)
}

// MSS is the payload of a full segment in bytes.
func (f *Subflow) MSS() int { return f.mss(f.dataRoom()) }

// dataRoom is what the MPTCP option of a data segment takes, at most.
func (f *Subflow) dataRoom() int {
	if f.Shared.Mode != MPTCP {
		return 0
	}
	room := 20
	if f.Shared.Wide {
		room += 4
	}
	if f.Shared.WideDSN {
		room += 4
	}
	if f.Kind == Initial && f.Role == Opener && !f.Shared.PeerConfirmed {
		room = max(room, 24) // MP_CAPABLE with data
	}
	return room
}

// startSender makes the sender when the TCP handshake has passed.
func (f *Subflow) startSender(now time.Time) {
	if f.sender != nil {
		return
	}
	f.room = f.dataRoom()
	mss := f.mss(f.room)
	burst := mss
	if f.Link.Features().GSO {
		burst = maxSegment / mss * mss
	}
	f.sender = NewSender(&SenderConfig{
		ISS: uint32(f.iss), MSS: mss, MaxBurst: burst,
		Controller: f.Controller(), Siblings: f.Siblings,
		Now: now, HandshakeRTT: f.rtt, PeerWindow: f.peerWindow, NoSACK: !f.sackOK,
		Emit: f.emit, TimedOut: f.timedOut,
	})
	f.tx.dsn = f.Shared.LocalIDSN.Add(1)
	f.mapped, f.mappedKnown = f.Shared.RcvNxt, f.Kind == Initial
	if f.Shared.Mode == Plain {
		f.rx = rxInfinite{on: true, from: f.accounted, next: f.Shared.RcvNxt}
	}
}

// maxSegment is the largest payload of a super-segment: 64 KB less headers, and less
// than the 16-bit Data-Level Length can say.
const maxSegment = tun.MaxPacketSize - packet.IPv6Len - packet.TCPMinLen - packet.MaxOptionsLen

// updateMSS follows a change of what the options take.
func (f *Subflow) updateMSS() {
	if f.sender != nil {
		f.room = f.dataRoom()
		f.sender.SetMSS(f.mss(f.room))
	}
}

// confirm notes that the peer has both keys.
func (f *Subflow) confirm() {
	if !f.Shared.PeerConfirmed {
		f.Shared.PeerConfirmed = true
		f.updateMSS()
	}
}
