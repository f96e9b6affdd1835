package script

import (
	"errors"
	"fmt"

	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
)

// Capable is the MP_CAPABLE that belongs on the segment: without a key on a SYN, with the
// own one on a SYN/ACK, with both on an ACK, and with length and checksum if that has data.
// An expected one has version 1, the flag H, the flag A as it has to be, and the right keys;
// the peer learns the host's key from it.
var Capable Part = part{"MP_CAPABLE", func(d *draft) error { d.capable = true; return nil }, checkCapable}

// CapableFlags is Capable with other flags; an expected one has just these.
func CapableFlags(f option.CapableFlags) Part {
	return part{
		fmt.Sprintf("MP_CAPABLE with flags %02x", uint8(f)),
		func(d *draft) error { d.capable, d.flagBits = true, &f; return nil },
		func(s *Segment) error {
			c, ok := s.Options.Capable()
			if !ok || c.Flags != f {
				return fmt.Errorf("the options are %v", &s.Options)
			}
			return s.p.l.learn(c)
		},
	}
}

func checkCapable(s *Segment) error {
	c, ok := s.Options.Capable()
	if !ok {
		return errors.New("there is no MP_CAPABLE")
	}
	l := s.p.l
	if err := l.learn(c); err != nil {
		return err
	}
	if c.Version != option.Version || c.Flags&^option.ChecksumRequired != option.HMACSHA256 {
		return fmt.Errorf("it is %v", c)
	}
	if c.Form >= option.CapableAck && c.Flags.Has(option.ChecksumRequired) != l.Checksum {
		return fmt.Errorf("flag A does not tell what was negotiated in %v", c)
	}
	if c.HasData() != (len(s.Payload) > 0) {
		return fmt.Errorf("the form does not fit %d bytes of data: %v", len(s.Payload), c)
	}
	if !c.HasData() {
		return nil
	}
	if (c.Form == option.CapableDataChecksum) != l.Checksum {
		return fmt.Errorf("the checksum is not as negotiated: %v", c)
	}
	if int(c.DataLen) == len(s.Payload) && l.Checksum &&
		!option.VerifyDSSChecksum(uint64(l.HostKey.IDSN()+1), 1, c.DataLen, option.SumBytes(s.Payload), c.Checksum) {
		return fmt.Errorf("the checksum is wrong: %v", c)
	}
	return nil
}

// learn takes the keys and flags of a MP_CAPABLE of the host over, and checks those that
// are known.
func (l *Lab) learn(c option.MPCapable) error {
	if c.Form <= option.CapableSynAck {
		l.Checksum = l.peerChecksum || c.Flags.Has(option.ChecksumRequired)
	}
	if c.Form >= option.CapableSynAck {
		if l.HostKey.IsZero() {
			l.HostKey = c.SenderKey
		}
		if c.SenderKey != l.HostKey {
			return fmt.Errorf("it has another key of the host, not %v: %v", l.HostKey, c)
		}
	}
	if c.Form >= option.CapableAck && c.ReceiverKey != l.PeerKey {
		return fmt.Errorf("the key of the peer, %v, is not echoed in %v", l.PeerKey, c)
	}
	return nil
}

// Join is the MP_JOIN that belongs on the segment. HMACs are made and checked.
var Join Part = part{"MP_JOIN", func(d *draft) error { d.join = true; return nil }, checkJoin}

// BadHMAC is Join with an HMAC that is wrong in its last bit.
var BadHMAC Part = part{"MP_JOIN with a wrong HMAC", func(d *draft) error { d.join, d.badHMAC = true, true; return nil }, nil}

func checkJoin(s *Segment) error {
	p, l := s.p, s.p.l
	if j, ok := s.Options.JoinSyn(); ok {
		p.HostNonce, p.HostID = j.Nonce, j.ID
		if j.Token != l.PeerKey.Token() {
			return fmt.Errorf("the token is not %v in %v", l.PeerKey.Token(), j)
		}
		return nil
	}
	if j, ok := s.Options.JoinSynAck(); ok {
		p.HostNonce, p.HostID = j.Nonce, j.ID
		if !j.Verify(l.PeerKey, l.HostKey, p.nonce) {
			return fmt.Errorf("the HMAC is wrong in %v", j)
		}
		return nil
	}
	if j, ok := s.Options.JoinAck(); ok {
		if !j.Verify(l.PeerKey, l.HostKey, p.nonce, p.HostNonce) {
			return fmt.Errorf("the HMAC is wrong in %v", j)
		}
		return nil
	}
	return errors.New("there is no MP_JOIN")
}

