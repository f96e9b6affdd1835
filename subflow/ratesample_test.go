package subflow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ACKs that were held up and come in one go, while data leaves, do not make the path look faster than it is, nor slower.
func TestRateOfLateACKs(t *testing.T) {
	const (
		ms     = time.Millisecond
		size   = 1000
		rate   = 1e6 // bytes/s: a packet each millisecond
		minRTT = 80 * ms
	)
	var (
		s        rateSampler
		sent     []*record   // in flight
		acks     []time.Time // when they are acknowledged
		linkFree = simStart  // when the path has sent all
		at       = simStart  // the present time
		off      uint64
		greatest float64
	)
	send := func() {
		r := &record{off: off, n: size, sent: at.Add(time.Duration(off))} // strictly rising, as the sender's are
		off += size
		s.stamp(r, len(sent) == 0)
		linkFree = later(linkFree, at).Add(ms)
		sent, acks = append(sent, r), append(acks, linkFree.Add(minRTT-ms))
	}
	ack := func() {
		s.deliver(at, sent[0], false)
		sent, acks = sent[1:], acks[1:]
		if sample, _, _ := s.sample(minRTT); at.Sub(simStart) > 3*minRTT {
			greatest = max(greatest, sample)
		}
	}
	for i := range 600 {
		at = simStart.Add(time.Duration(i) * ms)
		send()
		if i%4 == 0 {
			send() // more than the path takes, so that only the ACKs tell what it takes
		}
		if i%100 < 30 {
			continue // held up
		}
		for n := 0; len(acks) > 0 && !acks[0].After(at); n++ {
			ack()
			if n%3 == 2 && len(acks) > 0 && !acks[0].After(at) {
				send()
			}
		}
	}
	require.InEpsilon(t, rate, greatest, 0.01)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
