//go:build linux

package interop

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// run runs a subtest as try does.
func run(t *testing.T, name string, test func(t testing.TB)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { try(t, test) })
}

// try runs a test that depends on another system and on real time: where INTEROP_ATTEMPTS allows it, one
// that fails is run again, from the beginning, and the log says that it was and why. The last attempt
// decides.
func try(t *testing.T, test func(t testing.TB)) {
	t.Helper()
	Require(t)
	n := allowedAttempts(t)
	for i := 1; i < n; i++ {
		if attemptOnce(t, i, test) {
			return
		}
		t.Logf("ATTEMPT %d OF %d FAILED, see above; the test is run again", i, n)
		repeated.add(t.Name())
	}
	test(t)
}

// allowedAttempts is INTEROP_ATTEMPTS; 1 if that is not set.
func allowedAttempts(t testing.TB) int {
	s := os.Getenv("INTEROP_ATTEMPTS")
	if s == "" {
		return 1
	}
	n, err := strconv.Atoi(s)
	require.NoError(t, err, "INTEROP_ATTEMPTS")
	require.Positive(t, n, "INTEROP_ATTEMPTS")
	return n
}

// attempt is what a test is given whose failure is not yet that of the test: it stands for the
// testing.T, to which its errors become lines of the log. The methods that it does not have
// are those of the testing.T.
type attempt struct {
	testing.TB
	number int // from 1

	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

// attemptOnce runs a test, with its cleanups, and reports whether it passed.
func attemptOnce(t testing.TB, number int, test func(t testing.TB)) bool {
	a := &attempt{TB: t, number: number}
	ended := make(chan struct{})
	// What ends a test in its middle ends its goroutine.
	go func() {
		defer close(ended)
		defer a.cleanUp()
		test(a)
	}()
	<-ended
	return !a.Failed()
}

// cleanUp runs the cleanups, the latest first, all of them even if one ends the goroutine.
func (a *attempt) cleanUp() {
	a.mu.Lock()
	n := len(a.cleanups) - 1
	if n < 0 {
		a.mu.Unlock()
		return
	}
	f := a.cleanups[n]
	a.cleanups = a.cleanups[:n]
	a.mu.Unlock()
	defer a.cleanUp()
	f()
}

// Name implements testing.TB.
func (a *attempt) Name() string { return fmt.Sprintf("%s, attempt %d", a.TB.Name(), a.number) }

// Cleanup implements testing.TB.
func (a *attempt) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanups = append(a.cleanups, f)
}

// Failed implements testing.TB.
func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// Fail implements testing.TB.
func (a *attempt) Fail() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
}

// FailNow implements testing.TB.
func (a *attempt) FailNow() {
	a.Fail()
	runtime.Goexit()
}

// Error implements testing.TB.
func (a *attempt) Error(args ...any) {
	a.Helper()
	a.Log(args...)
	a.Fail()
}

// Errorf implements testing.TB.
func (a *attempt) Errorf(format string, args ...any) {
	a.Helper()
	a.Logf(format, args...)
	a.Fail()
}

// Fatal implements testing.TB.
func (a *attempt) Fatal(args ...any) {
	a.Helper()
	a.Log(args...)
	a.FailNow()
}

// Fatalf implements testing.TB.
func (a *attempt) Fatalf(format string, args ...any) {
	a.Helper()
	a.Logf(format, args...)
	a.FailNow()
}

// repeated are the tests of which an attempt failed.
var repeated names

type names struct {
	mu   sync.Mutex
	list []string
}

func (n *names) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, name)
}

// report says at the end which tests were run again: among thousands of lines it would be missed.
func (n *names) report() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) == 0 {
		return
	}
	fmt.Println("tests that failed at first and were run again (INTEROP_ATTEMPTS):")
	for _, name := range n.list {
		fmt.Println("  " + name)
	}
}

func TestAttempts(t *testing.T) {
	var story []string
	tell := func(what string) func() { return func() { story = append(story, what) } }
	passed := attemptOnce(t, 1, func(t testing.TB) {
		t.Cleanup(tell("first cleanup"))
		t.Cleanup(func() {
			tell("second cleanup")()
			t.FailNow()
		})
		require.True(t, t.Failed() == false)
		t.Error("this error is the attempt's")
		require.Equal(t, "TestAttempts, attempt 1", t.Name())
		require.True(t, t.Failed())
		require.Fail(t, "this failure too")
		tell("not reached")()
	})
	require.False(t, passed)
	require.Equal(t, []string{"second cleanup", "first cleanup"}, story)
	require.True(t, attemptOnce(t, 2, func(testing.TB) {}))
}
