package mptcp

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// story is what a host logs.
type story struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

// Write implements io.Writer.
func (s *story) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *story) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
}

var (
	chance = regexp.MustCompile(`token=[0-9a-f]{8}`)
	port   = regexp.MustCompile(`:\d{4,5}\b`)
	// logLine is message, connection, and the rest.
	logLine = regexp.MustCompile(`^msg="?([^"]+?)"? token=T local=(\S+ remote=\S+)(.*)$`)
)

// lines are the lines without what is left to chance.
func (s *story) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := port.ReplaceAllString(chance.ReplaceAllString(s.b.String(), "token=T"), ":P")
	return strings.Split(strings.TrimSpace(text), "\n")
}

// told is a client with two links to a router, and a server behind that; both log.
type told struct {
	client, server   *Host
	links            []*simnet.Link
	clients, servers story
}

func newTold(t *testing.T, w *simnet.World, client, server Config) *told {
	s := &told{}
	cn, sn, hub := w.Host("client"), w.Host("server"), w.Router("hub")
	client.Environment, client.Logger = cn, s.clients.logger()
	server.Environment, server.Logger = sn, s.servers.logger()
	var err error
	s.client, err = NewHost(&client)
	require.NoError(t, err)
	s.server, err = NewHost(&server)
	require.NoError(t, err)
	last := w.Connect(hub, sn, simnet.Shape{}, simnet.Shape{})
	hub.Route(netip.MustParsePrefix("0.0.0.0/0"), last)
	require.NoError(t, s.server.AddDevice(last.B, netip.MustParsePrefix("192.0.2.1/24")))
	for i := range 2 {
		shape := simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 10 * time.Millisecond}
		l := w.Connect(cn, hub, shape, shape)
		s.links = append(s.links, l)
		require.NoError(t, s.client.AddDevice(l.A, toldAddress(i)))
		hub.Route(toldAddress(i), l)
	}
	return s
}

func toldAddress(link int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(link + 1), 1}), 24)
}

func (s *told) connect(t *testing.T) (client, server *Conn) {
	l, err := s.server.Listen("tcp", ":443")
	require.NoError(t, err)
	defer l.Close()
	client, err = s.client.Dial(context.Background(), "tcp", "192.0.2.1:443")
	require.NoError(t, err)
	server, err = l.AcceptMPTCP()
	require.NoError(t, err)
	return client, server
}

func sendAll(t *testing.T, from, to *Conn, n int) {
	done := async(func() error {
		_, err := from.Write(make([]byte, n))
		return err
	})
	_, err := io.ReadFull(to, make([]byte, n))
	require.NoError(t, err)
	require.NoError(t, <-done)
}

// The story of a connection that gains, loses and regains paths and is closed in order, as
// both ends tell it.
func TestStory(t *testing.T) {
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
		s := newTold(t, w, Config{}, Config{})
		c, d := s.connect(t)
		sendAll(t, c, d, 1<<20)
		s.links[1].Down()
		sendAll(t, c, d, 1<<20)
		s.links[1].Up()
		time.Sleep(5 * time.Second)
		require.NoError(t, s.client.RemoveDevice(s.links[1].A.Name()))
		time.Sleep(time.Second)
		require.NoError(t, s.client.AddDevice(s.links[1].A.Device(), toldAddress(1)))
		time.Sleep(time.Second)
		require.NoError(t, c.CloseWrite())
		sendAll(t, d, c, 1000)
		time.Sleep(time.Second)
		requireCounts(t, c, 2<<20, 1000)
		requireCounts(t, d, 1000, 2<<20)
		require.NoError(t, d.Close())
		require.NoError(t, c.Close())
		require.NoError(t, c.Wait(context.Background()))
		time.Sleep(time.Minute)

		const one, two, back = " subflow=1 from=10.0.1.1:P to=192.0.2.1:443", " subflow=2 from=10.0.2.1:P to=192.0.2.1:443", " subflow=3 from=10.0.2.1:P to=192.0.2.1:443"
		requireStory(t, &s.clients, "10.0.1.1:P remote=192.0.2.1:443",
			"dialing"+one,
			"connected"+one+" checksum=false",
			"opening subflow"+two,
			"subflow up"+two+" backup=false",
			"peer may use this path again"+two+" rtt=20.1184ms loss=0", // of which nothing was known
			"signal sent"+two+" option=MP_PRIO",
			"no answers, sending again elsewhere"+two,
			"subflow stale"+two,
			"subflow works again"+two,
			"subflow down"+two+` reason="device removed"`,
			"signal sent"+one+` option="REMOVE_ADDR ids=[1]"`,
			"opening subflow"+back,
			"subflow up"+back+" backup=false",
			"peer may use this path again"+back+" rtt=20.1184ms loss=0",
			"signal sent"+back+" option=MP_PRIO",
			"ending our stream",
			"our stream is confirmed to its end",
			"peer's stream has ended",
			"subflow down"+one,
			"subflow down"+back,
			"connection over",
		)
		const first, second, third = " subflow=1 from=192.0.2.1:443 to=10.0.1.1:P", " subflow=2 from=192.0.2.1:443 to=10.0.2.1:P", " subflow=3 from=192.0.2.1:443 to=10.0.2.1:P"
		requireStory(t, &s.servers, "192.0.2.1:443 remote=10.0.1.1:P",
			"being dialed"+first,
			"connected"+first+" checksum=false",
			"peer opens subflow"+second,
			"subflow up"+second+" backup=true",
			"peer changes the priority of a subflow"+second+" backup=false",
			"peer withdraws an address id=1",
			"peer opens subflow"+third,
			"subflow up"+third+" backup=true",
			"peer changes the priority of a subflow"+third+" backup=false",
			"subflow down"+second+` reason="subflow reset by peer: unspecified"`,
			"peer's stream has ended",
			"ending our stream",
			"our stream is confirmed to its end",
			"subflow down"+first,
			"subflow down"+third,
			"connection over",
		)
	})
}

