package soak

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// scenario is what a seed means. It is made before the world exists, and all that
// happens there follows from it.
type scenario struct {
	seed   uint64
	v6     bool
	paths  []path
	last   simnet.Shape // from the hub to the server, shared by all paths
	config [2]settings
	conns  []traffic

	// See further_test.go.
	dual    bool // each path has addresses of both families
	servers []serverAddr
	byHand  []byHand

	harsh bool   // see harsh_test.go
	both  string // the scheduler of both sides, if not what the seed says
	// manager is the path manager of both sides; none: the default one.
	manager string
}

// path is one link of the client.
type path struct {
	there, back simnet.Shape
	box         box
	events      []pathEvent

	rates []simnet.RateStep // instead of one rate
	trace *simnet.Trace     // likewise
	late  time.Duration     // when the device is there
	// The packets of these numbers are lost, if there are such, counted from 1.
	dropThere, dropBack int
	skip                int // data segments that the ACK proxy lets pass at first
}

// settings are a host's, 0 being the client's.
type settings struct {
	scheduler, congestion string
	checksum              bool
	send, receive         int

	fastCloseByACK, denyInitial bool
	keepAlive                   time.Duration
	maxSubflows                 int
}

// box is a middlebox of a path.
type box string

const (
	noBox        box = ""
	nat          box = "NAT"
	shift        box = "new sequence numbers"
	split        box = "segments split"
	ackProxy     box = "ACK proxy"
	stripSYN     box = "SYN stripped"
	stripAnswer  box = "SYN/ACK stripped"
	stripData    box = "data stripped"
	stripThere   box = "all stripped there"
	stripBack    box = "all stripped back"
	stripAllWays box = "all stripped"
	coalesce     box = "segments coalesced" // which loses mappings
)

// strips reports whether the box takes options away.
func (b box) strips() bool { return strings.Contains(string(b), "stripped") }

// pathEvent is something that befalls a path.
type pathEvent struct {
	at, length time.Duration // since the start of the traffic
	kind       pathEventKind
	mtu        int // of narrow and hole
}

type pathEventKind string

const (
	silent    pathEventKind = "down"
	signalled pathEventKind = "device fails"
	slower    pathEventKind = "slower"
	lossy     pathEventKind = "lossy"

	removed    pathEventKind = "device removed"
	narrow     pathEventKind = "smaller MTU"
	hole       pathEventKind = "smaller MTU, without a word"
	natRestart pathEventKind = "NAT forgets"
)

// kills reports whether subflows end by such an event.
func (k pathEventKind) kills() bool { return k == signalled || k == removed || k == natRestart }

// ending is how a connection ends.
type ending string

const (
	orderly   ending = "orderly"     // both send all and close their streams
	oneWay    ending = "one way"     // the client sends all and closes at once, the server only reads
	aborted   ending = "aborted"     // one side aborts
	abandoned ending = "abandoned"   // one side closes while the other sends
	vanished  ending = "host closed" // one host is closed
	severed   ending = "severed"     // all links go down for good
)

// traffic is one connection's.
type traffic struct {
	ending ending
	by     int           // the side that aborts or closes
	at     time.Duration // when it does so
	side   [2]stream
}

// stream is what one side does.
type stream struct {
	size           int
	chunk          int           // bytes in one Write
	writePause     time.Duration // between Writes
	writeDeadline  time.Duration // of each Write; 0: none
	readSize       int
	readPause      time.Duration
	readDeadline   time.Duration
	closeReadLater bool // it begins to read when it has written all
}

// dice draws what a scenario is made of.
type dice struct{ *rand.Rand }

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

// between draws a duration.
func (d dice) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.Int64N(int64(high-low)+1))
}

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

// newScenario is the scenario of a seed.
func newScenario(seed uint64) *scenario {
	s := oldScenario(seed)
	s.extend()
	return s
}

// useScheduler gives both sides the scheduler called name, if it is not empty.
func (s *scenario) useScheduler(name string) {
	if s.both = name; name != "" {
		s.config[0].scheduler, s.config[1].scheduler = name, name
	}
}

// useManager gives both sides the path manager called name, if it is not empty.
func (s *scenario) useManager(name string) { s.manager = name }

