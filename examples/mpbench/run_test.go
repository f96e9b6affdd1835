package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// lab is a server and a client, joined by two links of 20 and 10 Mbit/s.
type lab struct {
	w              *simnet.World
	client, server *simnet.Host
	links          []*simnet.Link
}

const (
	labClient = " -dev client-server=10.1.0.2/24,client-server/2=10.2.0.2/24 -addr 10.1.0.1:5001 -watch=false"
	labServer = "serve -dev server-client=10.1.0.1/24,server-client/2=10.2.0.1/24 -watch=false"
)

// inLab runs a test in a lab, with a server that has printed what it says it has in the end.
func inLab(t *testing.T, f func(t *testing.T, l *lab)) (serverOut string) {
	t.Helper()
	var printed bytes.Buffer
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		l := &lab{w: w, client: w.Host("client"), server: w.Host("server")}
		for _, rate := range []simnet.Rate{20, 10} {
			l.links = append(l.links, w.Connect(l.client, l.server, simnet.Shape{Rate: rate * simnet.Mbps, Delay: 5 * time.Millisecond},
				simnet.Shape{Rate: rate * simnet.Mbps, Delay: 5 * time.Millisecond}))
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		listening := make(chan struct{})
		go func() {
			cfg, err := parse(labServer)
			require.NoError(t, err)
			cfg.host.Environment = l.server
			served <- run(ctx, cfg, writerFunc(func(b []byte) (int, error) {
				if bytes.HasPrefix(b, []byte("listening at")) {
					close(listening)
				}
				return printed.Write(b)
			}), opener(l.links[0].B, l.links[1].B))
		}()
		<-listening
		f(t, l)
		stop()
		require.NoError(t, <-served)
	})
	return printed.String()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

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

// run runs a client to its end.
func (l *lab) run(t *testing.T, line string, out io.Writer) error {
	t.Helper()
	cfg, err := parse(line + labClient)
	require.NoError(t, err)
	cfg.host.Environment = l.client
	return run(t.Context(), cfg, out, opener(l.links[0].A, l.links[1].A))
}

// measured is what the rig reads of a result: names as there.
type measured struct {
	Mode                       string
	ConnectMs, TotalMs, SendMs float64
	Report                     *struct {
		Bytes       int64
		Ms, FirstMs float64
		Sum         string
		Bins        []int64
		Gaps        []struct{ AtMs, Ms float64 }
		Err         string
	}
	Lat  []float64
	Info struct {
		MPTCP    bool
		Subflows []struct{ Device string }
	}
	Err   string
	Start time.Time
}

// json runs a client and reads the one line that it prints.
func (l *lab) json(t *testing.T, line string) (m measured) {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, l.run(t, line, &out))
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.NoError(t, json.Unmarshal(out.Bytes(), &m))
	require.Empty(t, m.Err)
	require.GreaterOrEqual(t, m.ConnectMs, 10.0, "a round trip")
	require.Greater(t, m.TotalMs, m.ConnectMs)
	return m
}

// Transfers over both paths, each way: the rates in the report add up to what was sent, and
// the server tells of the upload.
func TestTransfers(t *testing.T) {
	for _, mode := range []string{"up", "down"} {
		t.Run(mode, func(t *testing.T) {
			out := inLab(t, func(t *testing.T, l *lab) {
				m := l.json(t, mode+" -size 10000000")
				require.Equal(t, mode, m.Mode)
				require.Equal(t, "ok", m.Report.Sum)
				require.EqualValues(t, 10_000_036, m.Report.Bytes)
				var sum int64
				for _, n := range m.Report.Bins {
					sum += n
				}
				require.Equal(t, m.Report.Bytes, sum)
				require.Len(t, m.Report.Bins, int(m.Report.Ms/100)+1)
				require.InDelta(t, 10e6*8/29e3, m.Report.Ms, 700, "both paths' rates")
				require.True(t, m.Info.MPTCP)
				var devices []string
				for _, f := range m.Info.Subflows {
					devices = append(devices, f.Device)
				}
				require.Subset(t, devices, []string{"client-server", "client-server/2"})
				require.Equal(t, mode == "up", m.SendMs > 0)
			})
			if mode == "up" {
				require.Equal(t, 1, strings.Count(out, " up: 10.0 MB in "), out)
				require.Contains(t, out, "SHA-256 ok")
			}
		})
	}
}

func TestTransferForATime(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		m := l.json(t, "down -time 2s")
		require.InDelta(t, 2000, m.Report.Ms, 2500, "and what buffers held then")
		require.Greater(t, m.Report.Ms, 2000.0)
	})
}

