package mptcp

import (
	"errors"
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/subflow"
)

const (
	// silentRTTs and minSilence are how long nothing comes on a subflow, while bytes of the peer are
	// missing, before it is asked whether it works; twice as long where that is only a guess.
	silentRTTs, minSilence = 4, 150 * time.Millisecond
	// answerRTTs and minAnswer are how long an answer is waited for.
	answerRTTs, minAnswer = 2, 100 * time.Millisecond
	// silentBeat is the time between two probes of one that does not answer, the first two aside; every
	// beatProbes of them double it, up to maxBeat.
	silentBeat = 200 * time.Millisecond
	// probeSpace is how long a probe of another kind, or of an earlier question, may keep the peer from
	// answering: Linux answers one in 500 ms (tcp_invalid_ratelimit).
	probeSpace = 550 * time.Millisecond
	// minProbes is how many have to be without an answer, since one may be lost; the second one follows soon.
	minProbes = 2
	// lateness is by how much a timer of ours may be late: beyond that the answer may lie unread
	// before us.
	lateness = 50 * time.Millisecond
	// maxFalseAlarms bounds the doublings of our patience with an address.
	maxFalseAlarms = 4
	// alarmTime is within which time an address that works again was given up by a false alarm.
	alarmTime = 2 * time.Second
)

// errSilent ends the subflows of a path that has fallen silent.
var errSilent = errors.New("the path has fallen silent")

// muteness is what the receiver of a stream notices of a path: while bytes are missing nothing comes on
// it. The sender needs a retransmission timeout to see that, and its timer backs off while all
// paths are silent; we can ask, by a probe, and tell it by REMOVE_ADDR on another subflow.
type muteness struct {
	asked  time.Time // when the first probe was sent; zero: nobody asks
	heard  time.Time // when the newest segment had come before
	probed time.Time // when the latest probe was sent
	at     time.Time // of the next step; zero: none
	probes int
	// calm counts the answers that came while the stream stood at calmAt.
	calm   int
	calmAt time.Time
}

// awaitsData reports whether bytes of the peer are missing: later ones have come, or a flow has
// stopped all of a sudden.
func (c *Conn) awaitsData() bool {
	return c.phase == open && c.shared.Mode == subflow.MPTCP && !c.rx.eof && !c.rx.closed &&
		(c.missesData() || c.rx.flow.isBulk())
}

// missesData reports whether later bytes of the stream than those that are here, or its end, have come.
func (c *Conn) missesData() bool { return c.rx.got.Len() > 0 || c.rx.finKnown }

// watchMute asks the subflows that have fallen silent, and deals with those that answer late or not at
// all. c.mu is held.
func (c *Conn) watchMute(now time.Time) {
	awaits := c.awaitsData()
	for _, s := range c.subs {
		q := &s.mute
		switch {
		case !s.isUsable() || !awaits:
			*q = muteness{}
		case q.asked.IsZero():
			if q.at = c.askAt(s); !q.at.IsZero() && !now.Before(q.at) {
				q.asked, q.heard = now, s.LastReceived()
				c.ask(now, s)
			}
		case s.LastReceived().After(q.heard):
			long, byData := now.Sub(q.asked), s.LastData().After(q.heard)
			*q = muteness{calm: q.calm + 1, calmAt: c.rx.movedAt}
			c.answersLate(now, s, long, byData)
			c.askStillMute(now)
		case now.Before(q.at):
		case c.canGiveUp(now, s):
			c.giveUpAddr(s)
			return // c.subs has changed; the timer fires again for the others
		default:
			c.ask(now, s)
		}
	}
}

// askAt is when s has been silent for so long that it is to be asked; zero: never, as things are.
func (c *Conn) askAt(s *sub) time.Time {
	q := &s.mute
	if q.calmAt != c.rx.movedAt {
		q.calm = 0
	}
	wait := c.patience(s) << min(q.calm, 10)
	if !c.missesData() { // perhaps the peer has no more to send
		if q.calm > 0 {
			return time.Time{}
		}
		wait *= 2
	}
	from := c.rx.movedAt
	if s.LastReceived().After(from) {
		from = s.LastReceived()
	}
	at := from.Add(wait)
	if last := s.LastProbe(); !last.IsZero() && at.Before(last.Add(probeSpace)) {
		at = last.Add(probeSpace)
	}
	return at
}

// patience is how long nothing may come.
func (c *Conn) patience(s *sub) time.Duration {
	wait := max(silentRTTs*s.Sender().Snapshot().SRTT, minSilence)
	if l := c.byAddrID(s.LocalID); l != nil {
		wait <<= l.falseAlarms
	}
	return wait
}

