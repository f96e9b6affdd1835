package option

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// Key is what one host contributes to the secret of a connection: 8 bytes in
// wire order (RFC 8684 section 3.1). The zero Key stands for "none"; [NewKey]
// never returns it.
type Key [8]byte

// Token identifies a connection to the host that chose the key it is made from
// (RFC 8684 section 3.2).
type Token uint32

// AddrID identifies an address of one host within a connection. 0 is the
// address of the initial subflow (RFC 8684 section 3.2).
type AddrID uint8

// Nonce is the random number of one host in one MP_JOIN handshake: 4 bytes in
// wire order (RFC 8684 section 3.2).
type Nonce [4]byte

// NewKey reads a key from random, which has to be hard to predict, such as
// crypto/rand.Reader (RFC 4086). It fails if the reader does or yields the
// zero key. Whether the token is free is the caller's to check (RFC 8684
// section 3.1).
func NewKey(random io.Reader) (Key, error) {
	var k Key
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return Key{}, fmt.Errorf("option: reading random bytes for a key: %w", err)
	}
	if k.IsZero() {
		return Key{}, errors.New("option: the random source yielded a key of all zeros")
	}
	return k, nil
}

// NewNonce reads a nonce from random. It fails only if the reader does. Every
// attempt to join needs a new one.
func NewNonce(random io.Reader) (Nonce, error) {
	var n Nonce
	if _, err := io.ReadFull(random, n[:]); err != nil {
		return Nonce{}, fmt.Errorf("option: reading random bytes for a nonce: %w", err)
	}
	return n, nil
}

// IsZero reports whether k stands for "none".
func (k Key) IsZero() bool { return k == Key{} }

// Token returns the most significant 32 bits of the key's SHA-256 hash
// (8684-W-14).
func (k Key) Token() Token {
	h := sha256.Sum256(k[:])
	return Token(binary.BigEndian.Uint32(h[:4]))
}

// IDSN returns the initial data sequence number: the least significant 64 bits
// of the key's SHA-256 hash (8684-W-15). The first payload byte of the host
// that chose the key has IDSN+1.
func (k Key) IDSN() seq.DSN {
	h := sha256.Sum256(k[:])
	return seq.DSN(binary.BigEndian.Uint64(h[24:]))
}
