package script

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gomptcp/gomptcp/option"
)

// Part is something that a segment has: put into one that is sent, looked for in one that
// is expected.
type Part interface {
	fmt.Stringer
	put(d *draft) error
	check(s *Segment) error
}

// part is a Part made of functions.
type part struct {
	name    string
	putFn   func(d *draft) error
	checkFn func(s *Segment) error
}

func (p part) String() string { return p.name }

func (p part) put(d *draft) error {
	if p.putFn == nil {
		return errors.New("it can only be looked for")
	}
	return p.putFn(d)
}

func (p part) check(s *Segment) error {
	if p.checkFn == nil {
		return errors.New("it can only be sent, and is looked for")
	}
	return p.checkFn(s)
}

// Flags are the control bits of a segment. An expected segment has just these, but for PSH.
type Flags uint8

// The control bits.
const (
	FIN Flags = 0x01
	SYN Flags = 0x02
	RST Flags = 0x04
	PSH Flags = 0x08
	ACK Flags = 0x10
)

// String gives the names of the bits.
func (f Flags) String() string {
	var names []string
	for i, n := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, "|")
}

func (f Flags) put(d *draft) error {
	d.flags |= f
	return nil
}

func (f Flags) check(s *Segment) error {
	if s.Flags&^PSH != f&^PSH {
		return fmt.Errorf("the flags are %v", s.Flags)
	}
	return nil
}

// number is a Part that is one number of the header.
func number(name string, want uint32, set func(d *draft), get func(s *Segment) uint32) Part {
	return part{
		fmt.Sprintf("%s %d", name, want),
		func(d *draft) error { set(d); return nil },
		func(s *Segment) error {
			if got := get(s); got != want {
				return fmt.Errorf("%s is %d", name, int32(got))
			}
			return nil
		},
	}
}

// Seq is the sequence number: 0 for the SYN, 1 for the first byte.
func Seq(n uint32) Part {
	return number("seq", n, func(d *draft) { d.seq = d.p.iss + n }, func(s *Segment) uint32 { return s.Seq })
}

// AckNo is the acknowledgment number, relative to the other side's SYN.
func AckNo(n uint32) Part {
	return number("ack", n, func(d *draft) { d.ack = d.p.irs + n }, func(s *Segment) uint32 { return s.Ack })
}

// Win is the window field.
func Win(n uint16) Part {
	return number("window", uint32(n), func(d *draft) { d.window = n }, func(s *Segment) uint32 { return uint32(s.Window) })
}

// Len is the number of payload bytes of an expected segment.
func Len(n int) Part {
	return part{name: fmt.Sprintf("%d bytes", n), checkFn: func(s *Segment) error {
		if len(s.Payload) != n {
			return fmt.Errorf("there are %d bytes", len(s.Payload))
		}
		return nil
	}}
}

// SomeData is a payload, whichever.
var SomeData Part = part{name: "data", checkFn: func(s *Segment) error {
	if len(s.Payload) == 0 {
		return errors.New("there is no data")
	}
	return nil
}}

// Data is the payload.
func Data(payload string) Part {
	return part{
		fmt.Sprintf("data %.40q", payload),
		func(d *draft) error {
			d.flags |= ACK | PSH
			d.payload = []byte(payload)
			return nil
		},
		func(s *Segment) error {
			if string(s.Payload) != payload {
				return fmt.Errorf("the data is %.40q", s.Payload)
			}
			return nil
		},
	}
}

// SYNData is a payload that rides on a SYN of the peer.
func SYNData(payload string) Part {
	return part{name: fmt.Sprintf("data %.40q", payload), putFn: func(d *draft) error { d.payload = []byte(payload); return nil }}
}

// NoMPTCP says that there is no option 30 that means anything.
var NoMPTCP Part = part{"no MPTCP option", func(*draft) error { return nil }, func(s *Segment) error {
	if s.Options.HasMPTCP() {
		return fmt.Errorf("there is %v", &s.Options)
	}
	return nil
}}

// Without says that an expected segment has no option of a subtype.
func Without(t option.Subtype) Part {
	return part{name: "no " + t.String(), checkFn: func(s *Segment) error {
		if s.Options.Has(t) {
			return fmt.Errorf("there is %v", &s.Options)
		}
		return nil
	}}
}

// With says that an expected segment has an option of a subtype.
func With(t option.Subtype) Part {
	return part{name: t.String(), checkFn: func(s *Segment) error {
		if !s.Options.Has(t) {
			return fmt.Errorf("there is no %v", t)
		}
		return nil
	}}
}

// Option is an option, as it stands.
func Option(o option.Option) Part {
	return part{
		o.String(),
		func(d *draft) error { d.options = append(d.options, o); return nil },
		func(s *Segment) error {
			for got := range s.Options.All() {
				if got == o {
					return nil
				}
			}
			return fmt.Errorf("the options are %v", &s.Options)
		},
	}
}

// Reset is MP_TCPRST with a reason.
func Reset(r option.ResetReason) Part { return Option(option.Reset{Reason: r}) }

// Raw is option bytes of any kind, kind and length included, for what package option does
// not say.
func Raw(b ...byte) Part {
	return part{name: fmt.Sprintf("option %x", b), putFn: func(d *draft) error { d.raw = append(d.raw, b...); return nil }}
}