// ask sends a probe, and waits for its answer; after the first two until the next is due.
func (c *Conn) ask(now time.Time, s *sub) {
	q := &s.mute
	s.SendProbe(now)
	q.probed = now
	q.probes++
	if now.Sub(q.asked) >= renewAfter {
		c.renewSoon(now, s)
	}
	wait := c.answerTime(s)
	switch {
	case q.probes < minProbes:
		wait /= 3
	case q.probes > minProbes:
		wait = max(wait, min(silentBeat<<min(q.probes/beatProbes, 10), maxBeat))
	}
	q.at = now.Add(wait)
}

// askStillMute asks those that are silent still, for one path works again: the others may not.
func (c *Conn) askStillMute(now time.Time) {
	for _, s := range c.subs {
		if q := &s.mute; s.isUsable() && q.probes > 1 && !s.LastReceived().After(q.heard) {
			q.probed = now
			q.at = now.Add(c.answerTime(s))
			s.SendProbe(now)
		}
	}
}

// answerTime is how long an answer to a probe is waited for.
func (c *Conn) answerTime(s *sub) time.Duration {
	return max(answerRTTs*s.Sender().Snapshot().SRTT, minAnswer)
}

// canGiveUp reports whether the address of s has to be given up, since no subflow from it answers and
// another one works. Only subflows that we have opened can be opened again. The stream has to stand: the peer may
// do without s, and Linux sends everything that is not confirmed again when an address is withdrawn. So it does
// when a subflow is renewed, which may be all that is needed.
func (c *Conn) canGiveUp(now time.Time, s *sub) bool {
	l := c.byAddrID(s.LocalID)
	stuck := now.Sub(c.rx.movedAt) >= c.patience(s)
	if l == nil || l.announced || !stuck || s.mute.probes < minProbes || now.Sub(s.mute.at) > lateness || now.Sub(c.renewedAt) < c.patience(s) {
		return false
	}
	alive := false
	for _, o := range c.subs {
		switch {
		case o.instead.old != nil && o.instead.old != s && !o.down && o.State() > subflow.SynSent:
			return false
		case !o.talks():
		case o.LocalID == s.LocalID:
			if o.Role != subflow.Opener || o.mute.asked.IsZero() || o.LastReceived().After(o.mute.heard) {
				return false
			}
		case o.isUsable() && o.LastReceived().After(s.mute.probed):
			alive = true
		}
	}
	return alive && s.BytesReceived() > 0
}

// giveUpAddr tells the peer not to use the address of s any more (8684-3.4.2-01), so that it sends at once
// elsewhere what it has sent there, and ends the subflows from there. The path manager opens new ones.
func (c *Conn) giveUpAddr(s *sub) {
	l := c.byAddrID(s.LocalID)
	c.count(mib.SilentAddr)
	c.logf("path has fallen silent, its address is withdrawn until it works again", s)
	l.known, l.silentAt = false, c.host.clock.Now()
	c.signalRemoval([]option.AddrID{l.id}, 0)
	for _, o := range slices.Clone(c.subs) {
		if o.LocalID == l.id && !o.down {
			o.withdrawn = true
			o.SetResetOption(option.Reset{Reason: option.ReasonPerformance, Transient: true})
			c.resetSub(o, errSilent)
		}
	}
}

// addrWorks notes that a subflow from l is up. If l was given up just before it shall be given up
// less easily.
func (l *localAddr) addrWorks(now time.Time) {
	if !l.silentAt.IsZero() && now.Sub(l.silentAt) < alarmTime {
		l.falseAlarms = min(l.falseAlarms+1, maxFalseAlarms)
	}
	l.silentAt = time.Time{}
}

const (
	// flowSpan is over which time the bytes of a flow are counted.
	flowSpan = 500 * time.Millisecond
	// bulk is how many make it one that has no reason to stop. Less is a conversation.
	bulk = 64 << 10
)

// flow counts the bytes of the peer's stream lately.
type flow struct {
	since     time.Time // when the present span began
	n, before int       // bytes in it, and in the span before it
}

func (f *flow) add(now time.Time, n int) {
	switch age := now.Sub(f.since); {
	case age >= 2*flowSpan:
		*f = flow{since: now}
	case age >= flowSpan:
		*f = flow{since: now, before: f.n}
	}
	f.n += n
}

// isBulk reports whether the peer sent a lot in the time before its newest byte came.
func (f *flow) isBulk() bool { return f.before+f.n >= bulk }
