package option

import "encoding/binary"

// The encoded lengths of the forms of MP_JOIN (8684-W-05).
const (
	joinSynSize    = 12
	joinSynAckSize = 16
	joinAckSize    = 24
)

const backupBit = 0x01 // B of MP_JOIN and MP_PRIO

// JoinSyn is the MP_JOIN of a SYN (RFC 8684 section 3.2): it asks for a further
// subflow.
type JoinSyn struct {
	// Backup (B): please send here only when no other subflow works.
	Backup bool
	// ID stands for the source address of this packet.
	ID AddrID
	// Token identifies the connection to the receiver: it is made from the
	// receiver's key.
	Token Token
	// Nonce is the sender's.
	Nonce Nonce
}

// JoinSynAck is the MP_JOIN of a SYN/ACK (RFC 8684 section 3.2).
type JoinSynAck struct {
	// Backup (B): please send here only when no other subflow works.
	Backup bool
	// ID stands for the source address of this packet.
	ID AddrID
	// HMAC is the leftmost 64 bits of the responder's JoinHMAC.
	HMAC [8]byte
	// Nonce is the responder's.
	Nonce Nonce
}

// JoinAck is the MP_JOIN of the third packet (RFC 8684 section 3.2).
type JoinAck struct {
	// HMAC is the leftmost 160 bits of the opener's JoinHMAC.
	HMAC [20]byte
}

// NewJoinSynAck returns the answer to a SYN that carried peerNonce, signed with
// own, the responder's key. ID and Backup are the caller's to set.
func NewJoinSynAck(own, peer Key, ownNonce, peerNonce Nonce) JoinSynAck {
	d := JoinHMAC(own, peer, ownNonce, peerNonce)
	return JoinSynAck{HMAC: [8]byte(d[:]), Nonce: ownNonce}
}

// NewJoinAck returns the third packet's option, signed with own, the opener's key.
func NewJoinAck(own, peer Key, ownNonce, peerNonce Nonce) JoinAck {
	d := JoinHMAC(own, peer, ownNonce, peerNonce)
	return JoinAck{HMAC: [20]byte(d[:])}
}

// Verify reports, in constant time, whether the responder holds the key peer;
// own and ownNonce are the opener's (the caller's).
func (j JoinSynAck) Verify(own, peer Key, ownNonce Nonce) bool {
	d := JoinHMAC(peer, own, j.Nonce, ownNonce)
	return EqualHMAC(j.HMAC[:], d[:len(j.HMAC)])
}

// Verify reports, in constant time, whether the opener holds the key peer; own
// and ownNonce are the responder's (the caller's), peerNonce came with the SYN.
func (j JoinAck) Verify(own, peer Key, ownNonce, peerNonce Nonce) bool {
	d := JoinHMAC(peer, own, peerNonce, ownNonce)
	return EqualHMAC(j.HMAC[:], d[:len(j.HMAC)])
}

// Subtype returns SubtypeJoin.
func (JoinSyn) Subtype() Subtype { return SubtypeJoin }

// Subtype returns SubtypeJoin.
func (JoinSynAck) Subtype() Subtype { return SubtypeJoin }

// Subtype returns SubtypeJoin.
func (JoinAck) Subtype() Subtype { return SubtypeJoin }

// Size returns the encoded length, 12 bytes.
func (JoinSyn) Size() int { return joinSynSize }

// Size returns the encoded length, 16 bytes.
func (JoinSynAck) Size() int { return joinSynAckSize }

// Size returns the encoded length, 24 bytes.
func (JoinAck) Size() int { return joinAckSize }

// AppendTo appends the encoded option to b.
func (j JoinSyn) AppendTo(b []byte) []byte {
	b = appendHeader(b, joinSynSize, SubtypeJoin, bit(j.Backup, backupBit))
	b = append(b, byte(j.ID))
	b = binary.BigEndian.AppendUint32(b, uint32(j.Token))
	return append(b, j.Nonce[:]...)
}

// AppendTo appends the encoded option to b.
func (j JoinSynAck) AppendTo(b []byte) []byte {
	b = appendHeader(b, joinSynAckSize, SubtypeJoin, bit(j.Backup, backupBit))
	b = append(b, byte(j.ID))
	b = append(b, j.HMAC[:]...)
	return append(b, j.Nonce[:]...)
}

// AppendTo appends the encoded option to b.
func (j JoinAck) AppendTo(b []byte) []byte {
	b = appendHeader(b, joinAckSize, SubtypeJoin, 0)
	b = append(b, 0)
	return append(b, j.HMAC[:]...)
}

func (JoinSyn) sealed()    {}
func (JoinSynAck) sealed() {}
func (JoinAck) sealed()    {}

func validJoin(b []byte) bool {
	return len(b) == joinSynSize || len(b) == joinSynAckSize || len(b) == joinAckSize
}

// joinFits reports whether a valid MP_JOIN is in its place on a segment with
// the given flags (8684-W-05, 8684-Q-23).
func joinFits(b []byte, tcpFlags uint8) bool {
	switch len(b) {
	case joinSynSize:
		return isSyn(tcpFlags)
	case joinSynAckSize:
		return isSynAck(tcpFlags)
	default:
		return isAck(tcpFlags)
	}
}

func decodeJoinSyn(b []byte) JoinSyn {
	return JoinSyn{
		Backup: b[2]&backupBit != 0,
		ID:     AddrID(b[3]),
		Token:  Token(binary.BigEndian.Uint32(b[4:])),
		Nonce:  Nonce(b[8:]),
	}
}

func decodeJoinSynAck(b []byte) JoinSynAck {
	return JoinSynAck{Backup: b[2]&backupBit != 0, ID: AddrID(b[3]), HMAC: [8]byte(b[4:]), Nonce: Nonce(b[12:])}
}

func decodeJoinAck(b []byte) JoinAck { return JoinAck{HMAC: [20]byte(b[4:])} }

// decodeJoin decodes an option that validJoin accepts.
func decodeJoin(b []byte) Option {
	switch len(b) {
	case joinSynSize:
		return decodeJoinSyn(b)
	case joinSynAckSize:
		return decodeJoinSynAck(b)
	default:
		return decodeJoinAck(b)
	}
}