// Messages take a round trip and what sending them takes.
func TestEcho(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		m := l.json(t, "echo -req 1000 -resp 1000 -count 20 -interval 50ms -after-connect 100ms")
		require.Len(t, m.Lat, 20)
		for _, lat := range m.Lat {
			require.InDelta(t, 10.9, lat, 2)
		}
		require.InDelta(t, 100+20*50, m.TotalMs, 100)
		require.Nil(t, m.Report)
	})
}

func TestPlainTCP(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		m := l.json(t, "up -size 1000000 -mptcp=false")
		require.False(t, m.Info.MPTCP)
		require.Equal(t, "ok", m.Report.Sum)
	})
}

// A path that is cut is a pause in the report, at its time.
func TestPauseIsSeen(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		cut := l.w.Elapsed() + 2*time.Second
		l.w.At(cut, func() { l.links[0].Down() })
		l.w.At(cut+500*time.Millisecond, func() { l.links[0].Up() })
		m := l.json(t, "down -size 10000000 -pm none")
		require.NotEmpty(t, m.Report.Gaps)
		require.InDelta(t, 2000, m.Report.Gaps[0].AtMs+m.Report.FirstMs+m.ConnectMs, 50)
		require.Greater(t, m.Report.Gaps[0].Ms, 495.0)
	})
}

// A network that changes bytes and makes TCP's checksum right again: the receiver notices.
func TestDamageOnTheWayIsDetected(t *testing.T) {
	for mode, direction := range map[string]func(*simnet.Link) *simnet.Direction{
		"up":   func(l *simnet.Link) *simnet.Direction { return l.There },
		"down": func(l *simnet.Link) *simnet.Direction { return l.Back },
	} {
		t.Run(mode, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				l.w.At(l.w.Elapsed()+time.Second, func() {
					direction(l.links[0]).Change(func(s *simnet.Shape) { s.Corrupt = 0.01 })
				})
				var out bytes.Buffer
				require.Error(t, l.run(t, mode+" -size 10000000", &out))
				var m measured
				require.NoError(t, json.Unmarshal(out.Bytes(), &m))
				require.Contains(t, m.Err, "damaged")
				require.NotEqual(t, "ok", m.Report.Sum)
				require.Greater(t, m.Report.Bytes, int64(1e6), "what came before it is reported")
			})
		})
	}
}

// On a terminal there is a line each second and a summary.
func TestProgressAndSummary(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		var out bytes.Buffer
		require.NoError(t, l.run(t, "up -size 10000000 -json=false", &out))
		for _, want := range []string{"   1.0 s ", "   2.0 s ", " client-server ", "up: 10.0 MB in ", "SHA-256 ok", "rate in 100 ms", "longest pause", "by client-server/2: "} {
			require.Contains(t, out.String(), want)
		}
		require.NotContains(t, out.String(), "{")
	})
}

func TestSummaryOfMessages(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		var out bytes.Buffer
		require.NoError(t, l.run(t, "echo -count 10 -json=false", &out))
		require.Contains(t, out.String(), "10 answers, ms: p50 1")
	})
}

// Nobody answers: that is told on the line of JSON, too, in the time that was set.
func TestNoServer(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		for _, link := range l.links {
			link.Down()
		}
		var out bytes.Buffer
		began := l.w.Elapsed()
		require.ErrorContains(t, l.run(t, "up -size 1 -timeout 3s", &out), "not done in 3s")
		require.Equal(t, 3*time.Second, l.w.Elapsed()-began)
		require.Contains(t, out.String(), "not done in 3s")
	})
}

func TestUnknownDevice(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		cfg, err := parse("up -dev nonesuch=10.7.0.2/24 -watch=false")
		require.NoError(t, err)
		var out bytes.Buffer
		require.ErrorContains(t, run(t.Context(), cfg, &out, opener()), "-dev nonesuch: no such device")
		require.Contains(t, out.String(), `"Err":"-dev nonesuch: no such device"`)
	})
}

// A server ends what is no test, and does not do what it is told about sizes.
func TestServerRefusesNonsense(t *testing.T) {
	for _, line := range []string{
		`{"Mode":"sideways"}`, `{"Mode":"echo","Req":1,"Resp":1}`, `{"Mode":"echo","Req":8,"Resp":-1}`,
		`{"Mode":"echo","Req":8,"Resp":1000000000}`, `{"Mode":1}`, `GET / HTTP/1.0`,
	} {
		client, server := net.Pipe()
		go func() {
			fmt.Fprintln(client, line)
			client.Close()
		}()
		require.Error(t, answer(server, func(*report) { t.Error("no upload") }), line)
		server.Close()
	}
}
