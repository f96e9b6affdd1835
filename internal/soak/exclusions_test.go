package soak

import (
	"slices"
	"strings"
	"time"
)

// What scenarios are kept away from is here, each with its reason. Some of it no stack could
// do, some of it this one does not do yet.

// mayCorrupt: only the DSS checksum notices, and only while there is another subflow. A
// connection that has fallen back to TCP takes what comes. So the first path is spared.
func (s *scenario) mayCorrupt() bool { return len(s.paths) > 1 }

// gaveUpMPTCP: when three SYNs of a client in a row are lost, it tries plain TCP (8684-3.1-33).
func gaveUpMPTCP(reason string) bool { return strings.Contains(reason, "stayed unanswered") }

// leastQueue is how many packets a queue behind the box that splits segments holds at least:
// where a segment makes more pieces than that, one of them is lost each time, and 4 MiB take
// hours.
const leastQueue = 10

// mayLoseSubflows: a connection that was stripped to plain TCP, or whose first data a proxy
// acknowledged without DATA_ACK, has nothing but its first path, and one whose bytes are
// damaged needs another subflow (mayCorrupt).
func (s *scenario) mayLoseSubflows() bool {
	return !s.strips() && !s.corrupts() && s.paths[0].box != ackProxy
}

// mayLoseFirstData: where data loses its options and ACKs keep theirs, a client whose first data is late opens
// other subflows before anyone notices. Then the subflow is reset, and not given up for plain TCP (8684-3.7-05).
func (s *scenario) mayLoseFirstData() bool { return len(s.paths) == 1 && len(s.servers) == 0 }

// mayTranslate: the NAT has no IPv6, and where packets are damaged one judge sees them with
// both addresses.
func (s *scenario) mayTranslate() bool { return !s.v6 && !s.dual && !s.corrupts() }

// mayNarrow: an ACK proxy repeats what it has acknowledged, too long or not, and the sender is
// asked no more.
func (s *scenario) mayNarrow() bool { return !s.hasBox(ackProxy) }

// mayLimitSubflows: where subflows vanish without a word, the peer counts them for a while
// and refuses others.
func (s *scenario) mayLimitSubflows() bool { return s.mayLoseSubflows() && !s.losesSubflows() }

// closeTimeout is what Config.CloseTimeout is. In its default minute a sender that closes at once with 4 MiB in its
// buffer cannot get rid of them, where the peer's is 4 KiB and the round trip a third of a second.
func (s *scenario) closeTimeout(side int) time.Duration {
	if side == 0 && slices.ContainsFunc(s.conns, func(t traffic) bool { return t.ending == oneWay }) {
		return deadline / 2
	}
	return 0
}

// longestStall is how long a trace of rates may let nothing pass. Each retransmission is a
// packet, too: fifteen lost in a row end a connection.
const longestStall = 400 * time.Millisecond

func (s *scenario) hasBox(b box) bool {
	for _, p := range s.paths {
		if p.box == b {
			return true
		}
	}
	return false
}

// strips reports whether a box takes options away.
func (s *scenario) strips() bool {
	for _, p := range s.paths {
		if p.box.strips() {
			return true
		}
	}
	return false
}

func (s *scenario) corrupts() bool {
	for _, p := range s.paths {
		if p.there.Corrupt > 0 || p.back.Corrupt > 0 {
			return true
		}
	}
	return false
}

// losesSubflows reports whether subflows end before their time.
func (s *scenario) losesSubflows() bool {
	lists := [][]pathEvent{}
	for _, p := range s.paths {
		lists = append(lists, p.events)
	}
	for _, a := range s.servers {
		lists = append(lists, a.events)
	}
	for _, list := range lists {
		for _, e := range list {
			if e.kind.kills() {
				return true
			}
		}
	}
	return false
}
