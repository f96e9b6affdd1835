package mptcp

import "time"

const (
	// farther is how many times as long a path's round trip has to be as the best one's for it to rest, and
	// farMargin what differs without meaning anything.
	farther   = 2.0
	farMargin = 5 * time.Millisecond
	// cleaner is how many times less the best path has to lose for a lossy one to rest.
	cleaner = 4.0
	// clearlyBetter is what a path that rests has to be for it to take the place of the best one.
	clearlyBetter = 0.8
	// tailLoss is what the loss of a lone segment costs a peer like Linux beyond two round trips: for so long
	// it waits for a delayed ACK (RFC 8985 section 7.2).
	tailLoss = 200 * time.Millisecond
	// interactiveLossWeight is how many times heavier losses weigh when somebody waits.
	interactiveLossWeight = 2.0
	// steerSegment is about a segment, and initialWindow an initial window, in bytes.
	steerSegment  = 1400
	initialWindow = 10 * steerSegment
	// pauseMargin is what a pause is longer than two round trips.
	pauseMargin = 50 * time.Millisecond
	// After learnAnswers answers it is known how long one takes; it is late when it takes longer by lateAnswer or
	// one and a half round trips, whichever is more.
	learnAnswers = 4
	lateAnswer   = 20 * time.Millisecond
	// Bulk data lasts for bulkRounds round trips of the farthest path, so that a last segment which that
	// brings late is no more than an eighth of the whole, and is at least bulkBytes.
	bulkRounds = 4
	bulkBytes  = 64 << 10
)

// steeredPath is what is known of a path for steering the peer.
type steeredPath struct {
	rtt    time.Duration // the smallest; 0: not known
	srtt   time.Duration // smoothed
	losses float64       // share of what was lost lately
	silent bool          // what we sent there has not been answered for long
	rests  bool          // it does; decide says whether it shall
	// settled: the peer was told so by a decision, and not by a SYN that knew nothing.
	settled bool
}

// cost is the time that an answer on p takes on average, in seconds. A loss of its last segment is shown by nothing
// but a probe, other losses by what follows.
func (d *demand) cost(p *steeredPath) float64 {
	before := float64(d.size()) / steerSegment
	return p.rtt.Seconds() + d.lossWeight*(p.losses*(tailLoss+2*p.rtt).Seconds()+min(p.losses*before, 1)*2*p.rtt.Seconds())
}

// size is that of an answer in bytes: of the present or of the last one, whichever is more.
func (d *demand) size() int { return max(d.bytes, d.before) }

// decide says which paths shall rest. While bulk data comes, none does: all of them together bring it soonest. Else the
// path on which an answer costs least time works, and one rests beside it that is much farther away, or
// that loses more. What rests goes on resting until it is clearly the best itself: with little to send nobody
// misses it, and a priority that changes often is worth little.
// Nor is a path taken away in the middle of an answer.
func decide(now time.Time, paths []steeredPath, d *demand) {
	bulk := d.isBulk(now)
	best := d.bestPath(paths)
	for i := range paths {
		p := &paths[i]
		switch {
		case best < 0 || bulk || i == best:
			p.rests = false
		case p.silent, p.rests && p.settled:
			// It would not hear of it; or it is well as it is.
		default:
			far := d.cost(p) > farther*d.cost(&paths[best])+farMargin.Seconds()
			lossy := p.losses > 0 && p.losses >= cleaner*paths[best].losses
			p.rests = (far || lossy) && (p.rests || !d.inFullFlow(now))
		}
	}
}

// bestPath is the index of the path on which answers cost least, -1 if none works. One that rests has to be
// clearly better than one that does not.
func (d *demand) bestPath(paths []steeredPath) int {
	best, least := -1, 0.0
	for i := range paths {
		p := &paths[i]
		if p.rtt == 0 || p.silent {
			continue
		}
		cost := d.cost(p)
		if p.rests && p.settled {
			cost /= clearlyBetter
		}
		if best < 0 || cost < least {
			best, least = i, cost
		}
	}
	return best
}

// demand watches whether the peer sends little, or bulk data.
type demand struct {
	lossWeight float64 // how much losses count beside round trips
	// The burst that comes: since when, how much, and when the last of it came.
	since, last time.Time
	bytes       int
	before      int           // bytes of the one before
	bulkUntil   time.Time     // bulk data comes, or is thought to
	rtt, srtt   time.Duration // the largest of the paths that the peer may use
	asked       time.Time     // when we have sent something since, zero if not
	typical     time.Duration // from that until an answer
	answers     int           // that went into it
}

// ask notes that we send something, which the peer may answer.
func (d *demand) ask(now time.Time) {
	if d.asked.IsZero() {
		d.asked = now
	}
}

// answered takes the time until an answer and reports whether it is so much longer than usual that the answer
// may have been lost and sent again.
func (d *demand) answered(took time.Duration) (late bool) {
	if late = d.answers >= learnAnswers && took > d.typical+max(3*d.rtt/2, lateAnswer); late {
		took = d.typical + d.rtt
	}
	d.answers++
	d.typical += (took - d.typical) / time.Duration(min(d.answers, 8))
	return late
}

// arrive notes n bytes of the peer's stream; it reports whether they are an answer that is late: confirmed says that
// the peer has got all that we have sent. A burst ends with a pause that no loss explains (isPause), and with half a
// round trip before an answer, which begins another one.
func (d *demand) arrive(now time.Time, n int, confirmed bool) (late bool) {
	pause := now.Sub(d.last)
	answer := confirmed && !d.asked.IsZero()
	if d.isPause(pause) || answer && pause > d.rtt/2 {
		d.since, d.bytes, d.before = now, 0, d.bytes
	}
	d.bytes += n
	if answer {
		late = d.answered(now.Sub(d.asked))
	}
	d.last, d.asked = now, time.Time{}
	return late
}

// isPause reports whether t is longer than a loss holds up what comes behind it.
func (d *demand) isPause(t time.Duration) bool { return t > 2*d.srtt+pauseMargin }

// inFullFlow reports whether an answer is coming that is longer than an initial window, or may be: nothing is known
// of the first one.
func (d *demand) inFullFlow(now time.Time) bool {
	return (d.bytes > initialWindow || d.before == 0 && d.bytes > 0) && !d.isPause(now.Sub(d.last))
}

// judge looks whether the burst has become bulk data.
func (d *demand) judge(now time.Time, paths []steeredPath) {
	far := time.Duration(0)
	d.rtt, d.srtt = 0, 0
	for i := range paths {
		p := &paths[i]
		far = max(far, p.rtt)
		if !p.rests && !p.silent {
			d.rtt, d.srtt = max(d.rtt, p.rtt), max(d.srtt, p.srtt)
		}
	}
	if d.bytes >= bulkBytes && d.last.Sub(d.since) >= bulkRounds*far {
		d.bulkUntil = d.last.Add(steerPause)
	}
}

func (d *demand) isBulk(now time.Time) bool { return now.Before(d.bulkUntil) }
