package simnet_test

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// ms is n milliseconds.
func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// line is a link between two hosts that have no protocol stack: the test sends from A,
// and what arrives at B is collected.
type line struct {
	t    *testing.T
	w    *simnet.World
	link *simnet.Link
	got  []arrival
}

// arrivals guards line.got. A test that has slept has to hold it for a moment, for the race
// detector does not know that a virtual sleep outlasts all that happens meanwhile.
var arrivals sync.Mutex

func sleep(d time.Duration) {
	time.Sleep(d)
	arrivals.Lock()
	defer arrivals.Unlock()
}

type arrival struct {
	at    time.Duration
	bytes []byte
}

// onLine runs a test on a line.
func onLine(t *testing.T, s simnet.Shape, f func(*testing.T, *line)) {
	t.Helper()
	simnet.Test(t, simnet.Config{Seed: 1}, func(t *testing.T, w *simnet.World) {
		f(t, newLine(t, w, w.Connect(w.Host("a"), w.Host("b"), s, s)))
	})
}

func newLine(t *testing.T, w *simnet.World, link *simnet.Link) *line {
	l := &line{t: t, w: w, link: link}
	go func() {
		for {
			p := []tun.Packet{{Head: make([]byte, tun.MaxPacketSize)}}
			if _, err := link.B.Read(p); err != nil {
				return
			}
			arrivals.Lock()
			l.got = append(l.got, arrival{w.Elapsed(), p[0].Head})
			arrivals.Unlock()
		}
	}()
	return l
}

var (
	addrA = netip.MustParseAddrPort("10.0.0.1:1000")
	addrB = netip.MustParseAddrPort("10.0.0.2:2000")
)

// segment builds a TCP segment from a to b that is size bytes long and has a number.
func segment(number, size int) []byte {
	return build(packet.Fields{Src: addrA, Dst: addrB, Seq: uint32(number), Flags: packet.FlagACK}, bytes.Repeat([]byte{byte(number)}, size-40))
}

func build(f packet.Fields, payload []byte) []byte {
	f.PayloadLen = len(payload)
	b := append(packet.AppendTCP(nil, &f), payload...)
	packet.CompleteChecksum(b, nil)
	return b
}

// number is what segment was given.
func number(b []byte) int {
	p, _ := packet.ParseTCP(b)
	return int(p.Seq())
}

// send sends n segments of a size, numbered from 0.
func (l *line) send(n, size int) {
	for i := range n {
		l.write(segment(i, size))
	}
}

func (l *line) write(b []byte) {
	require.NoError(l.t, l.link.A.Write([]tun.Packet{{Head: b}}))
}

// numbers are those of the segments that arrived, in that order.
func (l *line) numbers() (list []int) {
	for _, a := range l.got {
		list = append(list, number(a.bytes))
	}
	return list
}

// times are when segments arrived.
func (l *line) times() (list []time.Duration) {
	for _, a := range l.got {
		list = append(list, a.at)
	}
	return list
}

func count(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func isSorted(list []int) bool { return slices.IsSorted(list) }
