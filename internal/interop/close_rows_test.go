//go:build linux

package interop

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomptcp/gomptcp/mptcp"
)

// closeRows are those of mptcp_join.sh about the end of a connection.
var closeRows = []row{
	{
		number: 73, name: "fastclose test", run: libraryAborts,
		// It rides, too, on the RSTs that answer what was under way.
		serves: counts{"MPFastcloseRx": 1, "MPFastcloseTx": 0}, dials: counts{"MPFastcloseRx": 1, "MPFastcloseTx": 0},
		ours: counts{"MPFastcloseTx": some}, lone: []string{"MPFastcloseTx"},
	},
	{
		number: 73, name: "fastclose test, on an ACK", resets: true, host: fastCloseByACK, run: libraryAborts,
		serves: counts{"MPFastcloseRx": 1, "MPRstTx": 1, "MPFastcloseTx": 0}, dials: counts{"MPFastcloseRx": 1, "MPRstTx": 1, "MPFastcloseTx": 0},
		ours: counts{"MPFastcloseTx": 1},
	},
	{
		number: 74, name: "fastclose server test", resets: true, run: kernelAborts,
		serves: counts{"MPFastcloseTx": 1, "MPRstTx": 1, "MPFastcloseRx": 0}, dials: counts{"MPFastcloseTx": 1, "MPRstTx": 1, "MPFastcloseRx": 0},
		ours: counts{"MPFastcloseRx": 1},
	},

	// With several subflows each end may forget the connection before it has seen all resets of
	// the other.
	{
		number: 75, name: "fastclose with 3 subflows", resets: true, paths: 3, run: libraryAborts, kernel: kernelJoins(2),
		serves: counts{"MPJoinAckRx": 2, "MPFastcloseRx": some, "MPFastcloseTx": 0},
		dials:  counts{"MPJoinSynAckRx": 2, "MPFastcloseRx": some, "MPFastcloseTx": 0},
		ours:   counts{"MPFastcloseTx": some}, lone: []string{"MPFastcloseTx", "MPRstRx"},
	},
	{
		number: 75, name: "fastclose with 3 subflows, on an ACK", resets: true, paths: 3, host: fastCloseByACK, run: libraryAborts, kernel: kernelJoins(2),
		serves: counts{"MPJoinAckRx": 2, "MPFastcloseRx": 1, "MPFastcloseTx": 0, "MPRstTx": some},
		dials:  counts{"MPJoinSynAckRx": 2, "MPFastcloseRx": 1, "MPFastcloseTx": 0, "MPRstTx": some},
		ours:   counts{"MPFastcloseTx": 1}, lone: []string{"MPRstTx", "MPRstRx"},
	},
	{
		number: 75, name: "fastclose server with 3 subflows", resets: true, paths: 3, run: kernelAborts, kernel: kernelJoins(2),
		serves: counts{"MPJoinAckRx": 2, "MPFastcloseTx": some, "MPRstTx": some, "MPFastcloseRx": 0},
		dials:  counts{"MPJoinSynAckRx": 2, "MPFastcloseTx": some, "MPRstTx": some, "MPFastcloseRx": 0},
		ours:   counts{"MPFastcloseRx": 1}, lone: []string{"MPFastcloseRx", "MPRstRx", "MPRstTx"},
	},
}

func fastCloseByACK(_ Role, cfg *mptcp.Config) { cfg.FastCloseByACK = true }

// sending connects and lets both ends send for ever; it returns when all subflows are there
// and bytes have come both ways. What ends the reading and writing of either end comes
// through the channels: a socket of the kernel tells an error once, to whoever is first.
func (s *scene) sending(t testing.TB) (library *mptcp.Conn, kernel *net.TCPConn, libraryErr, kernelErr <-chan error) {
	library, kernel = s.Connect(t, true)
	run := func(c Conn) (<-chan struct{}, <-chan error) {
		got, ended, written := make(chan struct{}), make(chan error, 1), make(chan error, 1)
		go func() {
			for buf := make([]byte, 10000); ; time.Sleep(time.Millisecond) {
				if _, err := c.Write(buf); err != nil {
					written <- err
					return
				}
			}
		}()
		go func() {
			_, err := io.CopyN(io.Discard, c, 100e3)
			close(got)
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			ended <- errors.Join(err, <-written)
		}()
		return got, ended
	}
	libraryGot, libraryErr := run(library)
	kernelGot, kernelErr := run(kernel)
	<-libraryGot
	<-kernelGot
	s.holdForJoins()
	s.await(t)
	require.Eventually(t, func() bool { return established(library) == len(s.gates) }, patience, time.Millisecond)
	return library, kernel, libraryErr, kernelErr
}

// established counts the subflows that are up.
func established(c *mptcp.Conn) (n int) {
	for _, f := range c.Info().Subflows {
		if f.State == "established" {
			n++
		}
	}
	return n
}

// libraryAborts aborts in mid-transfer: the peer's application gets an error, and soon nothing is left.
func libraryAborts(t testing.TB, s *scene) {
	library, _, _, kernelErr := s.sending(t)
	require.NoError(t, library.Abort())
	require.ErrorIs(t, receive(t, kernelErr), syscall.ECONNRESET)
	s.requireGone(t)
	require.Positive(t, s.Peer.Counters(t)["MPFastcloseRx"])
}

// kernelAborts closes with unread bytes, which the kernel takes for an abort.
func kernelAborts(t testing.TB, s *scene) {
	library, kernel, libraryErr, _ := s.sending(t)
	require.NoError(t, kernel.SetReadDeadline(time.Now()))
	// What the library sends now is not read.
	require.Eventually(t, func() bool { return queued(t, kernel) > 0 }, patience, time.Millisecond)
	require.NoError(t, kernel.SetLinger(0))
	require.NoError(t, kernel.Close())
	err := receive(t, libraryErr)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.ErrorIs(t, err, mptcp.ErrFastClosed)
	s.requireGone(t)
	require.Zero(t, established(library))
	require.Positive(t, s.Peer.Counters(t)["MPFastcloseTx"])
}

// gone is how long subflows may take to go away when the connection was aborted, on a busy machine: less
// than if they had to time out.
const gone = 3 * time.Second

// requireGone waits until the kernel has no subflow any more that is not closed, no longer than gone.
func (s *scene) requireGone(t testing.TB) {
	t.Helper()
	var left string
	require.True(t, assertEventually(func() bool {
		left = ""
		for line := range strings.Lines(s.Peer.ss(t, "-Htan")) {
			if !strings.HasPrefix(line, "TIME-WAIT") && !strings.HasPrefix(line, "LISTEN") {
				left += line
			}
		}
		return left == ""
	}, gone), "left: %s", left)
}

// receive takes what a channel gives.
func receive(t testing.TB, ch <-chan error) error {
	t.Helper()
	select {
	case err := <-ch:
		return err
	case <-time.After(patience):
		require.FailNow(t, "nothing happens")
		return nil
	}
}

// queued is how many bytes wait to be read.
func queued(t testing.TB, c *net.TCPConn) (n int) {
	sc, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, sc.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }))
	require.NoError(t, err)
	return n
}
