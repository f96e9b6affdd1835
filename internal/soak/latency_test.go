package soak

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// messages are what an application sends that asks something again and again: so many of so many
// bytes, one each time that the pause has passed.
const (
	messageCount = 50
	messageSize  = 20_000
	messagePause = 200 * time.Millisecond
)

// latencies are the times from writing a message until its last byte is read, sorted.
func (c cell) latencies(t *testing.T, scheduler string) []time.Duration {
	s := c.scenario(scheduler)
	took := make([]time.Duration, messageCount)
	require.NoError(t, simnet.Run(simnet.Config{Seed: 1, Deadline: deadline}, func(w *simnet.World) {
		n, err := s.build(w)
		require.NoError(t, err)
		pair, err := n.connect()
		require.NoError(t, err)
		time.Sleep(time.Second) // the second path is there
		var wrote [messageCount]time.Duration
		var failed error
		busy := starter{w: w}
		busy.start(func() {
			for i := range wrote {
				wrote[i] = w.Elapsed()
				if _, err := pair[0].Write(make([]byte, messageSize)); err != nil {
					failed = err
				}
				time.Sleep(messagePause)
			}
			_ = pair[0].Close()
		})
		var read error
		busy.start(func() {
			buf := make([]byte, messageSize)
			for i := range took {
				if _, err := io.ReadFull(pair[1], buf); err != nil {
					read = err
				}
				took[i] = w.Elapsed() - wrote[i]
			}
			_ = pair[1].Close()
		})
		busy.wait()
		require.NoError(t, failed)
		require.NoError(t, read)
	}))
	slices.Sort(took)
	return took
}

// The latency of messages is that of testdata/latency.txt, exactly, as TestGoodput has it for
// bulk data.
func TestLatency(t *testing.T) {
	if raceDetector {
		t.Skip("slow, and the other tests have the same races")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# ms until a message of %d bytes is read: median and the slowest but two of %d; networks as in goodput.txt.\n", messageSize, messageCount)
	names := append([]string{onePath}, scheduler.Names()...)
	fmt.Fprintf(&b, "%5s %6s", "ratio", "loss")
	for _, name := range names {
		fmt.Fprintf(&b, " %*s", width(name), name)
	}
	for _, ratio := range []int{1, 4, 16} {
		for _, loss := range []float64{0, 0.02} {
			fmt.Fprintf(&b, "\n%5d %6g", ratio, loss)
			for _, name := range names {
				l := cell{ratio: ratio, loss: loss, queue: 60 * time.Millisecond}.latencies(t, name)
				fmt.Fprintf(&b, " %*s", width(name), fmt.Sprintf("%d/%d", l[messageCount/2].Milliseconds(), l[messageCount-3].Milliseconds()))
			}
		}
	}
	b.WriteByte('\n')
	golden(t, "testdata/latency.txt", b.String())
}
