package simnet

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
)

// DefaultDeadline is Config.Deadline when that is zero.
const DefaultDeadline = 24 * time.Hour

// Config configures a World. The zero value works.
type Config struct {
	// Seed is where all chance in the world comes from.
	Seed uint64
	// Deadline is the virtual time after which a world is taken to be stuck: its hosts are
	// closed, and Run returns a StuckError that tells what they were waiting for.
	// Default: DefaultDeadline.
	Deadline time.Duration
	// Record is told of everything that happens to a packet, one thing at a time, in an
	// order that follows from the seed. It must not wait, and not call links or nodes.
	// Default: nobody.
	Record func(Event)
}

// World is a network with a time of its own. Its methods may be called from any
// goroutine of the bubble.
//
// The driver, one goroutine, moves time, packets and timers. What links hold is guarded by
// each direction's lock, the rest by World.mu; a direction's lock is taken first.
type World struct {
	cfg   Config
	start time.Time
	kick  chan struct{} // wakes the driver when it sleeps
	ended chan struct{} // closed by the driver

	// The driver's own.
	unsettled bool        // something that is not the driver's may have run
	err       *StuckError // read when the driver has ended

	mu        sync.Mutex // guards what follows
	events    eventHeap
	lastOrder uint64
	sent      []packetSent // by hosts, not yet on a link
	members   []*membership
	nodes     map[string]Node
	links     []*Link
	left      []string // what hosts held when they were closed
	sleeping  bool
	stopping  bool
}

// membership is a host that must be at rest before time moves.
type membership struct {
	clock.Member
	name string
	// What the driver saw last of Activity, and whether it looks once more.
	seen  uint64
	again bool
}

func newWorld(cfg Config) *World {
	if cfg.Deadline == 0 {
		cfg.Deadline = DefaultDeadline
	}
	w := &World{
		cfg: cfg, start: time.Now(), kick: make(chan struct{}, 1), ended: make(chan struct{}),
		nodes: make(map[string]Node), unsettled: true,
	}
	w.later(cfg.Deadline, w.giveUp)
	go w.drive()
	return w
}

// Now is the present time of the world; time.Now says the same there.
func (w *World) Now() time.Time { return time.Now() }

// Elapsed is the time since the start of the world.
func (w *World) Elapsed() time.Duration { return time.Since(w.start) }

// Rand returns a source of chance that depends on the seed and the label alone. It is
// not safe for concurrent use.
func (w *World) Rand(label string) *rand.Rand { return rand.New(w.source(label)) }

func (w *World) source(label string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, w.cfg.Seed), label...)))
}

func (w *World) register(name string, m clock.Member) (leave func()) {
	m.Pause()
	ms := &membership{Member: m, name: name, seen: m.Activity()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = append(w.members, ms)
	return func() {
		left := m.Leftovers()
		w.mu.Lock()
		defer w.mu.Unlock()
		if left != "" {
			w.left = append(w.left, fmt.Sprintf("%s: %s", name, left))
		}
		for i, o := range w.members {
			if o == ms {
				w.members = append(w.members[:i:i], w.members[i+1:]...)
				return
			}
		}
	}
}

// memberList returns the members as they are now; the slice is never changed.
func (w *World) memberList() []*membership {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.members[:len(w.members):len(w.members)]
}

// Leftovers tells which hosts hold connections, and what that takes; it is empty when none
// does. A connection that has ended holds nothing after 20 s, for so long its ports stay
// taken.
func (w *World) Leftovers() string {
	var list []string
	for _, m := range w.memberList() {
		if left := m.Leftovers(); left != "" {
			list = append(list, fmt.Sprintf("%s: %s", m.name, left))
		}
	}
	return strings.Join(list, "\n")
}

// checkClosed returns an error if a host that was closed still held something.
func (w *World) checkClosed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.left) == 0 {
		return nil
	}
	return fmt.Errorf("simnet: hosts were closed and have left:\n%s", strings.Join(w.left, "\n"))
}

// closeMembers ends all hosts.
func (w *World) closeMembers() {
	for _, m := range w.memberList() {
		_ = m.Close() // somebody else may have closed it
	}
}

// Dump writes for a person what the world is doing: its time, links and hosts.
func (w *World) Dump(out io.Writer) {
	w.mu.Lock()
	links, events := w.links, len(w.events)
	w.mu.Unlock()
	fmt.Fprintf(out, "world: seed %d, %v after its start, %d events to come\n", w.cfg.Seed, w.Elapsed(), events)
	for _, l := range links {
		fmt.Fprintf(out, "link %v\n  %v\n  %v\n", l, l.There, l.Back)
	}
	for _, m := range w.memberList() {
		fmt.Fprintf(out, "host %s\n", m.name)
		m.Dump(out)
	}
}

// StuckError says that a world did not come to its end.
type StuckError struct {
	// At is the virtual time at which that was found: Config.Deadline, or an earlier time
	// at which something happened again and again without end.
	At time.Duration
	// Dump is what World.Dump wrote then.
	Dump string
}

// Error implements error.
func (e *StuckError) Error() string { return fmt.Sprintf("simnet: stuck at %v\n%s", e.At, e.Dump) }

// patience is the virtual time that closing the hosts may take in a world that is stuck.
const patience = time.Minute

// maxAtOnce is how many events may happen at one instant. Each packet that arrives is one;
// it is a host whose timer is always due that comes to so many.
var maxAtOnce = 2_000_000

// giveUp ends a world that is stuck; the driver calls it. It panics the second time.
func (w *World) giveUp() {
	if w.err != nil {
		panic("simnet: the function given to Run goes on though its hosts are closed; " + w.err.Error())
	}
	var dump strings.Builder
	w.Dump(&dump)
	w.err = &StuckError{At: w.Elapsed(), Dump: dump.String()}
	go w.closeMembers()
	w.unsettled = true
	w.later(w.Elapsed()+patience, w.giveUp)
}
