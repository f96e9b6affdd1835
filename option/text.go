package option

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// String returns the key in hexadecimal. Who reads it can join the connection,
// as who saw the handshake can: mind where it is logged.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// String returns the token in hexadecimal, as ss -M prints it.
func (t Token) String() string { return fmt.Sprintf("%08x", uint32(t)) }

// String returns the nonce in hexadecimal.
func (n Nonce) String() string { return hex.EncodeToString(n[:]) }

var capableFormNames = [...]string{
	CapableSyn: "SYN", CapableSynAck: "SYN/ACK", CapableAck: "ACK", CapableData: "data", CapableDataChecksum: "data+csum",
}

// String returns the name of the packet that the form rides on.
func (f CapableForm) String() string {
	if f >= CapableSyn && f <= CapableDataChecksum {
		return capableFormNames[f]
	}
	return fmt.Sprintf("form %d", uint8(f))
}

// String returns the letters of the set bits, such as "AH".
func (f CapableFlags) String() string {
	var letters []byte
	for i, letter := range []byte("ABCDEFGH") {
		if f&(0x80>>i) != 0 {
			letters = append(letters, letter)
		}
	}
	return string(letters)
}

// String is, for example, "MP_CAPABLE v1 ACK flags=AH key=... peer=...".
func (c MPCapable) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "MP_CAPABLE v%d %v flags=%v", c.Version, c.Form, c.Flags)
	if c.Form >= CapableSynAck {
		fmt.Fprintf(&s, " key=%v", c.SenderKey)
	}
	if c.Form >= CapableAck {
		fmt.Fprintf(&s, " peer=%v", c.ReceiverKey)
	}
	if c.HasData() {
		fmt.Fprintf(&s, " len=%d", c.DataLen)
	}
	if c.Form == CapableDataChecksum {
		fmt.Fprintf(&s, " csum=%04x", c.Checksum)
	}
	return s.String()
}

// String is, for example, "MP_JOIN SYN id=2 token=ccad45ac nonce=a1a2a3a4 backup".
func (j JoinSyn) String() string {
	return fmt.Sprintf("MP_JOIN SYN id=%d token=%v nonce=%v%s", j.ID, j.Token, j.Nonce, word(j.Backup, " backup"))
}

// String is, for example, "MP_JOIN SYN/ACK id=0 hmac=... nonce=b1b2b3b4".
func (j JoinSynAck) String() string {
	return fmt.Sprintf("MP_JOIN SYN/ACK id=%d hmac=%x nonce=%v%s", j.ID, j.HMAC, j.Nonce, word(j.Backup, " backup"))
}

// String is, for example, "MP_JOIN ACK hmac=...".
func (j JoinAck) String() string { return fmt.Sprintf("MP_JOIN ACK hmac=%x", j.HMAC) }

// String is, for example, "DSS ack=d29d6f78 dsn=f5a101d3d29d6f78 ssn=6 len=6
// csum=ca1a fin"; the numbers have the digits that travel.
func (d DSS) String() string {
	var s strings.Builder
	s.WriteString("DSS")
	if d.HasAck {
		s.WriteString(" ack=" + number(d.Ack, d.Ack64))
	}
	if d.HasMap {
		fmt.Fprintf(&s, " dsn=%s ssn=%d len=%d", number(d.DSN, d.DSN64), d.SSN, d.Len)
		if d.HasChecksum {
			fmt.Fprintf(&s, " csum=%04x", d.Checksum)
		}
		s.WriteString(word(d.DataFin, " fin"))
	}
	return s.String()
}

// String is, for example, "ADD_ADDR id=3 192.0.2.5:8443 hmac=..." or "ADD_ADDR
// echo id=3 192.0.2.5".
func (a AddAddr) String() string {
	addr := a.Addr.Addr().String()
	if a.Addr.Port() != 0 {
		addr = a.Addr.String()
	}
	if a.Echo {
		return fmt.Sprintf("ADD_ADDR echo id=%d %s", a.ID, addr)
	}
	return fmt.Sprintf("ADD_ADDR id=%d %s hmac=%x", a.ID, addr, a.HMAC)
}

// String is, for example, "REMOVE_ADDR ids=[3 9]".
func (r RemoveAddr) String() string { return fmt.Sprintf("REMOVE_ADDR ids=%v", r.ids[:r.n]) }

// String is "MP_PRIO" or "MP_PRIO backup".
func (p Prio) String() string { return "MP_PRIO" + word(p.Backup, " backup") }

// String is, for example, "MP_FAIL dsn=f5a101d3d29d6f78".
func (f Fail) String() string { return "MP_FAIL dsn=" + number(uint64(f.DSN), true) }

// String is, for example, "MP_FASTCLOSE key=1112131415161718".
func (f FastClose) String() string { return fmt.Sprintf("MP_FASTCLOSE key=%v", f.ReceiverKey) }

var reasonNames = [...]string{
	ReasonUnspecified: "unspecified", ReasonMPTCP: "MPTCP-specific error", ReasonResources: "lack of resources",
	ReasonProhibited: "administratively prohibited", ReasonOutstanding: "too much outstanding data",
	ReasonPerformance: "unacceptable performance", ReasonMiddlebox: "middlebox interference",
}

// String returns the RFC's words for the reason, such as "lack of resources".
func (r ResetReason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason 0x%02x", uint8(r))
}

// String is, for example, "MP_TCPRST transient: too much outstanding data".
func (r Reset) String() string {
	return "MP_TCPRST" + word(r.Transient, " transient") + ": " + r.Reason.String()
}

// String returns the MPTCP options, separated by "; ".
func (s *Set) String() string {
	var parts []string
	for o := range s.All() {
		parts = append(parts, o.String())
	}
	return strings.Join(parts, "; ")
}

// word returns w if set is true and nothing otherwise.
func word(set bool, w string) string {
	if set {
		return w
	}
	return ""
}

// number returns the 8 or 16 hexadecimal digits that travel of v.
func number(v uint64, is64 bool) string {
	if is64 {
		return fmt.Sprintf("%016x", v)
	}
	return fmt.Sprintf("%08x", uint32(v))
}
