package mptcp

import (
	"errors"
	"net"
	"syscall"

	"github.com/gomptcp/gomptcp/subflow"
)

// SubflowResetError says why a subflow was reset (RFC 8684 section 3.6). It can be found
// with errors.As in the errors of a connection that it ended.
type SubflowResetError = subflow.ResetError

var (
	// ErrFastClosed: the peer aborted the connection (MP_FASTCLOSE). It is
	// syscall.ECONNRESET for errors.Is.
	ErrFastClosed error = &connError{"connection aborted by the peer", syscall.ECONNRESET}
	// ErrNoPath: no subflow was left, and none could be opened in Config.BreakTimeout. It
	// is syscall.ETIMEDOUT for errors.Is.
	ErrNoPath error = &connError{"no path to the peer", syscall.ETIMEDOUT}
	// ErrNotConfirmed: the peer did not confirm in Config.CloseTimeout all that was written
	// before Close. It is syscall.ETIMEDOUT for errors.Is.
	ErrNotConfirmed error = &connError{"the peer has not confirmed all data", syscall.ETIMEDOUT}
	// ErrNoDevice: no device of the host has an address of the family that is needed.
	ErrNoDevice = errors.New("no device with an address of this family; call AddDevice first")
	// ErrDeviceRemoved: the device that carried a subflow was removed or failed.
	ErrDeviceRemoved = errors.New("device removed")
	// ErrNotMPTCP: the connection is plain TCP, or not open (any more); it has one path.
	ErrNotMPTCP = errors.New("the connection does not speak Multipath TCP, or is closing; see Info")
	// ErrNotConfirmedYet: no subflow may be opened before the peer has shown that it has both
	// keys (RFC 8684 section 3.1), which its first data or confirmation of data does.
	ErrNotConfirmedYet = errors.New("the peer has not confirmed Multipath TCP yet; exchange some data first")
	// ErrTooManySubflows: Config.MaxSubflows is reached.
	ErrTooManySubflows = errors.New("Config.MaxSubflows reached")
	// ErrJoinDenied: the peer wants no further subflows to its initial address and port
	// (RFC 8684 section 3.1, flag C).
	ErrJoinDenied = errors.New("the peer denies further subflows to its initial address")
	// ErrEventsMissed: events that nobody took with NextEvent had to make room for newer ones.
	ErrEventsMissed = errors.New("too many events waited, the oldest are lost; see Info")
	// ErrHostClosed: the host was closed.
	ErrHostClosed error = &connError{"host closed", net.ErrClosed}
)

// Why subflows end, in words for Info and the log.
var (
	errNoKeepAlive error = &connError{"no answer to keepalives", syscall.ETIMEDOUT}
	errJoinTooLate error = &connError{"the connection has ended before it was open", net.ErrClosed}
)

// connError is a cause with a system error or a net error that it stands for.
type connError struct {
	text string
	is   error
}

func (e *connError) Error() string { return e.text }

func (e *connError) Unwrap() error { return e.is }

// opError wraps err as package net's connections do.
func (c *Conn) opError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "mptcp", Source: c.local, Addr: c.remote, Err: err}
}