// oldScenario is the part of it that the first version knew.
func oldScenario(seed uint64) *scenario {
	d := dice{rand.New(rand.NewPCG(seed, 0x6d70746370))}
	s := &scenario{seed: seed, v6: d.chance(30)}
	for range 1 + d.IntN(4) {
		s.paths = append(s.paths, s.newPath(d))
	}
	if d.chance(30) {
		s.last = shape(d, s.v6)
		s.last.MTU = 0
	}
	checksum := d.chance(30)
	for i := range s.config {
		s.config[i] = settings{
			scheduler:  pick(d, "minrtt", "roundrobin"),
			congestion: pick(d, congestion.Names()...),
			checksum:   checksum && (i == 0 || d.chance(50)),
			send:       pick(d, 0, 4<<10, 20_000, 64<<10, 300_000, 1<<20),
			receive:    pick(d, 0, 4<<10, 20_000, 64<<10, 300_000, 1<<20),
		}
	}
	s.special(d)
	for range 1 + d.IntN(10)/8 {
		s.conns = append(s.conns, newTraffic(d))
	}
	for _, c := range s.conns {
		if c.ending == vanished { // which ends them all
			for i := range s.conns {
				s.conns[i].ending = vanished
				s.conns[i].by = c.by
			}
			break
		}
	}
	return s
}

// special adds to some scenarios a middlebox, corruption, or events on paths.
func (s *scenario) special(d dice) {
	switch k := d.IntN(100); {
	case k < 30:
		i := d.IntN(len(s.paths))
		boxes := []box{shift, split, ackProxy, stripSYN, stripAnswer, stripData, stripThere, stripBack, stripAllWays}
		if !s.v6 {
			boxes = append(boxes, nat)
		}
		s.paths[i].box = pick(d, boxes...)
	case k < 37 && s.mayCorrupt():
		s.config[0].checksum = true
		p := &s.paths[1+d.IntN(len(s.paths)-1)]
		p.there.Corrupt, p.back.Corrupt = d.Float64()*0.02, d.Float64()*0.02
	case k < 80:
		for i := range s.paths {
			for range d.IntN(4) {
				s.paths[i].events = append(s.paths[i].events, pathEvent{
					at: d.between(0, 6*time.Second), length: d.between(time.Millisecond, 5*time.Second),
					kind: pick(d, silent, signalled, slower, lossy),
				})
			}
		}
	}
}

func (s *scenario) newPath(d dice) path {
	p := path{there: shape(d, s.v6)}
	p.back = p.there
	if d.chance(30) {
		p.back = shape(d, s.v6)
		p.back.MTU = p.there.MTU
	}
	return p
}

func shape(d dice, v6 bool) simnet.Shape {
	s := simnet.Shape{
		Rate:  simnet.Rate(float64(simnet.Mbps) * pick(d, 0.5, 1, 2, 5, 10, 20, 100)),
		Delay: d.between(0, pick(d, time.Millisecond, 20*time.Millisecond, 100*time.Millisecond, 300*time.Millisecond)),
	}
	if d.chance(30) {
		s.Jitter = d.between(0, 10*time.Millisecond)
	}
	if d.chance(40) {
		s.Loss = d.Float64() * pick(d, 0.001, 0.02, 0.08)
	}
	if d.chance(10) {
		// Each retransmission is a packet, too: bursts that outlast fifteen of them end a connection.
		s.Burst = simnet.Gilbert{ToBad: d.Float64() * 0.02, ToGood: 0.5 + d.Float64()*0.4}
	}
	if d.chance(25) {
		s.Reorder, s.ReorderBy = d.Float64()*0.1, d.between(0, 50*time.Millisecond)
	}
	if d.chance(20) {
		s.Duplicate = d.Float64() * 0.1
	}
	if d.chance(30) {
		s.Queue.Packets = pick(d, 3, 10, 30, 300)
	}
	if d.chance(25) {
		s.MTU = pick(d, 576, 800, 1280, 1400)
		if v6 {
			s.MTU = max(s.MTU, 1280) // what IPv6 asks of a link
		}
	}
	return s
}

