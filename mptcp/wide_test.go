package mptcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// 8684-3.3.1-14: the whole DSN is sent as soon as the data rate, over a GiB, would take the
// lower half round in less than an MSL, some 290 Mbit/s; numbers may wrap meanwhile.
func TestWideDSN(t *testing.T) {
	for _, c := range []struct {
		megabytes float64 // in a second
		wide      bool
	}{{10, false}, {35, false}, {37, true}, {1000, true}} {
		var w wideDSN
		now := time.Unix(1000, 0)
		first := seq.DSN(1<<64 - 1<<31 - 5)
		const chunk = 64 << 10
		step := time.Duration(chunk / c.megabytes * 1000)
		wideAt := int64(0)
		for next := first; next.Sub(first) < 3<<30; next = next.Add(chunk) {
			if w.sent(now, next) && wideAt == 0 {
				wideAt = next.Sub(first)
			}
			now = now.Add(step)
		}
		require.Equal(t, c.wide, wideAt != 0, "%v MB/s", c.megabytes)
		require.LessOrEqual(t, wideAt, int64(1<<30+chunk))
	}
}

// 8684-3.3.1-14: an idle while makes the rate low, not high.
func TestWideDSNAfterIdling(t *testing.T) {
	var w wideDSN
	now := time.Unix(1000, 0)
	require.False(t, w.sent(now, 0))
	require.False(t, w.sent(now, 1<<29))
	require.False(t, w.sent(now.Add(time.Hour), 1<<30))
	require.True(t, w.sent(now.Add(time.Hour+time.Second), 1<<31))
}