// capableOption is what Capable puts on the segment.
func (d *draft) capableOption() option.MPCapable {
	l := d.p.l
	c := option.MPCapable{Version: option.Version, Flags: option.HMACSHA256, Form: option.CapableSyn, SenderKey: l.PeerKey, ReceiverKey: l.HostKey}
	switch {
	case d.flags&(SYN|ACK) == SYN|ACK:
		c.Form = option.CapableSynAck
	case d.flags&SYN != 0:
	case len(d.payload) > 0:
		c.Form, c.DataLen = option.CapableData, uint16(len(d.payload))
		if l.Checksum {
			c.Form = option.CapableDataChecksum
			c.Checksum = option.DSSChecksum(uint64(l.PeerKey.IDSN()+1), 1, c.DataLen, option.SumBytes(d.payload))
		}
	default:
		c.Form = option.CapableAck
	}
	if l.peerChecksum || l.Checksum && d.flags&SYN == 0 {
		c.Flags |= option.ChecksumRequired
	}
	if d.flagBits != nil {
		c.Flags = *d.flagBits
	}
	return c
}

// joinOption is what Join puts on the segment.
func (d *draft) joinOption() option.Option {
	p, l := d.p, d.p.l
	switch {
	case d.flags&(SYN|ACK) == SYN|ACK:
		j := option.NewJoinSynAck(l.PeerKey, l.HostKey, p.nonce, p.HostNonce)
		j.ID, j.Backup = p.ID, p.Backup
		if d.badHMAC {
			j.HMAC[7] ^= 1
		}
		return j
	case d.flags&SYN != 0:
		return option.JoinSyn{ID: p.ID, Backup: p.Backup, Token: l.HostKey.Token(), Nonce: p.nonce}
	default:
		j := option.NewJoinAck(l.PeerKey, l.HostKey, p.nonce, p.HostNonce)
		if d.badHMAC {
			j.HMAC[19] ^= 1
		}
		return j
	}
}

// finish turns what was asked for into options.
func (d *draft) finish() error {
	if d.capable {
		d.options = append(d.options, d.capableOption())
	}
	if d.join {
		d.options = append(d.options, d.joinOption())
	}
	if d.dss == nil {
		return nil
	}
	if d.dss.HasMap {
		d.addSum()
	}
	d.options = append(d.options, *d.dss)
	return nil
}

// PeerDSN is the whole of a relative data sequence number of the peer's data.
func (l *Lab) PeerDSN(n int) seq.DSN { return l.PeerKey.IDSN().Add(n) }

// HostDSN is the whole of a relative data sequence number of the host's data.
func (l *Lab) HostDSN(n int) seq.DSN { return l.HostKey.IDSN().Add(n) }

func (d *draft) dssOf() *option.DSS {
	if d.dss == nil {
		d.dss = new(option.DSS)
	}
	return d.dss
}

// DataAck is a DATA_ACK: 1 before any data, then one more than the last byte's number.
func DataAck(n int) Part {
	return part{
		fmt.Sprintf("DATA_ACK %d", n),
		func(d *draft) error {
			d.flags |= ACK
			dss := d.dssOf()
			dss.HasAck, dss.Ack = true, uint64(d.p.l.HostDSN(n))
			return nil
		},
		func(s *Segment) error {
			dss, ok := s.Options.DSS()
			if !ok || !dss.HasAck {
				return errors.New("there is no DATA_ACK")
			}
			if got := dss.WideAck(s.p.l.PeerDSN(n)); got != s.p.l.PeerDSN(n) {
				return fmt.Errorf("DATA_ACK is %d", got.Sub(s.p.l.PeerDSN(0)))
			}
			return nil
		},
	}
}

// Map is a mapping: length bytes of data from dsn on lie at the subflow's ssn. With
// checksums it has one, which is checked if the segment has all its bytes.
func Map(dsn int, ssn uint32, length int) Part { return mapping(dsn, ssn, length, false) }

