package simnet

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
)

// Run makes a world and calls f in it; when f returns, the hosts that are still open are
// closed and Run waits for every goroutine that f started. It works in ordinary programs,
// in examples and in tests, where Test is handier.
//
// It returns a *StuckError if the world did not come to its end, and an error if a host that
// was closed has kept connections or buffers, or if the race detector, where it is on, found
// something. If f panics or
// ends with runtime.Goexit, as t.FailNow makes it, so does Run. It panics if goroutines
// remain that wait for what cannot come any more.
func Run(cfg Config, f func(w *World)) error {
	var w *World
	var inner, outer ending
	bubble := func() {
		// synctest wants a T, but uses it only to report failures and for cleanups. There is
		// one kind of failure: data races.
		synctest.Test(new(testing.T), func(*testing.T) {
			w = newWorld(cfg)
			done := make(chan struct{})
			go func() {
				defer close(done)
				inner.watch(func() { f(w) })
			}()
			<-done
			w.stop()
		})
	}
	done := make(chan struct{})
	go func() { // which a failure ends
		defer close(done)
		outer.watch(bubble)
	}()
	<-done
	if outer.panicked != nil {
		outer.repeat()
	}
	inner.repeat()
	if err := w.result(); err != nil || outer.returned {
		return err
	}
	return errRace
}

// result says what went wrong in a world that has ended.
func (w *World) result() error {
	if w.err != nil {
		return w.err
	}
	return w.checkClosed()
}

var errRace = errors.New("simnet: the race detector has found data races")

// Test is Run for tests: cleanups that f registers run in the world, and t.Context
// belongs to it. A world that is stuck, or has a host that keeps something when it is closed, fails the
// test. f must not call t.Run or
// t.Parallel.
func Test(t *testing.T, cfg Config, f func(t *testing.T, w *World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(cfg)
		t.Cleanup(func() {
			w.stop()
			if err := w.result(); err != nil {
				t.Error(err)
			}
		})
		f(t, w)
	})
}

// ending is how a function ended.
type ending struct {
	returned bool
	panicked any
	stack    []byte
}

// watch calls f and notes how it ends.
func (e *ending) watch(f func()) {
	defer func() {
		if e.returned {
			return
		}
		if e.panicked = recover(); e.panicked != nil {
			e.stack = debug.Stack()
		}
	}()
	f()
	e.returned = true
}

// repeat ends the calling goroutine in the same way.
func (e *ending) repeat() {
	switch {
	case e.panicked != nil:
		panic(fmt.Sprintf("%v\n\nin the simulated world:\n%s", e.panicked, e.stack))
	case !e.returned:
		runtime.Goexit()
	}
}
