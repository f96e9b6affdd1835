package subflow

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzSenderAck feeds a sender whatever a peer may send. Each step of the input is an
// operation and its arguments.
func FuzzSenderAck(f *testing.F) {
	f.Add([]byte{0, 10, 1, 0, 5, 0, 0, 2, 20, 1, 3, 9, 3, 0, 4, 200})
	f.Add([]byte{0, 200, 2, 0, 10, 0, 40, 0, 90, 0, 120, 4, 255, 0, 1, 2, 0, 0, 0, 0, 0, 30, 0, 31, 3, 7})
	// A closed window, and a peer that takes back what it has SACKed: those records came back
	// in flight at the wrong place in the order of sending.
	f.Add([]byte("2l~\x00\x80\x00\x00\x80\x00\xff000\xff020 \x000\x13\x02\x000"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var s *scriptedSender
		mapped := map[int64]Mapping{} // by the offset of the mapping
		s, cc := scripted(t, 60_000, func(seg *Segment) {
			off := s.offsetOf(seg.Seq)
			first := int64(seg.Mapping.SSN) - 1
			require.LessOrEqual(t, first, off)
			require.LessOrEqual(t, off+int64(seg.Len), first+int64(seg.Mapping.Len))
			if old, ok := mapped[first]; ok {
				require.Equal(t, old, seg.Mapping)
			}
			mapped[first] = seg.Mapping
			if !seg.Retransmit && seg.Len > 1 {
				require.LessOrEqual(t, off+int64(seg.Len), int64(s.edge))
			}
		})
		now := simStart
		byteAt := func() int {
			if len(in) == 0 {
				return 0
			}
			b := in[0]
			in = in[1:]
			return int(b)
		}
		number := func() uint32 { // mostly near what is outstanding
			if len(in) >= 5 && in[0] == 255 {
				n := binary.BigEndian.Uint32(in[1:])
				in = in[5:]
				return n
			}
			return s.seqOf(s.una) + uint32(byteAt()*256+byteAt())*uint32(simMSS)/16 - 2*simMSS
		}
		for len(in) > 0 && s.queue.end < 1<<22 {
			switch op := byteAt(); op % 5 {
			case 0:
				if n := min(byteAt()*500+1, s.Room()); n > 0 {
					s.place(n)
				}
				s.Run(now)
			case 1, 2:
				a := &Ack{Seq: number(), Window: byteAt() * 300, HasData: op&8 != 0}
				for range op % 5 * (op / 64) {
					a.SACK = append(a.SACK, SACKBlock{number(), number()})
				}
				s.OnAck(now, a)
				s.Run(now)
			case 3:
				now = now.Add(time.Duration(byteAt()) * time.Millisecond)
				s.Run(now)
			case 4:
				cc.window = byteAt() * simMSS / 2
				cc.rate = float64(byteAt()) * 1e5
			}
			checkScoreboard(t, s.Sender)
		}
	})
}

// checkScoreboard asserts that the records cover what is outstanding, and that counts
// and lists agree with them.
func checkScoreboard(t *testing.T, s *Sender) {
	var counts [3]int
	var lists [3]int
	at := s.una
	for i := range s.board.recs.len() {
		r := s.board.recs.at(i)
		require.Equal(t, at, r.off)
		require.Positive(t, r.n)
		counts[r.state] += r.n
		at = r.end()
	}
	require.Equal(t, s.nxt, at)
	require.Equal(t, [3]int{s.board.inFlight, s.board.lostBytes, s.board.sackedBytes}, counts)
	var last *record
	for r := s.board.flight.first; r != nil; last, r = r, r.next {
		require.Equal(t, inFlight, r.state)
		require.True(t, last == nil || sentAfter(r.sent, r.end(), last.sent, last.end()), "order of sending")
		lists[inFlight] += r.n
	}
	for r := s.board.lost.first; r != nil; r = r.next {
		require.Equal(t, lost, r.state)
		lists[lost] += r.n
	}
	require.Equal(t, counts[inFlight], lists[inFlight])
	require.Equal(t, counts[lost], lists[lost])
	require.Empty(t, s.queue.entries.len() > 0 && s.queue.entries.at(0).end() <= s.una)
	require.GreaterOrEqual(t, s.InFlight(), 0)
}