// MapFin is Map with DATA_FIN, which length counts: 1 for a DATA_FIN alone, and then ssn is 0.
func MapFin(dsn int, ssn uint32, length int) Part { return mapping(dsn, ssn, length, true) }

func mapping(dsn int, ssn uint32, length int, fin bool) Part {
	name := fmt.Sprintf("mapping dsn %d ssn %d len %d", dsn, ssn, length)
	if fin {
		name += " fin"
	}
	return part{
		name,
		func(d *draft) error {
			d.flags |= ACK
			dss := d.dssOf()
			dss.HasMap, dss.DSN, dss.SSN, dss.Len, dss.DataFin = true, uint64(d.p.l.PeerDSN(dsn)), ssn, uint16(length), fin
			return nil
		},
		func(s *Segment) error {
			dss, ok := s.Options.DSS()
			if !ok || !dss.HasMap {
				return errors.New("there is no mapping")
			}
			l := s.p.l
			got := dss.WideDSN(l.HostDSN(dsn))
			if got != l.HostDSN(dsn) || dss.SSN != ssn || int(dss.Len) != length || dss.DataFin != fin {
				return fmt.Errorf("the mapping is dsn %d ssn %d len %d fin %v", got.Sub(l.HostDSN(0)), dss.SSN, dss.Len, dss.DataFin)
			}
			return s.checkSum(dss, got)
		},
	}
}

// checkSum checks the checksum of a mapping.
func (s *Segment) checkSum(dss option.DSS, dsn seq.DSN) error {
	if dss.HasChecksum != s.p.l.Checksum {
		return fmt.Errorf("the checksum is not as negotiated: %v", dss)
	}
	n := int(dss.Len)
	if dss.DataFin {
		n--
	}
	if dss.HasChecksum && dss.Len == 0 && dss.Checksum != 0 {
		return fmt.Errorf("the checksum of an infinite mapping is not 0: %v", dss)
	}
	if !dss.HasChecksum || dss.Len == 0 || n != 0 && (n != len(s.Payload) || dss.SSN != s.Seq) {
		return nil // the segment does not have it all
	}
	if !option.VerifyDSSChecksum(uint64(dsn), dss.SSN, dss.Len, option.SumBytes(s.Payload[:n]), dss.Checksum) {
		return fmt.Errorf("the checksum is wrong: %v", dss)
	}
	return nil
}

// Wide makes the numbers of a DSS 8 bytes long; an expected one has a DATA_ACK of 8 bytes.
var Wide Part = part{"8-byte numbers",
	func(d *draft) error {
		dss := d.dssOf()
		dss.Ack64, dss.DSN64 = true, true
		return nil
	},
	func(s *Segment) error {
		if dss, ok := s.Options.DSS(); !ok || !dss.Ack64 {
			return errors.New("DATA_ACK has not 8 bytes")
		}
		return nil
	},
}

// sumKind says what the checksum of a mapping shall be.
type sumKind uint8

const (
	sumNegotiated sumKind = iota
	sumAbsent
	sumPresent
	sumWrong
)

func sumPart(name string, k sumKind) Part {
	return part{name: name, putFn: func(d *draft) error { d.sum = k; return nil }}
}

// What a mapping's checksum shall be, if not as negotiated.
var (
	NoChecksum    = sumPart("no checksum", sumAbsent)
	WithChecksum  = sumPart("checksum", sumPresent)
	WrongChecksum = sumPart("wrong checksum", sumWrong)
)

// addSum completes the mapping of a segment to be sent.
func (d *draft) addSum() {
	dss := d.dss
	dss.HasChecksum = d.sum == sumPresent || d.sum != sumAbsent && d.p.l.Checksum
	if !dss.HasChecksum || dss.Len == 0 {
		return
	}
	n := int(dss.Len)
	if dss.DataFin {
		n--
	}
	dss.Checksum = option.DSSChecksum(dss.DSN, dss.SSN, dss.Len, option.SumBytes(d.payload[:min(n, len(d.payload))]))
	if d.sum == sumWrong {
		dss.Checksum ^= 0x0100
	}
}