// requireCounts: all that was written has gone all the way.
func requireCounts(t *testing.T, c *Conn, out, in uint64) {
	t.Helper()
	i := c.Info()
	require.Equal(t, [5]uint64{out, out, out, in, in}, [5]uint64{i.BytesWritten, i.BytesSent, i.BytesAcked, i.BytesReceived, i.BytesRead})
}

// What Info counts while the peer's window is shut, over MPTCP and over plain TCP.
func TestInfoCounts(t *testing.T) {
	for _, plain := range []bool{false, true} {
		simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
			s := newTold(t, w, Config{DisableMPTCP: plain}, Config{ReceiveBuffer: 50_000})
			c, d := s.connect(t)
			sendAll(t, c, d, 1000)
			_, err := c.Write(make([]byte, 200_000))
			require.NoError(t, err)
			time.Sleep(time.Minute)
			i, j := c.Info(), d.Info()
			require.EqualValues(t, 201_000, i.BytesWritten)
			require.InDelta(t, 51_000, i.BytesSent, 3000)
			require.InDelta(t, i.BytesSent, i.BytesAcked, 3000)
			require.Equal(t, i.BytesAcked, j.BytesReceived)
			require.EqualValues(t, 1000, j.BytesRead)
			require.InDelta(t, 1440, i.Subflows[0].MSS, 40)
			require.Positive(t, i.Subflows[0].RTTVar)
		})
	}
}

// A server without MPTCP; a path that removes options after the handshake; a server whose last
// path goes for good.
func TestStoriesThatEndBadly(t *testing.T) {
	const one, first = " subflow=1 from=10.0.1.1:P to=192.0.2.1:443", " subflow=1 from=192.0.2.1:443 to=10.0.1.1:P"
	run := func(client, server Config, f func(s *told)) {
		simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
			f(newTold(t, w, client, server))
		})
	}
	run(Config{}, Config{DisableMPTCP: true}, func(s *told) {
		c, d := s.connect(t)
		sendAll(t, c, d, 1000)
		require.NoError(t, c.Abort())
		time.Sleep(time.Second)
		requireStory(t, &s.clients, "10.0.1.1:P remote=192.0.2.1:443",
			"dialing"+one,
			"connected with plain TCP"+one+` reason="no usable MP_CAPABLE in the SYN/ACK"`,
			"aborting",
			`connection over reason="use of closed network connection"`,
		)
		requireStory(t, &s.servers, "192.0.2.1:443 remote=10.0.1.1:P",
			"being dialed"+first,
			"connected with plain TCP"+first+` reason="MPTCP is turned off"`,
			"subflow down"+first+` reason="subflow reset by peer: unspecified"`,
			`connection over reason="subflow reset by peer: unspecified"`,
		)
	})
	run(Config{}, Config{}, func(s *told) {
		for _, l := range s.links {
			l.There.Through(simnet.StripMPTCP(simnet.HasPayload))
		}
		c, d := s.connect(t)
		sendAll(t, c, d, 1000)
		require.NoError(t, c.Abort())
		time.Sleep(time.Second)
		require.Contains(t, s.servers.lines()[2], `msg="fallback to plain TCP"`)
		require.Contains(t, s.servers.lines()[2], first+` reason="first data without a mapping"`)
		require.Equal(t, "first data without a mapping", d.Info().FallbackReason)
	})
	run(Config{BreakTimeout: 5 * time.Second}, Config{}, func(s *told) {
		require.NoError(t, s.client.RemoveDevice(s.links[1].A.Name()))
		c, d := s.connect(t)
		sendAll(t, c, d, 1000)
		sendAll(t, d, c, 1000)
		require.NoError(t, s.client.RemoveDevice(s.links[0].A.Name()))
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrNoPath)
		requireStory(t, &s.clients, "10.0.1.1:P remote=192.0.2.1:443",
			"dialing"+one,
			"connected"+one+" checksum=false",
			"subflow down"+one+` reason="device removed"`,
			"no subflow is left wait=5s",
			`connection over reason="no path to the peer: device removed"`,
		)
		require.Equal(t, "device removed", c.Info().Subflows[0].Reason)
	})
}

// requireStory compares the lines, each of which names the connection.
func requireStory(t *testing.T, s *story, ends string, want ...string) {
	t.Helper()
	var got []string
	for _, line := range s.lines() {
		m := logLine.FindStringSubmatch(line)
		require.NotNil(t, m, line)
		require.Equal(t, ends, m[2], line)
		got = append(got, m[1]+m[3])
	}
	require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))
}
