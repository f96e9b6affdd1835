package mptcp

import (
	"context"
	"errors"
	"log/slog"

	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
)

// logf writes a line of the connection's story: what happened, the connection (token, local
// and remote address of the initial subflow), the subflow if it is about one (its ID, from
// and to), and then what else is known. c.mu is held.
func (c *Conn) logf(msg string, s *sub, args ...any) {
	if c.log == nil || !c.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs := []any{
		slog.String("token", c.shared.LocalKey.Token().String()), slog.Any("local", c.local), slog.Any("remote", c.remote),
	}
	if s != nil {
		attrs = append(attrs, slog.Int("subflow", int(s.ID)), slog.Any("from", s.Local), slog.Any("to", s.Remote))
	}
	c.log.Debug(msg, append(attrs, args...)...)
}

// because is the attributes of an end: none if it was in order.
func because(err error) []any {
	if err == nil {
		return nil
	}
	return []any{slog.String("reason", words(err))}
}

// words says in a line why something ended; empty if it was in order.
func words(err error) string {
	var reset *subflow.ResetError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &reset):
		return reset.Error() // says more than what it came with
	}
	return err.Error()
}

// logNew says how a subflow begins.
func (c *Conn) logNew(s *sub) {
	switch {
	case s.Kind == subflow.Join && s.Role == subflow.Opener:
		c.logf("opening subflow", s)
	case s.Kind == subflow.Join:
		c.logf("peer opens subflow", s)
	case c.role == pathmgr.Client:
		c.logf("dialing", s)
	default:
		c.logf("being dialed", s)
	}
}

// logUp says that data may flow, for the first time or on one more subflow.
func (c *Conn) logUp(s *sub) {
	if s.Kind == subflow.Join {
		c.logf("subflow up", s, slog.Bool("backup", s.isBackup()))
		return
	}
	if c.shared.Mode != subflow.MPTCP {
		c.logf("connected with plain TCP", s, slog.String("reason", c.shared.FallbackReason))
		return
	}
	c.logf("connected", s, slog.Bool("checksum", c.shared.Checksum))
}
