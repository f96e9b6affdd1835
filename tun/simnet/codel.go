package simnet

import (
	"math"
	"time"
)

// CoDel is the active queue management of RFC 8289: packets are dropped when the time
// that they waited stays above a target for an interval. The zero value has the RFC's
// parameters.
type CoDel struct {
	// Target is the waiting time that is fine. Default: 5 ms (section 4.3).
	Target time.Duration
	// Interval is about a round-trip time of those who send. Default: 100 ms (section 4.2).
	Interval time.Duration
	// ECN: packets whose sender takes part in ECN (RFC 3168) are marked instead of dropped.
	ECN bool
}

// codel is the state of one queue; the names are the RFC's (section 5).
type codel struct {
	dropping       bool
	firstAboveTime time.Duration // 0: below the target
	dropNext       time.Duration
	count          int
	lastCount      int
}

func (c *CoDel) target() time.Duration {
	if c.Target > 0 {
		return c.Target
	}
	return 5 * time.Millisecond
}

func (c *CoDel) interval() time.Duration {
	if c.Interval > 0 {
		return c.Interval
	}
	return 100 * time.Millisecond
}

// doDequeue takes a packet and says whether it may be dropped (section 5.5).
func (s *codel) doDequeue(c *CoDel, q *fifo, now time.Duration, mtu int) (p waiting, some, okToDrop bool) {
	if q.len() == 0 {
		s.firstAboveTime = 0
		return waiting{}, false, false
	}
	p = q.pop()
	if now-p.since < c.target() || q.bytes <= mtu {
		s.firstAboveTime = 0 // went below; stay below for at least an interval
		return p, true, false
	}
	if s.firstAboveTime == 0 {
		s.firstAboveTime = now + c.interval()
		return p, true, false
	}
	return p, true, now >= s.firstAboveTime
}

// controlLaw is when to drop next (section 5.4).
func (s *codel) controlLaw(c *CoDel, t time.Duration) time.Duration {
	return t + time.Duration(float64(c.interval())/math.Sqrt(float64(s.count)))
}

// dequeue takes the next packet to send (section 5.5). shed is given what the law wants dropped;
// it returns false if it marked the packet instead, which then goes on.
func (s *codel) dequeue(c *CoDel, q *fifo, now time.Duration, mtu int, shed func([]byte) bool) (waiting, bool) {
	p, some, okToDrop := s.doDequeue(c, q, now, mtu)
	if !some {
		s.dropping = false
		return waiting{}, false
	}
	if s.dropping {
		if !okToDrop {
			s.dropping = false
		}
		for s.dropping && now >= s.dropNext {
			s.count++
			if !shed(p.b) {
				s.dropNext = s.controlLaw(c, s.dropNext)
				return p, true
			}
			p, some, okToDrop = s.doDequeue(c, q, now, mtu)
			if !okToDrop {
				s.dropping = false
			} else {
				s.dropNext = s.controlLaw(c, s.dropNext)
			}
		}
		return p, some
	}
	if okToDrop {
		if shed(p.b) {
			p, some, _ = s.doDequeue(c, q, now, mtu)
		}
		s.dropping = true
		// Dropping again soon after the last time begins at the rate that worked then.
		delta := s.count - s.lastCount
		s.count = 1
		if delta > 1 && now-s.dropNext < 16*c.interval() {
			s.count = delta
		}
		s.dropNext = s.controlLaw(c, now)
		s.lastCount = s.count
	}
	return p, some
}
