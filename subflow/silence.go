package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/subflow/congestion"
)

const (
	// minLate and minSilent are how long at least no acknowledgment comes before that means
	// something: machines, here and there, pause for tens of ms.
	minLate, minSilent = 30 * time.Millisecond, 60 * time.Millisecond
	// silenceSlack is what Silent allows for beside two round trips.
	silenceSlack = 20 * time.Millisecond
)

// Deadlines are by when the peer acknowledges something of what is in flight, if the path works.
// Zero times: nothing is in flight, the peer takes nothing, or no round trip is known.
type Deadlines struct {
	// Late is half a round trip, or four times its variation, after the acknowledgment of the
	// oldest that is in flight was expected. A path whose queue grows is not late as long as
	// any acknowledgments come.
	Late time.Time
	// Silent is two round trips after the last sign of life. A tail loss probe, which the peer
	// answers at once, has not helped then.
	Silent time.Time
}

// Deadlines returns those of what is in flight now.
func (s *Sender) Deadlines() Deadlines {
	if s.board.flight.first == nil || s.rtt.srtt == 0 || s.windowClosed() || s.closed {
		return Deadlines{}
	}
	e := &s.rtt
	asked := s.ackAsked()
	since := latest(asked, s.lastProgress)
	late := latest(asked.Add(e.srtt), s.lastProgress).Add(max(e.srtt/2, 4*e.rttvar))
	late = latest(late, since.Add(minLate))
	return Deadlines{
		Late:   late,
		Silent: latest(late, since.Add(max(2*e.srtt+max(4*e.rttvar, silenceSlack), minSilent))),
	}
}

// maxDelayed is how many records are looked at to find out for which the peer sends its ACK.
const maxDelayed = 16

// ackAsked is when something left that the peer acknowledges without waiting for more: the oldest
// in flight, or the one that makes more than a full segment with it; or the time for which the
// peer may hold back its ACK has passed. Something is in flight.
func (s *Sender) ackAsked() time.Time {
	first := s.board.flight.first
	held := first.sent.Add(s.tlp.expectedDelay() + probeSlack)
	n := 0
	for i, r := 0, first; i < maxDelayed && r != nil && r.sent.Before(held); i, r = i+1, r.next {
		if n += r.n; n > s.mss {
			return r.sent
		}
	}
	return held
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Outstanding is a run of bytes of one chunk that the peer's TCP has not acknowledged.
type Outstanding struct {
	DSN    seq.DSN // of the first byte
	N      int     // bytes
	Offset uint64  // of the first byte among all that were ever placed
}

// OutstandingFrom returns the first run of bytes at or after offset from (see Placed) that is placed
// here and not yet cumulatively acknowledged, up to the end of its chunk: what has to be sent
// elsewhere when the subflow does not work. What is only SACKed is included: the peer's connection has not got
// it. ok is false if there is none.
func (s *Sender) OutstandingFrom(from uint64) (o Outstanding, ok bool) {
	if from = max(from, s.una); from >= s.queue.end || s.closed {
		return Outstanding{}, false
	}
	e := s.queue.find(from)
	return Outstanding{DSN: e.dsn.Add(int(from - e.off)), N: int(e.end() - from), Offset: from}, true
}

// earliest is the earlier of two times, of which a may be zero: not known.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// Penalise makes the congestion window smaller because what is in flight holds up the connection; it
// reports whether the controller has done so. Loss episodes make it smaller anyway.
func (s *Sender) Penalise(now time.Time) bool {
	p, ok := s.cc.(congestion.Penalised)
	if !ok || s.episode.kind != noEpisode {
		return false
	}
	p.OnPenalty(now)
	return true
}
