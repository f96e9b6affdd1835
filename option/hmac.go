package option

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
)

// Digest is a whole HMAC-SHA256. Options carry parts of it.
type Digest = [sha256.Size]byte

// JoinHMAC returns the HMAC that the holder of own proves itself with in an
// MP_JOIN handshake: the own key and the own nonce come first, whichever side
// opened the connection or the subflow (8684-W-16, 8684-W-17). The SYN/ACK
// carries the leftmost 8 bytes, the third packet the leftmost 20.
//
// To check what a peer sent, use [JoinSynAck.Verify] and [JoinAck.Verify].
func JoinHMAC(own, peer Key, ownNonce, peerNonce Nonce) Digest {
	var msg [2 * len(ownNonce)]byte
	copy(msg[:], ownNonce[:])
	copy(msg[len(ownNonce):], peerNonce[:])
	return sign(own, peer, msg[:])
}

// AddAddrHMAC returns the HMAC with which the holder of own announces addr: the
// rightmost 8 bytes of the whole digest (8684-W-18, 8684-Q-01). Port 0 means
// that the option carries no port; the HMAC is the same. An IPv4-mapped IPv6
// address counts as IPv6. It panics if the address is invalid.
//
// To check what a peer sent, use [AddAddr.Verify].
func AddAddrHMAC(own, peer Key, id AddrID, addr netip.AddrPort) [8]byte {
	msg := make([]byte, 0, 1+16+2)
	msg = append(msg, byte(id))
	msg = appendAddr(msg, addr.Addr())
	msg = append(msg, byte(addr.Port()>>8), byte(addr.Port()))
	digest := sign(own, peer, msg)
	return [8]byte(digest[len(digest)-8:])
}

// EqualHMAC reports whether two HMACs, cut to the same length, are equal. It
// takes the same time wherever they differ.
func EqualHMAC(a, b []byte) bool { return hmac.Equal(a, b) }

func sign(own, peer Key, msg []byte) Digest {
	var key [len(own) + len(peer)]byte
	copy(key[:], own[:])
	copy(key[len(own):], peer[:])
	h := hmac.New(sha256.New, key[:])
	h.Write(msg)
	var d Digest
	h.Sum(d[:0])
	return d
}
