package mptcp

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

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
