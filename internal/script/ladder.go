package script

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// ladder records the exchange of all subflows, for a person to read.
type ladder struct {
	mu    sync.Mutex // guards what follows
	rungs []rung
}

// rung is a packet, or what a test says of the next one.
type rung struct {
	at   time.Duration
	from string // the end that sent it
	what string // of packets that were dropped; of a sentence, all
	b    []byte
}

// record is the world's recorder.
func (l *ladder) record(e simnet.Event) {
	r := rung{at: e.At, from: e.Direction.Name(), b: append([]byte(nil), e.Packet...)}
	switch e.Kind {
	case simnet.Entered:
	case simnet.Arrived:
		return
	default:
		r.what = e.Kind.String()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rungs = append(l.rungs, r)
}

func (l *ladder) say(at time.Duration, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rungs = append(l.rungs, rung{at: at, what: what})
}

// maxRungs is how many of the last packets are shown.
const maxRungs = 200

// String draws it: what the host sends points to the right, what the peer sends to the left;
// numbers are relative to the SYNs, the times those of sending.
func (l *ladder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := make(map[[2]netip.AddrPort]uint32) // sequence number of the SYN, by direction
	var idsn dataNumbers
	var lines []string
	for _, r := range l.rungs {
		if r.b == nil {
			lines = append(lines, fmt.Sprintf("%9.3f  # %s", r.at.Seconds(), r.what))
			continue
		}
		t, ok := packet.ParseTCP(r.b)
		if !ok {
			continue
		}
		there, back := [2]netip.AddrPort{t.Src(), t.Dst()}, [2]netip.AddrPort{t.Dst(), t.Src()}
		if Flags(t.Flags())&SYN != 0 {
			first[there] = t.Seq()
		}
		fromHost := strings.HasPrefix(r.from, "host-")
		lines = append(lines, fmt.Sprintf("%9.3f  %s", r.at.Seconds(), line(r, t, fromHost, first[there], first[back])+idsn.text(t, fromHost)))
	}
	omitted := ""
	if n := len(lines) - maxRungs; n > 0 {
		omitted, lines = fmt.Sprintf("… %d lines before\n", n), lines[n:]
	}
	return "   time s  host ──> peer, and back\n" + omitted + strings.Join(lines, "\n")
}

// dataNumbers are the IDSNs of the host's data and of the peer's, once their keys were seen.
type dataNumbers struct{ host, peer *seq.DSN }

// text gives the numbers of a DSS relative to the IDSNs.
func (d *dataNumbers) text(t packet.TCP, fromHost bool) string {
	own, other := &d.peer, &d.host
	if fromHost {
		own, other = other, own
	}
	set := option.Parse(t.Options(), t.Flags())
	if c, ok := set.Capable(); ok && c.Form >= option.CapableSynAck {
		idsn := c.SenderKey.IDSN()
		*own = &idsn
	}
	dss, _ := set.DSS()
	var words []string
	if dss.HasMap && *own != nil {
		words = append(words, fmt.Sprintf("dsn %d", dss.WideDSN(**own).Sub(**own)))
	}
	if dss.HasAck && *other != nil {
		words = append(words, fmt.Sprintf("data ack %d", dss.WideAck(**other).Sub(**other)))
	}
	if len(words) == 0 {
		return ""
	}
	return "  (" + strings.Join(words, ", ") + ")"
}

// line is a packet.
func line(r rung, t packet.TCP, fromHost bool, seqBase, ackBase uint32) string {
	ack := ""
	if Flags(t.Flags())&ACK != 0 {
		ack = fmt.Sprintf(" ack %d", t.Ack()-ackBase)
	}
	head := fmt.Sprintf("%v %d:%d(%d)%s win %d", Flags(t.Flags()), t.Seq()-seqBase, t.Seq()-seqBase+uint32(t.PayloadLen()), t.PayloadLen(), ack, t.Window())
	// An end is called host-peer, the one on the second path host-peer/2.
	_, path, numbered := strings.Cut(r.from, "/")
	if !numbered {
		path = "1"
	}
	arrow, port := fmt.Sprintf("<── %-44s", head), t.Dst().Port()
	if fromHost {
		arrow = fmt.Sprintf("──> %-44s", head)
	}
	if port == Port {
		port = t.Src().Port()
	}
	name := fmt.Sprintf("path %s port %d", path, port)
	set := option.Parse(t.Options(), t.Flags())
	notes := set.String()
	if blocks, n := set.SACK(); n > 0 {
		for _, b := range blocks[:n] {
			notes += fmt.Sprintf(" SACK %d-%d", uint32(b.Left)-ackBase, uint32(b.Right)-ackBase)
		}
	}
	if r.what != "" {
		notes += "  [" + r.what + "]"
	}
	return fmt.Sprintf("%s  %s  %s", arrow, name, notes)
}
