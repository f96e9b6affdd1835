package mptcp

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// 8684-3.7-03, -04, -05, 8684-6-01: options vanish from the first path at any time, from data or
// from all segments, in either direction or both, whoever speaks. A byte that is read is
// right, and nobody waits for ever. Where they vanish from the start and there is no other path,
// the connection falls back and all is delivered.
func TestOptionsVanishAtAnyTime(t *testing.T) {
	var (
		data = simnet.HasPayload
		all  = func(b []byte) bool { return !simnet.IsSYN(b) }
	)
	for _, kind := range []struct {
		name        string
		there, back func([]byte) bool
	}{
		{"data to the server", data, nil}, {"data to the client", nil, data}, {"data", data, data},
		{"all to the client", nil, all}, {"all to the server", all, nil}, {"all", all, all},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for _, when := range []time.Duration{0, delay / 2, 3 * delay, 10 * delay, 30 * delay} {
				for _, speaks := range [][2]bool{{true, false}, {false, true}, {true, true}} {
					for paths := 1; paths <= 2; paths++ {
						name := fmt.Sprintf("after %v, client %v, server %v, %d paths", when, speaks[0], speaks[1], paths)
						cfg := &Config{BreakTimeout: 10 * time.Second, CloseTimeout: 10 * time.Second, SendBuffer: 64 << 10}
						onPair(t, setup{paths: paths, client: cfg, server: cfg}, func(t *testing.T, p *pair) {
							strip := func() {
								p.links[0].There.Through(simnet.StripMPTCP(orNothing(kind.there)))
								p.links[0].Back.Through(simnet.StripMPTCP(orNothing(kind.back)))
							}
							if when == 0 {
								strip()
							}
							c, s := p.connect()
							if when > 0 {
								p.w.At(p.w.Elapsed()+when, strip)
							}
							must := when == 0 && paths == 1
							there, back := flood(c, speaks[0]), flood(s, speaks[1])
							errs := []error{result(t, checkFlood(s, speaks[0])), result(t, checkFlood(c, speaks[1])), result(t, there), result(t, back)}
							for _, err := range errs {
								require.NotErrorIs(t, err, errWrongByte, name)
								if must {
									require.NoError(t, err, name)
								}
							}
						})
					}
				}
			}
		})
	}
}

func orNothing(f func([]byte) bool) func([]byte) bool {
	if f == nil {
		return func([]byte) bool { return false }
	}
	return f
}

const (
	floodSize  = 200_000
	floodChunk = 10_000
)

var errWrongByte = fmt.Errorf("wrong byte")

func floodByte(i int) byte { return byte(i) ^ byte(i>>8)*7 ^ byte(i>>16)*31 }

// flood writes floodSize bytes, or none, with pauses, and ends the stream.
func flood(c *Conn, speaks bool) <-chan error {
	return async(func() error {
		b := make([]byte, floodChunk)
		for at := 0; speaks && at < floodSize; at += len(b) {
			for i := range b {
				b[i] = floodByte(at + i)
			}
			if _, err := c.Write(b); err != nil {
				return err
			}
			time.Sleep(delay)
		}
		return c.CloseWrite()
	})
}

// checkFlood reads what flood writes.
func checkFlood(c *Conn, speaks bool) <-chan error {
	return async(func() error {
		got, b := 0, make([]byte, 3000)
		for {
			n, err := c.Read(b)
			for _, x := range b[:n] {
				if x != floodByte(got) {
					return fmt.Errorf("%w %d", errWrongByte, got)
				}
				got++
			}
			switch {
			case err == io.EOF && (got == floodSize || !speaks && got == 0):
				return nil
			case err == io.EOF:
				return fmt.Errorf("%w: the end after %d", errWrongByte, got)
			case err != nil:
				return err
			}
		}
	})
}
