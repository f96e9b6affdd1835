package subflow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An acknowledgment is expected after a round trip, and late half of one after, or four times its
// variation; nothing is made of less than 30 ms without any.
func TestDeadlines(t *testing.T) {
	s, _ := scripted(t, 1<<20, nil) // a round trip of 10 ms, its variation is 5 ms
	require.Zero(t, s.Deadlines(), "nothing is in flight")
	s.place(10 * simMSS)
	require.Zero(t, s.Deadlines(), "nothing has left")
	s.Run(ms(0))
	requireDeadlines(t, s, 30, 60)

	// The queue has grown: what is in flight is older than a round trip, but acknowledgments come.
	for at := 30; at < 100; at += 10 {
		s.OnAck(ms(at), &Ack{Seq: s.seqOf(0), Window: 1 << 20, SACK: []SACKBlock{s.block(2*simMSS, (at/10)*simMSS)}})
		d := s.Deadlines()
		require.False(t, d.Late.Before(ms(at+30)))
		require.False(t, d.Silent.Before(ms(at+60)))
	}

	s.OnAck(ms(100), &Ack{Seq: s.seqOf(0), Window: 0})
	require.Zero(t, s.Deadlines(), "the peer takes nothing")
	s.Close()
	require.Zero(t, s.Deadlines())
}

// Long round trips are waited for.
func TestDeadlinesOfALongPath(t *testing.T) {
	s, _ := scripted(t, 1<<20, nil)
	s.rtt = rttEstimator{srtt: 300 * time.Millisecond, rttvar: 10 * time.Millisecond}
	s.place(10 * simMSS)
	s.Run(ms(0))
	requireDeadlines(t, s, 450, 640)
}

// The peer may hold back the ACK of a lone segment until there is more to acknowledge, for a time that is
// learnt.
func TestDeadlinesWithDelayedAcks(t *testing.T) {
	s, _ := scripted(t, 1<<20, nil)
	steady := rttEstimator{srtt: 10 * time.Millisecond, rttvar: time.Millisecond}
	s.rtt = steady
	s.place(1000)
	s.Run(ms(0))
	requireDeadlines(t, s, 202+30, 202+60) // nothing is known
	s.place(1000)
	s.Run(ms(40))
	requireDeadlines(t, s, 40+30, 40+60) // two are acknowledged at once

	s.OnAck(ms(50), &Ack{Seq: s.seqOf(2000), Window: 1 << 20})
	s.rtt = steady
	s.place(1000)
	s.Run(ms(100))
	s.OnAck(ms(110), &Ack{Seq: s.seqOf(3000), Window: 1 << 20})
	s.rtt = steady
	s.place(1000)
	s.Run(ms(200))
	requireDeadlines(t, s, 200+40+2+30, 200+40+2+60) // the first of two has waited 40 ms
}

// requireDeadlines compares in ms.
func requireDeadlines(t *testing.T, s *scriptedSender, late, silent int) {
	t.Helper()
	d := s.Deadlines()
	require.WithinDuration(t, ms(late), d.Late, time.Microsecond)
	require.WithinDuration(t, ms(silent), d.Silent, time.Microsecond)
}
