package congestion

import "time"

// riseDetector sees in the round-trip times of a start that the path's queue begins to fill. It compares as RFC 9406
// (HyStart++) does, but runs of samples in place of whole rounds: the first packets of a paced round find the queue
// empty that its last ones fill, so that whole rounds show a queue two round trips later, when the window is
// four times what the path holds.
//
// Times are those of one controller's start; the zero value is ready.
type riseDetector struct {
	base   time.Duration // smallest round-trip time of the last round without a rise; 0: none is over
	curMin time.Duration // and of the present round; 0: no sample yet

	// The present run: it ends when it has enough samples and is as long as the rise, so that no pause of a
	// machine, which delays all that comes meanwhile, is taken for a queue.
	runMin   time.Duration
	runStart time.Time
	samples  int

	// rising: there is a queue, since a run has shown it and until a whole round does not; seen: a run of the
	// present round has. stands: the whole round before it met the queue.
	rising, seen, stands bool
}

// nextRound begins a round trip.
func (d *riseDetector) nextRound() {
	if d.curMin > 0 {
		d.rising = d.seen
		d.stands = d.seen && d.curMin >= d.base+rise(d.base)
		if !d.rising {
			d.base = d.curMin
		}
	}
	d.curMin, d.samples, d.seen = 0, 0, false
}

// add takes in a round-trip time.
func (d *riseDetector) add(now time.Time, rtt time.Duration) {
	if d.samples == 0 {
		d.runStart, d.runMin = now, rtt
	}
	d.samples++
	d.runMin = min(d.runMin, rtt)
	if d.curMin == 0 || rtt < d.curMin {
		d.curMin = rtt
	}
	if d.base == 0 || d.samples < hystartSamples || now.Sub(d.runStart) < rise(d.base) {
		return
	}
	if d.runMin >= d.base+rise(d.base) {
		d.rising, d.seen = true, true
	}
	d.samples = 0
}

// rise is by how much round trips have to be longer than rtt for a queue to be the reason (RFC 9406 section 4.2).
func rise(rtt time.Duration) time.Duration {
	return min(max(rtt/hystartDivisor, hystartMinThresh), hystartMaxThresh)
}
