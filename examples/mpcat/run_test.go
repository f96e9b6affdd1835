package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// lab is two places for an mpcat, joined by a cable, in a world with a time of its own.
type lab struct {
	w              *simnet.World
	client, server *simnet.Host
	// The cable's ends, one for each.
	clientDev, serverDev tun.Device
}

// inLab runs a test in a lab.
func inLab(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Helper()
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		l := &lab{w: w, client: w.Host("client"), server: w.Host("server")}
		a, b := tun.Pipe(tun.PipeConfig{Names: [2]string{"path", "path"}})
		l.clientDev, l.serverDev = l.client.Attach(a), l.server.Attach(b)
		f(t, l)
	})
}

// opener gives out prepared devices by name.
func opener(devices ...tun.Device) func(string) (tun.Device, error) {
	return func(name string) (tun.Device, error) {
		for _, d := range devices {
			if d.Name() == name {
				return d, nil
			}
		}
		return nil, errors.New("no such device")
	}
}

func mustParse(t *testing.T, line string) *config {
	t.Helper()
	cfg, err := parseFlags(strings.Fields(line), io.Discard)
	require.NoError(t, err)
	return cfg
}

// dial runs a client until it has ended.
func (l *lab) dial(t *testing.T, ctx context.Context, line string, stdin io.Reader, stdout io.Writer) error {
	t.Helper()
	cfg := mustParse(t, line)
	cfg.host.Environment = l.client
	return run(ctx, cfg, stdin, stdout, opener(l.clientDev))
}

// serve runs a server in the background and returns when it listens. What it returns
// gives the server's error.
func (l *lab) serve(t *testing.T, ctx context.Context, line string, stdin io.Reader, stdout io.Writer) <-chan error {
	t.Helper()
	cfg := mustParse(t, "-v -l "+line)
	cfg.host.Environment = l.server
	listening := make(chan struct{})
	once := sync.OnceFunc(func() { close(listening) })
	cfg.logTo = writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("listening at")) {
			once()
		}
		return len(b), nil
	})
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, cfg, stdin, stdout, opener(l.serverDev))
		once() // if it could not listen
	}()
	<-listening
	return done
}

func randomBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// Two mpcats, each with something to send: both get all of it, and the statistics tell
// of one MPTCP connection with one subflow: nobody asks for one of the other family.
func TestBothWays(t *testing.T) {
	for name, addrs := range map[string][2]string{"IPv4": {"10.1.1.2", "10.1.1.1"}, "IPv6": {"fd00:1::2", "fd00:1::1"}} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				dir := t.TempDir()
				clientStats, serverStats := filepath.Join(dir, "client.json"), filepath.Join(dir, "server.json")
				up, down := randomBytes(1, 3e6), randomBytes(2, 1e6)
				var clientOut, serverOut bytes.Buffer
				served := l.serve(t, t.Context(), "-dev path=10.1.1.1/24,fd00:1::1/64 -timeout 20s -stats "+serverStats+" "+addrs[1]+" 5001",
					bytes.NewReader(down), &serverOut)
				require.NoError(t, l.dial(t, t.Context(), "-pathmgr none -dev path=10.1.1.2/24,fd00:1::2/64 -timeout 20s -stats "+clientStats+
					" -pcap "+filepath.Join(dir, "c.pcap")+" "+addrs[1]+" 5001", bytes.NewReader(up), &clientOut))
				require.NoError(t, <-served)
				require.Equal(t, sha256.Sum256(up), sha256.Sum256(serverOut.Bytes()))
				require.Equal(t, sha256.Sum256(down), sha256.Sum256(clientOut.Bytes()))

				client, server := readStats(t, clientStats), readStats(t, serverStats)
				require.True(t, client.MPTCP, client.FallbackReason)
				require.True(t, server.MPTCP, server.FallbackReason)
				require.Empty(t, client.Error)
				require.EqualValues(t, len(up), client.BytesSent)
				require.EqualValues(t, len(down), client.BytesReceived)
				require.Equal(t, client.Token, server.RemoteToken)
				require.Equal(t, server.Token, client.RemoteToken)
				require.NotEqual(t, client.Token, client.RemoteToken)
				require.Len(t, client.Subflows, 1)
				require.EqualValues(t, len(up), client.Subflows[0].BytesSent)
				require.EqualValues(t, len(down), client.Subflows[0].BytesReceived)
				require.Contains(t, client.Subflows[0].Local, addrs[0])
				require.Contains(t, client.Subflows[0].Remote, addrs[1])
				require.Equal(t, "path", client.Subflows[0].Device)

				capture, err := os.Stat(filepath.Join(dir, "c.pcap"))
				require.NoError(t, err)
				require.Greater(t, capture.Size(), int64(len(up)+len(down)))
			})
		})
	}
}

