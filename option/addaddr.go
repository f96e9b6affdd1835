package option

import (
	"encoding/binary"
	"net/netip"
)

const (
	echoBit         = 0x01 // E of ADD_ADDR
	addAddrHMACSize = 8
)

// AddAddr is the ADD_ADDR option (RFC 8684 section 3.4.1): a host announces an
// address of its own, or echoes such an announcement to confirm it. The zero
// value is invalid.
type AddAddr struct {
	// Echo (E): this confirms an announcement of the peer; HMAC is absent.
	Echo bool
	// ID stands for the address from now on.
	ID AddrID
	// Addr is the address. Port 0 means that the option has no port. An IPv4-mapped
	// IPv6 address travels as IPv6 (Unmap it first if that is not meant); a zone does
	// not travel.
	Addr netip.AddrPort
	// HMAC proves who announces; see AddAddrHMAC.
	HMAC [8]byte
}

// NewAddAddr returns the announcement of addr under id, signed with own, the
// announcing host's key.
func NewAddAddr(own, peer Key, id AddrID, addr netip.AddrPort) AddAddr {
	return AddAddr{ID: id, Addr: addr, HMAC: AddAddrHMAC(own, peer, id, addr)}
}

// Verify reports, in constant time, whether the announcement was signed with
// the key peer; own is the key of the host that received it (the caller).
func (a AddAddr) Verify(own, peer Key) bool {
	want := AddAddrHMAC(peer, own, a.ID, a.Addr)
	return EqualHMAC(a.HMAC[:], want[:])
}

// Reply returns the echo that confirms the announcement a (8684-Q-03).
func (a AddAddr) Reply() AddAddr { return AddAddr{Echo: true, ID: a.ID, Addr: a.Addr} }

// Subtype returns SubtypeAddAddr.
func (AddAddr) Subtype() Subtype { return SubtypeAddAddr }

// Size returns the encoded length: 16, 18, 28 or 30 bytes, or for an echo 8, 10,
// 20 or 22 (8684-W-08).
func (a AddAddr) Size() int {
	n := 4 + 16
	if a.Addr.Addr().Is4() {
		n = 4 + 4
	}
	if a.Addr.Port() != 0 {
		n += 2
	}
	if !a.Echo {
		n += addAddrHMACSize
	}
	return n
}

// AppendTo appends the encoded option to b. It panics if the address is invalid.
func (a AddAddr) AppendTo(b []byte) []byte {
	b = appendHeader(b, a.Size(), SubtypeAddAddr, bit(a.Echo, echoBit))
	b = append(b, byte(a.ID))
	b = appendAddr(b, a.Addr.Addr())
	if port := a.Addr.Port(); port != 0 {
		b = binary.BigEndian.AppendUint16(b, port)
	}
	if !a.Echo {
		b = append(b, a.HMAC[:]...)
	}
	return b
}

func (AddAddr) sealed() {}

// appendAddr appends the 4 or 16 bytes of addr.
func appendAddr(b []byte, addr netip.Addr) []byte {
	switch {
	case addr.Is4():
		a4 := addr.As4()
		return append(b, a4[:]...)
	case addr.Is6():
		a16 := addr.As16()
		return append(b, a16[:]...)
	}
	panic("option: invalid address")
}

// validAddAddr: the length is one of those that E allows (8684-W-08).
func validAddAddr(b []byte) bool {
	size := len(b)
	if b[2]&echoBit == 0 {
		size -= addAddrHMACSize
	}
	switch size {
	case 8, 10, 20, 22:
		return true
	}
	return false
}

// decodeAddAddr decodes an option that validAddAddr accepts.
func decodeAddAddr(b []byte) AddAddr {
	a := AddAddr{Echo: b[2]&echoBit != 0, ID: AddrID(b[3])}
	rest := b[4:]
	if !a.Echo {
		n := len(rest) - addAddrHMACSize
		a.HMAC, rest = [8]byte(rest[n:]), rest[:n]
	}
	var addr netip.Addr
	if len(rest) < 16 {
		addr, rest = netip.AddrFrom4([4]byte(rest)), rest[4:]
	} else {
		addr, rest = netip.AddrFrom16([16]byte(rest)), rest[16:]
	}
	var port uint16
	if len(rest) > 0 {
		port = binary.BigEndian.Uint16(rest)
	}
	a.Addr = netip.AddrPortFrom(addr, port)
	return a
}
