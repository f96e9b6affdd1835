package simnet

import (
	"testing/synctest"
	"time"
)

// drive is the driver: it moves the world until stop.
func (w *World) drive() {
	defer close(w.ended)
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	atOnce := 0
	for {
		if atOnce++; atOnce > maxAtOnce {
			atOnce = 0
			w.giveUp()
		}
		if w.unsettled {
			w.settle()
			w.admit()
		}
		e, wait := w.next()
		switch {
		case e == nil && wait < 0:
			return
		case e == nil:
			alarm.Reset(wait)
			select {
			case <-alarm.C:
			case <-w.kick:
			}
			w.awake()
			w.unsettled = true
			atOnce = 0
		case e.own:
			e.run()
		default:
			go e.run()
			w.unsettled = true
		}
	}
}

// next takes the next event if it is due. If none is it returns how long to sleep, or a
// negative time when the world has stopped.
func (w *World) next() (*event, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return nil, -1
	}
	if len(w.sent) > 0 { // since settle: by somebody whom an event of ours set going
		w.unsettled = true
		return &event{run: func() {}, own: true}, 0
	}
	if len(w.events) == 0 {
		w.sleeping = true
		return nil, w.cfg.Deadline // the deadline has passed; something will come
	}
	e := w.events[0]
	if wait := e.at - w.Elapsed(); wait > 0 {
		w.sleeping = true
		return nil, wait
	}
	w.events.remove(e)
	return e, 0
}

// wakeLocked wakes the driver if it sleeps.
func (w *World) wakeLocked() {
	if w.sleeping {
		w.sleeping = false
		w.kick <- struct{}{}
	}
}

// awake notes that the driver has stopped sleeping.
func (w *World) awake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sleeping = false
	select {
	case <-w.kick:
	default:
	}
}

// settle waits until everything in the world is at rest.
//
// Two kinds of goroutines work in a host. Most wait in ways that synctest knows. The
// workers of its TCP do not, so that they are held (Pause) except while there is
// something for them to do. They are let go once more than they seem to need: a segment
// whose endpoint somebody else had locked is found only then.
func (w *World) settle() {
	for {
		synctest.Wait()
		busy := false
		for _, m := range w.memberList() {
			n := m.Activity()
			if n == m.seen && !m.again {
				continue
			}
			m.again, m.seen = n != m.seen, n
			m.Resume()
			m.Pause()
			busy = true
		}
		if !busy {
			w.unsettled = false
			return
		}
	}
}

// stop ends the world. It is called once, by another goroutine than the driver.
func (w *World) stop() {
	w.closeMembers()
	w.mu.Lock()
	w.stopping = true
	w.wakeLocked()
	w.mu.Unlock()
	<-w.ended
	for _, l := range w.links {
		l.A.close()
		l.B.close()
	}
}
