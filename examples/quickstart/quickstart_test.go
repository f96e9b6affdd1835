package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// output collects what is displayed; it can be read meanwhile.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func mustParse(t *testing.T, args ...string) *config {
	t.Helper()
	cfg, err := parseFlags(args, io.Discard)
	require.NoError(t, err)
	return cfg
}

// inWorld runs a test in a world with a time of its own.
func inWorld(t *testing.T, f func(t *testing.T, w *simnet.World)) {
	t.Helper()
	simnet.Test(t, simnet.Config{}, f)
}

// A path is cut and restored: the bytes are whole, both paths carried some, and the
// summary says so.
func TestTransferSurvivesCut(t *testing.T) {
	for _, path := range []string{"wifi", "lte"} {
		t.Run(path, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *simnet.World) {
				out := &output{}
				cfg := mustParse(t, "-size", "3", "-wifi-rate", "10", "-lte-rate", "5", "-cut", path+"@1s-2s")
				cfg.world = w
				result, err := run(t.Context(), cfg, newDisplay(out, false))
				require.NoError(t, err, out)
				require.NoError(t, result.check())
				require.EqualValues(t, 3e6, result.got.bytes)
				require.True(t, result.info.MPTCP)
				require.GreaterOrEqual(t, len(result.info.Subflows), 2)
				for device, bytes := range ackedByDevice(result.info) {
					require.Greater(t, bytes, uint64(100e3), device)
				}
				require.Less(t, result.took, 5*time.Second, "of 1.6 s without the cut")
				newDisplay(out, false).summary(cfg, result)
				require.Contains(t, out.String(), "  1.0 s  --- "+path+" is cut")
				require.Contains(t, out.String(), "sha256 received")
			})
		})
	}
}

func TestFileAndCapture(t *testing.T) {
	dir := t.TempDir()
	name, capture := filepath.Join(dir, "data"), filepath.Join(dir, "c.pcapng")
	require.NoError(t, os.WriteFile(name, bytes.Repeat([]byte("data"), 50e3), 0o600))
	inWorld(t, func(t *testing.T, w *simnet.World) {
		out := &output{}
		cfg := mustParse(t, "-file", name, "-pcap", capture, "-cut", "none", "-scheduler", "roundrobin")
		cfg.world = w
		result, err := run(t.Context(), cfg, newDisplay(out, true))
		require.NoError(t, err, out)
		require.NoError(t, result.check())
		require.EqualValues(t, 200e3, result.got.bytes)
	})
	info, err := os.Stat(capture)
	require.NoError(t, err)
	require.Greater(t, info.Size(), int64(200e3))
}

// Ctrl-C ends a transfer at once.
func TestInterrupt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *simnet.World) {
		ctx, interrupt := context.WithCancel(t.Context())
		w.At(time.Second, interrupt)
		cfg := mustParse(t)
		cfg.world = w
		_, err := run(ctx, cfg, newDisplay(io.Discard, false))
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, w.Elapsed(), 1100*time.Millisecond)
	})
}

func TestMissingFile(t *testing.T) {
	_, err := run(t.Context(), mustParse(t, "-file", filepath.Join(t.TempDir(), "none")), newDisplay(io.Discard, false))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// The exit status hangs on this.
func TestCheckComparesDigests(t *testing.T) {
	r := &result{}
	require.NoError(t, r.check())
	r.got.sum[0] = 1
	require.ErrorContains(t, r.check(), "received other bytes")
}

func TestParseFlags(t *testing.T) {
	cfg := mustParse(t, "-size", "0.5", "-wifi-rate", "100", "-lte-delay", "40ms", "-cut", "lte@1s-2500ms")
	require.EqualValues(t, 500e3, cfg.size)
	require.Equal(t, [2]pathConfig{{"wifi", 100, 5 * time.Millisecond}, {"lte", 20, 40 * time.Millisecond}}, cfg.paths)
	require.Equal(t, cut{"lte", time.Second, 2500 * time.Millisecond}, cfg.cut)
	require.Equal(t, cut{}, mustParse(t, "-cut", "none").cut)

	for args, want := range map[string]string{
		"-cut dsl@1s-2s":     "no path",
		"-cut wifi":          "want PATH@FROM-TO",
		"-cut wifi@2s-1s":    "cut before it is restored",
		"-cut wifi@x-1s":     "invalid",
		"-scheduler best":    "minrtt, redundant",
		"-wifi-rate 0":       "must be positive",
		"-size -1":           "must not be negative",
		"movie.mp4":          "-file",
		"-lte-delay -1ms":    "not negative",
		"-no-such-flag 1":    "no-such-flag",
		"-cut lte@1s-2s lte": "unexpected argument",
	} {
		_, err := parseFlags(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
}
