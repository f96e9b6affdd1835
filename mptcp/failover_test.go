package mptcp

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// The two paths of the laboratory: A with 50 Mbit/s and a round trip of 20 ms, B with 20 Mbit/s and 80 ms.
var (
	shapeA = simnet.Shape{Rate: 50 * simnet.Mbps, Delay: 10 * time.Millisecond, Queue: simnet.Queue{Time: 50 * time.Millisecond}}
	shapeB = simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 40 * time.Millisecond, Queue: simnet.Queue{Time: 100 * time.Millisecond}}
)

// stallMeter reads a stream and notes its pauses.
type stallMeter struct {
	first, last time.Time
	n           int
	gaps        []pause
	came        []arrival
}

// arrival is how many bytes had come at a time since the first one.
type arrival struct {
	at time.Duration
	n  int
}

// pause is a time without a byte; at is since the first one.
type pause struct{ at, length time.Duration }

// read reads n bytes.
func (m *stallMeter) read(r io.Reader, n int) error {
	buf := make([]byte, 256<<10)
	for m.n < n {
		k, err := r.Read(buf)
		if err != nil {
			return err
		}
		now := time.Now()
		if m.first.IsZero() {
			m.first = now
		} else if d := now.Sub(m.last); d > 5*time.Millisecond {
			m.gaps = append(m.gaps, pause{m.last.Sub(m.first), d})
		}
		m.last = now
		m.n += k
		m.came = append(m.came, arrival{now.Sub(m.first), m.n})
	}
	return nil
}

// longest is the longest pause that ends after a time since the first byte.
func (m *stallMeter) longest(after time.Duration) (d time.Duration) {
	for _, g := range m.gaps {
		if g.at+g.length > after {
			d = max(d, g.length)
		}
	}
	return d
}

// before is how many bytes came in a time since the first one.
func (m *stallMeter) before(d time.Duration) int {
	i, _ := slices.BinarySearchFunc(m.came, d, func(a arrival, d time.Duration) int { return cmp.Compare(a.at, d) })
	if i == 0 {
		return 0
	}
	return m.came[i-1].n
}

// holdAcks is a middlebox that makes of a peer that acknowledges at once one that delays its
// ACKs: a lone one, for less than two segments, waits for d or for the next.
func holdAcks(d time.Duration) simnet.Middlebox {
	type flow struct {
		acked uint32
		held  []byte
		n     int
	}
	flows := map[string]*flow{}
	return func(p *simnet.Passage, b []byte) {
		t, ok := packet.ParseTCP(b)
		if !ok || t.Flags() != packet.FlagACK {
			p.Forward(b)
			return
		}
		key := fmt.Sprint(t.Src(), t.Dst())
		f := flows[key]
		if f == nil {
			f = &flow{acked: t.Ack()}
			flows[key] = f
		}
		more := int32(t.Ack() - f.acked)
		f.n++
		n := f.n
		if t.PayloadLen() == 0 && more > 0 && more < 2000 && f.held == nil {
			f.held = b
			p.After(d, func() {
				if f.n == n && f.held != nil {
					p.Forward(f.held)
					f.held, f.acked = nil, t.Ack()
				}
			})
			return
		}
		f.held, f.acked = nil, t.Ack()
		p.Forward(b)
	}
}

// outcome is what there is to say about an upload.
type outcome struct {
	gaps     stallMeter
	total    time.Duration
	client   Info // at its end
	counters map[string]uint64
}

// upload sends size bytes from client to server over a new pair.
func upload(t *testing.T, s setup, size int, prepare func(p *pair, c *Conn)) (o outcome) {
	onPair(t, s, func(t *testing.T, p *pair) {
		c, srv := p.connectFully(s.paths)
		prepare(p, c)
		start := time.Now()
		wrote := async(func() error {
			b := make([]byte, 64<<10)
			for n := 0; n < size; n += len(b) {
				if _, err := c.Write(b[:min(len(b), size-n)]); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, o.gaps.read(srv, size))
		o.total = time.Since(start)
		require.NoError(t, <-wrote)
		o.client = c.Info()
		o.counters = p.client.Counters()
		for _, l := range p.links {
			l.Up()
		}
		time.Sleep(time.Minute)
		closeBoth(t, c, srv)
	})
	return o
}