// The client's standard input ends at once; what the server sends still arrives.
func TestHalfClose(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		serverIn, serverSend := io.Pipe()
		clientOutRead, clientOut := io.Pipe()
		served := l.serve(t, t.Context(), "-timeout 20s -dev path=10.1.1.1/24 10.1.1.1 5001", serverIn, io.Discard)
		done := make(chan error, 1)
		go func() {
			done <- l.dial(t, t.Context(), "-timeout 20s -dev path=10.1.1.2/24 10.1.1.1 5001", strings.NewReader(""), clientOut)
		}()
		for _, word := range []string{"one", "two"} {
			_, err := io.WriteString(serverSend, word)
			require.NoError(t, err)
			got := make([]byte, len(word))
			_, err = io.ReadFull(clientOutRead, got)
			require.NoError(t, err)
			require.Equal(t, word, string(got))
		}
		require.NoError(t, serverSend.Close())
		require.NoError(t, <-done)
		require.NoError(t, <-served)
	})
}

// Nobody answers: -timeout ends it with an error, and the statistics say so.
func TestConnectTimeout(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		stats := filepath.Join(t.TempDir(), "s.json")
		require.Error(t, l.dial(t, t.Context(), "-timeout 3s -stats "+stats+" -dev path=10.1.1.2/24 10.1.1.1 5001",
			strings.NewReader("x"), io.Discard))
		require.Equal(t, 3*time.Second, l.w.Elapsed())
		require.NotEmpty(t, readStats(t, stats).Error)
		require.False(t, readStats(t, stats).MPTCP)
	})
}

func TestListenTimeout(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		err := <-l.serve(t, t.Context(), "-timeout 3s -dev path=10.1.1.1/24 10.1.1.1 5001", strings.NewReader("x"), io.Discard)
		require.ErrorContains(t, err, "nobody connected to 10.1.1.1:5001")
		require.Equal(t, 3*time.Second, l.w.Elapsed())
	})
}

// The peer goes away in the middle: what it never confirmed is no success.
func TestPeerVanishes(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		serverCtx, stopServer := context.WithCancel(t.Context())
		nothing, typing := io.Pipe() // a standard input on which nothing is typed
		first := make(chan struct{})
		served := l.serve(t, serverCtx, "-dev path=10.1.1.1/24 10.1.1.1 5001", nothing, writerFunc(func(b []byte) (int, error) {
			select {
			case <-first:
			default:
				close(first)
				l.serverDev.Close() // the cable is pulled
			}
			return len(b), nil
		}))
		require.Error(t, l.dial(t, t.Context(), "-timeout 1s -dev path=10.1.1.2/24 10.1.1.1 5001", bytes.NewReader(randomBytes(1, 50e6)), io.Discard))
		<-first
		stopServer()
		require.Error(t, <-served)
		require.NoError(t, typing.Close())
	})
}

func TestUnknownDevice(t *testing.T) {
	err := run(t.Context(), mustParse(t, "-dev path=10.1.1.2/24 10.1.1.1 5001"), strings.NewReader(""), io.Discard, opener())
	require.ErrorContains(t, err, "-dev path: no such device")
}

func readStats(t *testing.T, name string) (s stats) {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &s))
	return s
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
