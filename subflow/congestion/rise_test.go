package congestion

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// riseClock gives a riseDetector samples.
type riseClock struct {
	riseDetector
	now time.Time
}

// acks adds count samples of rtt, one each millisecond.
func (c *riseClock) acks(count int, rtt time.Duration) {
	for range count {
		c.now = c.now.Add(time.Millisecond)
		c.add(c.now, rtt)
	}
}

// The end of a round that meets a queue is seen at once; it is over when a whole round has met none.
func TestRise(t *testing.T) {
	const rtt, late = 80 * time.Millisecond, 92 * time.Millisecond
	c := riseClock{now: simStart}
	c.acks(40, rtt)
	require.False(t, c.rising)
	c.nextRound()
	c.acks(10, rtt)
	require.False(t, c.rising)
	c.acks(20, late)
	require.True(t, c.rising)
	c.nextRound()
	c.acks(20, rtt)
	require.True(t, c.rising, "the first packets of a round find an empty queue")
	c.acks(20, late)
	c.nextRound()
	require.True(t, c.rising)
	c.acks(40, rtt)
	c.nextRound()
	require.False(t, c.rising)
}

// Neither a few late samples, nor many at one moment, nor a first round are a queue.
func TestNoRise(t *testing.T) {
	const rtt, late = 80 * time.Millisecond, 120 * time.Millisecond
	c := riseClock{now: simStart}
	c.acks(40, late)
	require.False(t, c.rising, "nothing to compare with")
	c.nextRound()
	c.acks(40, rtt)
	c.nextRound()
	for range 5 {
		c.acks(7, late)
		c.acks(1, rtt)
	}
	require.False(t, c.rising, "one of eight is as fast as the path")
	for range 100 {
		c.add(c.now, late)
	}
	c.acks(2, late)
	require.False(t, c.rising, "a pause of the machine")
	c.nextRound()
	require.False(t, c.rising)
}
