package mptcp

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// patience is how long tests wait, in virtual time, for what has to happen.
const patience = 5 * time.Minute

// eventually waits for a condition, in virtual time.
func eventually(t testing.TB, cond func() bool, msg string, args ...any) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			require.Failf(t, "it did not come to that", msg, args...)
		}
	}
}

// goroutines are the stacks of all goroutines of the world but the caller's. Those that
// have something to do at this instant have done it.
func goroutines() (list []string) {
	time.Sleep(time.Nanosecond)
	buf := make([]byte, 4<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	header, _, _ := strings.Cut(all[0], "\n") // goroutine 7 [running, synctest bubble 3]:
	_, bubble, _ := strings.Cut(header, ", ")
	for _, s := range all[1:] {
		if header, _, _ := strings.Cut(s, "\n"); strings.HasSuffix(header, ", "+bubble) {
			list = append(list, s)
		}
	}
	return list
}

// tcpOnly makes a middlebox of a function that may change a TCP segment, and says whether
// it passes.
func tcpOnly(f func(t packet.TCP) bool) simnet.Middlebox {
	return func(p *simnet.Passage, b []byte) {
		if t, ok := packet.ParseTCP(b); ok {
			if !f(t) {
				return
			}
			packet.SetChecksumPartial(b)
			packet.CompleteChecksum(b, nil)
		}
		p.Forward(b)
	}
}

// dropAll is a middlebox that lets nothing pass.
func dropAll(*simnet.Passage, []byte) {}

// async runs a call and gives its result later.
func async[T any](fn func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- fn() }()
	return c
}

// result waits for what async runs.
func result[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "still waiting")
		panic("not reached")
	}
}

// readErr reads until an error.
func readErr(c net.Conn) <-chan error {
	return async(func() error {
		_, err := io.Copy(io.Discard, errReader{c})
		return err
	})
}

// errReader hides Conn's type, so that io.Copy returns its error, io.EOF being none.
type errReader struct{ io.Reader }

// writeErr writes until an error.
func writeErr(c net.Conn) <-chan error {
	return async(func() error {
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
	})
}

// optionsOf parses the options of a packet.
func optionsOf(t packet.TCP) *option.Set {
	s := option.Parse(t.Options(), t.Flags())
	return &s
}

// few is n, or 1 under the race detector, which makes virtual time ten times as dear: of cases that differ in
// numbers only it has seen all with one.
func few(n int) int {
	if raceEnabled {
		return 1
	}
	return n
}
