package subflow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// A gap is a loss, unless it is filled sooner than a retransmission could.
func TestArrivals(t *testing.T) {
	const ms, rtt = time.Millisecond, 20 * time.Millisecond
	var a arrivals
	now, top := time.Unix(1000, 0), seq.SSN(1)
	come := func(at, n int) {
		a.seen(now, seq.SSN(at), top, n, rtt)
		top = top.Max(seq.SSN(at + n))
		now = now.Add(ms)
	}
	for i := range 32 {
		come(1+100*i, 100)
	}
	require.Zero(t, a.meter.ratio(now))
	come(3301, 100)
	come(3401, 100)
	require.InDelta(t, 1.0/34, a.meter.ratio(now), 1e-3, "one is missing")
	come(3201, 100)
	require.Zero(t, a.meter.ratio(now), "it was late")

	come(3601, 100)
	now = now.Add(rtt)
	come(3501, 100)
	require.InDelta(t, 1.0/37, a.meter.ratio(now), 1e-3, "it was sent again")
	come(3501, 100)
	come(3701, 0)
	require.InDelta(t, 1.0/39, a.meter.ratio(now), 1e-3, "neither a copy nor an ACK is a gap")
	a.missed(now)
	require.InDelta(t, 2.0/39, a.meter.ratio(now), 1e-3)
}
