package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/uplink"
)

// defaultConnectTimeout bounds connecting when there is no -timeout.
const defaultConnectTimeout = time.Minute

// run does what the command line says: it opens the devices with open, connects or
// accepts, copies both ways, and waits until the peer has confirmed everything. A nil
// error means that all was delivered, or shown for -dry-run. Cancelling ctx aborts the connection.
func run(ctx context.Context, cfg *config, stdin io.Reader, stdout io.Writer, open func(name string) (tun.Device, error)) (err error) {
	if cfg.dryRun {
		_, err := uplink.New(cfg.uplinkConfig(nil, stdout))
		return err
	}
	st := &station{}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := st.open(cfg, open); err != nil {
		return err
	}
	conn, err := connect(ctx, cfg, st.host)
	if err != nil {
		return errors.Join(err, writeStats(cfg.stats, mptcp.Info{}, err))
	}
	err = transfer(ctx, cfg.timeout, conn, stdin, stdout)
	return errors.Join(err, writeStats(cfg.stats, conn.Info(), err))
}

// connect dials, or with -l accepts one connection.
func connect(ctx context.Context, cfg *config, host *mptcp.Host) (*mptcp.Conn, error) {
	timeout := cfg.timeout
	if timeout == 0 && !cfg.listen {
		timeout = defaultConnectTimeout
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if !cfg.listen {
		return host.Dial(ctx, "tcp", cfg.address)
	}
	l, err := host.Listen("tcp", cfg.address)
	if err != nil {
		return nil, err
	}
	cfg.logf("listening at %v", l.Addr())
	// The connection outlives its listener; subflows can still join it.
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	conn, err := l.AcceptMPTCP()
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("nobody connected to %s: %w", cfg.address, context.Cause(ctx))
	}
	return conn, err
}

// transfer copies stdin to the connection and the connection to stdout until both have
// ended, closes, and waits for the peer's confirmation.
func transfer(ctx context.Context, idle time.Duration, conn *mptcp.Conn, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if idle > 0 {
		go watchIdle(ctx, cancel, conn, idle)
	}
	stopAbort := context.AfterFunc(ctx, func() { conn.Abort() })

	sent := make(chan error, 1)
	received := make(chan error, 1)
	go func() { sent <- send(conn, stdin) }()
	go func() { received <- receive(stdout, conn) }()

	err := firstError(ctx, sent, received)
	stopAbort()
	if err != nil {
		conn.Abort()
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	if err := conn.Wait(ctx); err != nil {
		conn.Abort()
		return fmt.Errorf("not confirmed by the peer: %w", because(ctx, err))
	}
	linger(conn)
	return nil
}

// linger lets the subflows close in order before the host goes, which would reset them;
// some peers then drop what their program has not read yet. It waits for a second at
// most: all is confirmed already.
func linger(conn *mptcp.Conn) {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		open := slices.ContainsFunc(conn.Info().Subflows, func(s mptcp.SubflowInfo) bool { return s.State != "closed" })
		if !open {
			return
		}
	}
}

// firstError waits for two results and returns the first error, or what ended ctx:
// standard input may never end when the connection has.
func firstError(ctx context.Context, a, b <-chan error) error {
	for range 2 {
		var err error
		select {
		case err = <-a:
		case err = <-b:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			return because(ctx, err)
		}
	}
	return nil
}

// because returns the reason why ctx ended if it has, since that is what made err happen.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func send(conn *mptcp.Conn, stdin io.Reader) error {
	if _, err := io.Copy(onlyWriter{conn}, stdin); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if err := conn.CloseWrite(); err != nil {
		return fmt.Errorf("closing the sending half: %w", err)
	}
	return nil
}

func receive(stdout io.Writer, conn *mptcp.Conn) error {
	if _, err := io.CopyBuffer(onlyWriter{stdout}, onlyReader{conn}, make([]byte, 256<<10)); err != nil {
		return fmt.Errorf("receiving: %w", err)
	}
	return nil
}

// onlyWriter and onlyReader hide further methods, so that io.Copy uses its buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// watchIdle cancels when no byte has been confirmed or received for the time idle.
func watchIdle(ctx context.Context, cancel context.CancelCauseFunc, conn *mptcp.Conn, idle time.Duration) {
	tick := time.NewTicker(max(idle/8, time.Millisecond))
	defer tick.Stop()
	moved, since := uint64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			info := conn.Info()
			if n := info.BytesAcked + info.BytesReceived; n != moved {
				moved, since = n, now
			} else if now.Sub(since) >= idle {
				cancel(fmt.Errorf("nothing moved for %v (-timeout)", idle))
				return
			}
		}
	}
}