func newTraffic(d dice) traffic {
	t := traffic{by: d.IntN(2), at: d.between(0, pick(d, 10*time.Millisecond, time.Second, 5*time.Second))}
	switch k := d.IntN(100); {
	case k < 55:
		t.ending = orderly
	case k < 65:
		t.ending = oneWay
	case k < 80:
		t.ending = aborted
	case k < 95:
		t.ending = abandoned
	default:
		t.ending = vanished
	}
	for i := range t.side {
		t.side[i] = newStream(d)
	}
	if t.ending == oneWay {
		t.side[1].size = 0
	}
	// Reading must come to an end in the time that a scenario has, and that a test has.
	for i := range t.side {
		me, peer := &t.side[i], &t.side[1-i]
		me.readSize = max(me.readSize, peer.size/20_000)
		if me.readPause > 0 {
			me.readSize = max(me.readSize, peer.size/500)
		}
	}
	// Two sides that both write first and read later wait for each other for ever.
	if t.side[0].closeReadLater {
		t.side[1].closeReadLater = false
	}
	return t
}

func newStream(d dice) stream {
	s := stream{
		size:     d.IntN(1 + pick(d, 0, 1, 2000, 64<<10, 64<<10, 300<<10, 1<<20)),
		chunk:    pick(d, 1000, 1460, 10_000, 64<<10, 1<<20),
		readSize: pick(d, 500, 2000, 16<<10, 64<<10, 1<<20),
	}
	if d.IntN(40) == 0 {
		s.size = 4 << 20
	}
	if d.chance(20) {
		s.writePause = d.between(0, 20*time.Millisecond)
	}
	if d.chance(20) {
		s.writeDeadline = d.between(time.Millisecond, 50*time.Millisecond)
	}
	if d.chance(20) {
		s.readPause = d.between(0, 10*time.Millisecond)
	}
	if d.chance(20) {
		s.readDeadline = d.between(time.Millisecond, 50*time.Millisecond)
	}
	// One byte at a time, and other things that make many calls, are for small streams.
	if d.chance(10) {
		s.size = min(s.size, 2000)
		s.chunk, s.readSize = 1+d.IntN(3), 1+d.IntN(3)
	}
	if s.writePause > 0 {
		s.chunk = max(s.chunk, s.size/200+1)
	}
	s.closeReadLater = d.chance(10)
	return s
}

// hostConfig is the Config of one side, without an environment.
func (s *scenario) hostConfig(side int) *mptcp.Config {
	set := s.config[side]
	sched, _ := scheduler.ByName(set.scheduler)
	control, _ := congestion.ByName(set.congestion)
	manager, _ := pathmgr.ByName(s.manager) // nil: the default one
	return &mptcp.Config{
		PathManager: manager,
		Scheduler:   sched, Congestion: control, Checksum: set.checksum, SendBuffer: set.send, ReceiveBuffer: set.receive,
		FastCloseByACK: set.fastCloseByACK, DenyJoinInitial: set.denyInitial, KeepAlive: set.keepAlive, MaxSubflows: set.maxSubflows,
		CloseTimeout: s.closeTimeout(side),
	}
}

func tell(b *strings.Builder, events []pathEvent) {
	for _, e := range events {
		fmt.Fprintf(b, "    at %v for %v: %s %d\n", e.at, e.length, e.kind, e.mtu)
	}
}

// String tells the scenario to a person.
func (s *scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, IPv6 %v, both families %v\n", s.seed, s.v6, s.dual)
	for i, c := range s.config {
		fmt.Fprintf(&b, "  host %d: %+v\n", i, c)
	}
	for i, p := range s.paths {
		fmt.Fprintf(&b, "  path %d: %s\n    there %+v\n    back  %+v\n", i, p.box, p.there, p.back)
		if p.rates != nil || p.trace != nil || p.late > 0 || p.dropThere+p.dropBack+p.skip > 0 {
			fmt.Fprintf(&b, "    rates %v, trace %v, there after %v, lost %d %d, skipped %d\n", p.rates, p.trace != nil, p.late, p.dropThere, p.dropBack, p.skip)
		}
		tell(&b, p.events)
	}
	for k, a := range s.servers {
		fmt.Fprintf(&b, "  server address %v: own link %v %+v\n", a.address(k), a.own, a.shape)
		tell(&b, a.events)
	}
	for _, h := range s.byHand {
		fmt.Fprintf(&b, "  by hand: %+v\n", h)
	}
	fmt.Fprintf(&b, "  shared: %+v\n", s.last)
	for _, c := range s.conns {
		fmt.Fprintf(&b, "  connection: %s by %d at %v\n    %+v\n    %+v\n", c.ending, c.by, c.at, c.side[0], c.side[1])
	}
	return b.String()
}
