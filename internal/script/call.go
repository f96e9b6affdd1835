package script

import (
	"io"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
)

// Call is a call that may block: it runs in a goroutine of its own.
type Call[T any] struct {
	l     *Lab
	name  string
	done  chan struct{}
	value T
	err   error
}

// Start begins a call. name is for messages.
func Start[T any](l *Lab, name string, f func() (T, error)) *Call[T] {
	c := &Call[T]{l: l, name: name, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.value, c.err = f()
	}()
	return c
}

// NotDone asserts that the call has not returned, though everything that is possible at
// this time has happened.
func (c *Call[T]) NotDone(what string) {
	c.l.t.Helper()
	select {
	case <-c.done:
		c.l.t.Fatalf("%s: %s has returned %v, %v", what, c.name, c.value, c.err)
	case <-time.After(time.Microsecond):
	}
}

// wait waits for the call to return.
func (c *Call[T]) wait() {
	c.l.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.l.t.Fatalf("%s has not returned in %v", c.name, patience)
	}
}

// Result waits for the call to succeed and returns its value.
func (c *Call[T]) Result() T {
	c.l.t.Helper()
	if c.wait(); c.err != nil {
		c.l.t.Fatalf("%s: %v", c.name, c.err)
	}
	return c.value
}

// Err waits for the call to fail and returns its error.
func (c *Call[T]) Err() error {
	c.l.t.Helper()
	if c.wait(); c.err == nil {
		c.l.t.Fatalf("%s has returned %v and no error", c.name, c.value)
	}
	return c.err
}

// Read reads n bytes, or what there is before the end of the stream.
func (l *Lab) Read(c *mptcp.Conn, n int) *Call[string] {
	return Start(l, "Read", func() (string, error) {
		b := make([]byte, n)
		m, err := io.ReadFull(c, b)
		if err == io.ErrUnexpectedEOF {
			err = nil
		}
		return string(b[:m]), err
	})
}

// Write writes s.
func (l *Lab) Write(c *mptcp.Conn, s string) *Call[int] {
	return Start(l, "Write", func() (int, error) { return c.Write([]byte(s)) })
}
