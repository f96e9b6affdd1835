package simnet

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
)

// event is something that happens at a point in time. World.mu guards it.
type event struct {
	at    time.Duration // since the start of the world
	order uint64        // breaks ties: what was scheduled first happens first
	run   func()
	// own: run is the world's and is called by the driver itself; it takes no time and
	// calls nobody else. What is not runs in a goroutine of its own, which may block.
	own   bool
	index int // in the heap; -1 when it is not there
}

// eventHeap is a binary heap, the next event first.
type eventHeap []*event

func (h eventHeap) before(i, j int) bool {
	a, b := h[i], h[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (h eventHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *eventHeap) push(e *event) {
	e.index = len(*h)
	*h = append(*h, e)
	h.up(e.index)
}

func (h *eventHeap) remove(e *event) {
	i, last := e.index, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	if i < last {
		h.down(i)
		h.up(i)
	}
}

func (h eventHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.before(i, parent) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h eventHeap) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h.before(c, least) {
				least = c
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

// schedule puts e, which is not scheduled, at a time; what lies in the past is due now.
func (w *World) schedule(e *event, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scheduleLocked(e, at)
}

func (w *World) scheduleLocked(e *event, at time.Duration) {
	e.at, e.order = max(at, w.Elapsed()), w.lastOrder
	w.lastOrder++
	w.events.push(e)
	w.wakeLocked()
}

// later schedules something of the world's own.
func (w *World) later(at time.Duration, run func()) *event {
	e := &event{run: run, own: true, index: -1}
	w.schedule(e, at)
	return e
}

// cancel takes e back and reports whether it was still to come.
func (w *World) cancel(e *event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cancelLocked(e)
}

func (w *World) cancelLocked(e *event) bool {
	if e == nil || e.index < 0 {
		return false
	}
	w.events.remove(e)
	return true
}

// timer is a clock.Timer of the world.
type timer struct {
	w *World
	e event
}

var _ clock.Timer = (*timer)(nil)

// Stop implements clock.Timer.
func (t *timer) Stop() bool { return t.w.cancel(&t.e) }

// Reset implements clock.Timer.
func (t *timer) Reset(d time.Duration) bool {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	pending := t.w.cancelLocked(&t.e)
	t.w.scheduleLocked(&t.e, t.w.Elapsed()+d)
	return pending
}

// AfterFunc runs f in a goroutine of its own when d has passed.
func (w *World) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &timer{w: w, e: event{run: f, index: -1}}
	w.schedule(&t.e, w.Elapsed()+d)
	return t
}

// At runs f in a goroutine of its own at a time since the start of the world, at once if
// that has passed.
func (w *World) At(t time.Duration, f func()) { w.schedule(&event{run: f, index: -1}, t) }

// Every runs f in a goroutine of its own after each period, which is positive, until stop
// is called.
func (w *World) Every(period time.Duration, f func()) (stop func()) {
	if period <= 0 {
		panic("simnet: Every needs a positive period")
	}
	t := &timer{w: w, e: event{index: -1}}
	t.e.run = func() {
		t.Reset(period)
		f()
	}
	t.Reset(period)
	return func() { t.Stop() }
}
