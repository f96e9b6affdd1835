package mptcp

import (
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An end of the stream by either side, before anything was sent: the other side reads io.EOF
// and may still write.
func TestCloseWriteBeforeAnyData(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, byClient := range []bool{false, true} {
			t.Run(fmt.Sprintf("plain %v client %v", plain, byClient), func(t *testing.T) {
				onPair(t, setup{paths: 2, client: &Config{DisableMPTCP: plain}}, func(t *testing.T, p *pair) {
					a, b := p.connect()
					if !byClient {
						a, b = b, a
					}
					require.NoError(t, a.CloseWrite())
					require.NoError(t, result(t, readErr(b)))
					require.NoError(t, a.Wait(t.Context()), "the end is confirmed, reading goes on")
					_, err := a.Write([]byte("x"))
					require.ErrorIs(t, err, syscall.EPIPE)
					stream(t, b, a, 1<<20, 1)
					require.NoError(t, a.CloseWrite(), "again")
					require.NoError(t, a.Close())
					require.NoError(t, b.Close())
					require.NoError(t, b.Wait(t.Context()))
					require.ErrorIs(t, a.Close(), net.ErrClosed)
					require.ErrorIs(t, a.CloseWrite(), net.ErrClosed)
				})
			})
		}
	}
}

// Both ends close at once, with nothing sent or much.
func TestCloseAtOnce(t *testing.T) {
	for _, n := range []int{0, 1, 1 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
				c, s := p.connect()
				for _, e := range []*Conn{c, s} {
					_, err := e.Write(make([]byte, n))
					require.NoError(t, err)
				}
				closeBoth(t, c, s)
				eventually(t, func() bool { return p.client.connCount() == 0 && p.server.connCount() == 0 }, "both are over")
			})
		})
	}
}

// What was written before Close arrives, whatever the size of the buffers.
func TestCloseDelivers(t *testing.T) {
	onPair(t, setup{paths: 2, client: &Config{SendBuffer: 16 << 20}, server: &Config{ReceiveBuffer: 32 << 10}}, func(t *testing.T, p *pair) {
		c, s := p.connect()
		_, err := c.Write(make([]byte, 2<<20))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		n, err := io.Copy(io.Discard, s)
		require.NoError(t, err)
		require.EqualValues(t, 2<<20, n)
		require.NoError(t, c.Wait(t.Context()))
	})
}

// Bytes that have arrived can be read after the connection has ended in order.
func TestReadAfterEnd(t *testing.T) {
	onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		_, err := c.Write(make([]byte, 2<<20))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, s.CloseWrite())
		require.NoError(t, c.Wait(t.Context()))
		eventually(t, func() bool { return p.server.connCount() == 0 || p.client.connCount() == 0 }, "it is over")
		n, err := io.Copy(io.Discard, s)
		require.NoError(t, err)
		require.EqualValues(t, 2<<20, n)
	})
}

// CloseWrite, Close, Abort and the deadlines at the same time, at both ends, in any order: every
// call returns, everything that waits wakes up, and nothing is left.
func TestEndingsRace(t *testing.T) {
	for _, byACK := range []bool{false, true} {
		t.Run(fmt.Sprintf("fast close by ACK %v", byACK), func(t *testing.T) {
			cfg := &Config{FastCloseByACK: byACK, CloseTimeout: time.Second}
			onPair(t, setup{paths: 2, client: cfg, server: cfg}, func(t *testing.T, p *pair) {
				for round := range 20 {
					c, s := p.connect()
					var busy sync.WaitGroup
					for i, e := range []*Conn{c, s} {
						calls := []func(){
							func() { _, _ = e.Write(make([]byte, 1<<20)) },
							func() { _, _ = io.Copy(io.Discard, e) },
							func() { _ = e.SetDeadline(time.Now().Add(time.Hour)) },
							func() { _ = e.CloseWrite() },
							func() { _ = e.Close() },
							func() { _ = e.Wait(t.Context()) },
							func() { _ = e.SetReadDeadline(time.Now()) },
						}
						if (round+i)%3 == 0 {
							calls = append(calls, func() { _ = e.Abort() })
						}
						for k := range calls {
							busy.Go(calls[(k+round)%len(calls)])
						}
					}
					busy.Wait()
				}
				eventually(t, func() bool { return p.client.connCount() == 0 && p.server.connCount() == 0 }, "all are over")
			})
		})
	}
}
