package interop

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a connection of either stack.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Flow is one direction of an Exchange: what is sent and how it is read. Sent and
// Received may be read while it runs.
type Flow struct {
	// Bytes to send.
	Bytes int64
	// PauseAt: after so many bytes the reader pauses once, calling Pause. Nil: no pause.
	PauseAt int64
	Pause   func()
	// HoldAt: after so many bytes the sender pauses once, calling Hold. Nil: no pause.
	HoldAt int64
	Hold   func()

	// Sent counts the bytes that the sender's Write took, Received those read.
	Sent, Received atomic.Int64
}

// Exchange sends on a and b at once, ab from a to b and ba from b to a, each a
// pseudo-random stream that ends with a half close. It returns an error unless both
// arrived whole, judged by SHA-256, within the time limit, counted from the last
// progress. The connections are left open for reading their state.
func Exchange(a, b Conn, ab, ba *Flow, idle time.Duration) error {
	var abSent, abGot, baSent, baGot [sha256.Size]byte
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	start := func(what string, f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				errs <- fmt.Errorf("%s: %w", what, err)
				// The others would wait for ever.
				a.SetDeadline(time.Now())
				b.SetDeadline(time.Now())
			}
		})
	}
	start("a sends", func() (err error) { abSent, err = ab.send(a, 1); return })
	start("b receives", func() (err error) { abGot, err = ab.receive(b); return })
	start("b sends", func() (err error) { baSent, err = ba.send(b, 2); return })
	start("a receives", func() (err error) { baGot, err = ba.receive(a); return })

	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	if err := watch(finished, idle, ab, ba); err != nil {
		a.SetDeadline(time.Now())
		b.SetDeadline(time.Now())
		<-finished
		return fmt.Errorf("%w (a to b: %s, b to a: %s)", err, ab, ba)
	}
	close(errs)
	for err := range errs {
		return fmt.Errorf("%w (a to b: %s, b to a: %s)", err, ab, ba)
	}
	if abSent != abGot || baSent != baGot {
		return errors.New("the SHA-256 of what was sent and received differ")
	}
	return nil
}

// watch returns nil when finished is closed and an error when nothing is received for
// the time idle.
func watch(finished <-chan struct{}, idle time.Duration, flows ...*Flow) error {
	tick := time.NewTicker(idle / 20)
	defer tick.Stop()
	moved, since := int64(0), time.Now()
	for {
		select {
		case <-finished:
			return nil
		case now := <-tick.C:
			sum := int64(0)
			for _, f := range flows {
				sum += f.Received.Load()
			}
			if sum != moved {
				moved, since = sum, now
			} else if now.Sub(since) > idle {
				return fmt.Errorf("nothing received for %v", idle)
			}
		}
	}
}

// String says how far the flow is.
func (f *Flow) String() string {
	return fmt.Sprintf("sent %d and received %d of %d bytes", f.Sent.Load(), f.Received.Load(), f.Bytes)
}

// send writes the flow's bytes, half closes and returns their SHA-256.
func (f *Flow) send(w Conn, seed byte) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	src := io.LimitReader(rand.NewChaCha8([32]byte{seed}), f.Bytes)
	hold := f.Hold
	buf := make([]byte, 256<<10)
	for {
		n, readErr := src.Read(buf)
		if readErr == io.EOF {
			break
		}
		h.Write(buf[:n])
		written, err := w.Write(buf[:n])
		sent := f.Sent.Add(int64(written))
		if err != nil {
			return sum, err
		}
		if hold != nil && sent >= f.HoldAt {
			hold()
			hold = nil
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), w.CloseWrite()
}

// receive reads to the end and returns the SHA-256.
func (f *Flow) receive(r Conn) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	pause := f.Pause
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		got := f.Received.Add(int64(n))
		if err == io.EOF {
			break
		}
		if err != nil {
			return sum, err
		}
		if pause != nil && got >= f.PauseAt {
			pause()
			pause = nil
		}
	}
	if got := f.Received.Load(); got != f.Bytes {
		return sum, fmt.Errorf("the stream ended after %d of %d bytes", got, f.Bytes)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
