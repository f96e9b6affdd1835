package mptcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// 8684-3.3.5-04: by default the send buffer is as large as the receive buffer.
func TestDefaultBuffers(t *testing.T) {
	var cfg Config
	require.NoError(t, cfg.setDefaults())
	require.GreaterOrEqual(t, cfg.SendBuffer, cfg.ReceiveBuffer)
}

// A Config that is out of range gives an error that names the field.
func TestConfigErrors(t *testing.T) {
	for name, cfg := range map[string]Config{
		"SendBuffer":    {SendBuffer: -1},
		"ReceiveBuffer": {ReceiveBuffer: 1 << 30},
		"MaxSubflows":   {MaxSubflows: 1000},
		"CloseTimeout":  {CloseTimeout: -1},
	} {
		_, err := NewHost(&cfg)
		require.ErrorContains(t, err, "Config."+name)
	}
	h, err := NewHost(nil)
	require.NoError(t, err)
	require.NoError(t, h.Close())
	require.ErrorIs(t, h.Close(), net.ErrClosed)
}

// Devices with wrong names or addresses are refused; those of a closed host too.
func TestDeviceErrors(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		h, err := NewHost(&Config{Environment: w.Host("host")})
		require.NoError(t, err)
		a, b := tun.Pipe(tun.PipeConfig{})
		defer b.Close()
		prefix := netip.MustParsePrefix("10.0.0.1/24")
		require.ErrorContains(t, h.AddDevice(a), "address")
		require.NoError(t, h.AddDevice(a, prefix))
		require.ErrorContains(t, h.AddDevice(a, prefix), a.Name())
		require.ErrorContains(t, h.AddDevice(b, prefix), "10.0.0.1")
		require.ErrorContains(t, h.RemoveDevice("nothing"), "nothing")
		require.NoError(t, h.RemoveDevice(a.Name()))
		require.Error(t, h.RemoveDevice(a.Name()))
		require.NoError(t, h.Close())
		require.ErrorIs(t, h.AddDevice(b, prefix), net.ErrClosed)
		_, err = h.Dial(t.Context(), "tcp", "10.0.0.2:1")
		require.Error(t, err)
		_, err = h.Listen("tcp", ":1")
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// Close of a listener ends Accept, frees the port, and aborts who waits; joins go on.
func TestListenerClose(t *testing.T) {
	onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
		l, err := p.server.Listen("tcp", ":443")
		require.NoError(t, err)
		require.Equal(t, "[::]:443", l.Addr().String())
		_, err = p.server.Listen("tcp", ":443")
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		require.Equal(t, "listen", op.Op)

		waiting, err := p.client.Dial(t.Context(), "tcp", "10.0.1.2:443")
		require.NoError(t, err)
		c, s, err := dialAccept(t, p.client, l)
		require.NoError(t, err)
		if s.RemoteAddr().String() == waiting.LocalAddr().String() {
			c, waiting = waiting, c
		}
		accepting := async(func() error {
			for {
				if _, err := l.Accept(); err != nil {
					return err
				}
			}
		})
		eventually(t, func() bool { return len(l.queue) == 0 }, "all are accepted")
		again, err := p.client.Dial(t.Context(), "tcp", "10.0.1.2:443")
		require.NoError(t, err)
		_ = again.Close()
		require.NoError(t, l.Close())
		require.ErrorIs(t, result(t, accepting), net.ErrClosed)
		require.ErrorIs(t, l.Close(), net.ErrClosed)
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)

		confirm(t, c, s)
		eventually(t, func() bool { return established(c) == 2 && established(s) == 2 }, "a join to a port without listener")
		exchange(t, c, s, 1<<20)
		_, err = p.client.Dial(t.Context(), "tcp", "10.0.1.2:443")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		l, err = p.server.Listen("tcp", "10.0.1.2:443")
		require.NoError(t, err)
		require.Equal(t, "10.0.1.2:443", l.Addr().String())
		require.NoError(t, l.Close())
	})
}

// A connection that waits for Accept when the listener is closed is aborted.
func TestListenerCloseAbortsWaiting(t *testing.T) {
	onPair(t, setup{paths: 1}, func(t *testing.T, p *pair) {
		l, err := p.server.Listen("tcp", ":443")
		require.NoError(t, err)
		c, err := p.client.Dial(t.Context(), "tcp", "10.0.1.2:443")
		require.NoError(t, err)
		eventually(t, func() bool { return len(l.queue) == 1 }, "it waits")
		require.NoError(t, l.Close())
		require.ErrorIs(t, result(t, readErr(c)), syscall.ECONNRESET)
	})
}

// Listen's errors name what is wrong.
func TestListenErrors(t *testing.T) {
	h, err := NewHost(nil) // in no world: a service's name is looked up in the machine's
	require.NoError(t, err)
	for _, a := range []string{"443", "10.9.9.9:443", "name:443", ":nosuchservice"} {
		_, err := h.Listen("tcp", a)
		require.Error(t, err, a)
	}
	_, err = h.Listen("unix", ":1")
	require.ErrorAs(t, err, new(net.UnknownNetworkError))
	require.NoError(t, h.Close())
}

// Info tells what both ends agree on.
func TestInfo(t *testing.T) {
	onPair(t, setup{paths: 2, client: &Config{Checksum: true}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		stream(t, c, s, 1<<20, 1)
		a, b := c.Info(), s.Info()
		require.True(t, a.MPTCP && b.MPTCP && a.Checksum && b.Checksum)
		require.Empty(t, a.FallbackReason)
		require.Equal(t, a.LocalToken, b.RemoteToken)
		require.Equal(t, b.LocalToken, a.RemoteToken)
		require.NotZero(t, a.LocalToken)
		eventually(t, func() bool { return c.Info().BytesAcked == 1<<20+1 }, "everything is confirmed")
		require.EqualValues(t, 1<<20+1, s.Info().BytesReceived)
		require.EqualValues(t, 1, a.BytesReceived)
		require.Len(t, a.Subflows, 2)
		sum := uint64(0)
		for i, f := range a.Subflows {
			require.EqualValues(t, i+1, f.ID)
			require.Equal(t, p.links[i].A.Name(), f.Device)
			require.Equal(t, netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 1}), f.Local.Addr())
			require.Contains(t, []string{"established", "closing", "closed"}, f.State)
			require.Positive(t, f.SRTT)
			require.Positive(t, f.Cwnd)
			sum += f.BytesSent
		}
		require.GreaterOrEqual(t, sum, uint64(1<<20))
		require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
		require.Contains(t, c.String(), "10.0.1.2:443")
	})
}

// Writes larger than all buffers, many small ones, and reads of single bytes.
func TestSizes(t *testing.T) {
	onPair(t, setup{paths: 2, client: &Config{SendBuffer: 64 << 10}, server: &Config{ReceiveBuffer: 16 << 10}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		big := make([]byte, 1<<20)
		rand.New(rand.NewSource(1)).Read(big)
		written := async(func() error { _, err := c.Write(big); return err })
		got := make([]byte, len(big))
		_, err := io.ReadFull(s, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(big, got))
		require.NoError(t, result(t, written))

		small := big[:20000]
		written = async(func() error {
			for i := range small {
				if _, err := s.Write(small[i : i+1]); err != nil {
					return err
				}
			}
			return nil
		})
		for i := range small {
			var b [1]byte
			n, err := c.Read(b[:])
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, small[i], b[0])
		}
		require.NoError(t, result(t, written))
		n, err := c.Write(nil)
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = c.Read(nil)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// Deadlines act on calls that wait already, and leave the connection usable.
func TestDeadlines(t *testing.T) {
	onPair(t, setup{paths: 1, client: &Config{SendBuffer: 4 << 10}, server: &Config{ReceiveBuffer: 4 << 10}}, func(t *testing.T, p *pair) {
		c, s := p.connect()
		reading, writing := readErr(c), writeErr(c)
		require.NoError(t, c.SetDeadline(time.Now().Add(-time.Second)))
		require.ErrorIs(t, result(t, reading), os.ErrDeadlineExceeded)
		require.ErrorIs(t, result(t, writing), os.ErrDeadlineExceeded)
		require.NoError(t, c.SetDeadline(time.Time{}))
		_, err := s.Write([]byte("x"))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 1))
		require.NoError(t, err)
	})
}

// Many connections at once, each with its own bytes.
func TestManyConnections(t *testing.T) {
	onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
		l, err := p.server.Listen("tcp", ":443")
		require.NoError(t, err)
		defer l.Close()
		const conns, size = 200, 10 << 10
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(c, c)
					_ = c.Close()
				}()
			}
		}()
		var wg sync.WaitGroup
		errs := make(chan error, conns)
		for i := range conns {
			wg.Go(func() {
				errs <- func() error {
					c, err := p.client.DialContext(t.Context(), "tcp", "10.0.1.2:443")
					if err != nil {
						return err
					}
					defer c.Close()
					want := make([]byte, size)
					rand.New(rand.NewSource(int64(i))).Read(want)
					go func() {
						_, _ = c.Write(want)
						_ = c.(*Conn).CloseWrite()
					}()
					got, err := io.ReadAll(c)
					if err == nil && !bytes.Equal(want, got) {
						err = errors.New("other bytes")
					}
					return err
				}()
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		defer p.dumpIfFailed()
		eventually(t, func() bool { return p.client.connCount() == 0 && p.server.connCount() == 0 }, "all are over")
	})
}

// An idle connection has no goroutine.
func TestIdleConnectionsHaveNoGoroutine(t *testing.T) {
	onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
		l, err := p.server.Listen("tcp", ":443")
		require.NoError(t, err)
		defer l.Close()
		var conns []*Conn
		open := func() {
			c, s, err := dialAccept(t, p.client, l)
			require.NoError(t, err)
			confirm(t, c, s)
			conns = append(conns, c, s)
		}
		open()
		time.Sleep(time.Second)
		one := goroutines()
		for range 100 {
			open()
		}
		time.Sleep(time.Second)
		for _, c := range conns {
			require.Equal(t, 2, established(c))
		}
		all := goroutines()
		require.Len(t, all, len(one), strings.Join(all, "\n\n"))
	})
}

// A host that is closed with connections, listeners and calls that wait leaves nothing.
func TestHostClose(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		none := goroutines()
		p := newPair(t, w, setup{paths: 1})
		l, err := p.server.Listen("tcp", ":443")
		require.NoError(t, err)
		c, s, err := dialAccept(t, p.client, l)
		require.NoError(t, err)
		accepting := async(func() error { _, err := l.Accept(); return err })
		reading, writing := readErr(c), writeErr(c)
		waiting := async(func() error { return c.Wait(context.Background()) })
		require.NoError(t, p.client.Close())
		for _, ch := range []<-chan error{reading, writing, waiting} {
			require.ErrorIs(t, result(t, ch), net.ErrClosed)
		}
		require.NoError(t, p.server.Close())
		require.ErrorIs(t, result(t, accepting), net.ErrClosed)
		_, err = s.Read(make([]byte, 1))
		require.Error(t, err)
		left := goroutines()
		require.Len(t, left, len(none), strings.Join(left, "\n\n"))
	})
}

// fixedRandom gives certain bytes first, then what follows.
type fixedRandom struct {
	mu    sync.Mutex
	first *strings.Reader
	then  io.Reader
}

func (r *fixedRandom) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.Len() >= len(p) {
		return r.first.Read(p)
	}
	return r.then.Read(p)
}

// 8684-3.1-07, -08: a key whose token is in use (T-K5 and T-K6 have the same one) is drawn
// again.
func TestTokenCollision(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		h, err := NewHost(&Config{Environment: w.Host("host")})
		require.NoError(t, err)
		defer h.Close()
		k5, k6 := "\xa0\x00\x00\x00\x00\x00\xf6\xec", "\xa0\x00\x00\x00\x00\x01\x2b\xab"
		h.rand = &fixedRandom{first: strings.NewReader(k5 + k6), then: rand.New(rand.NewSource(1))}
		a, err := h.register(0)
		require.NoError(t, err)
		b, err := h.register(0)
		require.NoError(t, err)
		require.Equal(t, k5, string(a.shared.LocalKey[:]))
		require.NotEqual(t, k6, string(b.shared.LocalKey[:]))
		require.NotEqual(t, a.shared.LocalKey.Token(), b.shared.LocalKey.Token())
		h.forgetToken(a)
		require.Equal(t, "2 connections, 1 tokens", h.leftovers())
	})
}

// 8684-3.9.2-02: the limit on subflows holds for those that the peer opens.
func TestMaxSubflows(t *testing.T) {
	onPair(t, setup{paths: 4, server: &Config{MaxSubflows: 2}}, func(t *testing.T, p *pair) {
		c, s := p.connect()
		confirm(t, c, s)
		eventually(t, func() bool {
			n := 0
			for _, f := range c.Info().Subflows {
				if f.State == "closed" {
					n++
				}
			}
			return n == 2
		}, "two are refused")
		eventually(t, func() bool { return established(c) == 2 }, "two are not")
		exchange(t, c, s, 1<<20)
	})
}

// 8684-3.6-02: who was refused for want of room gets in when there is some.
func TestRoomForASubflow(t *testing.T) {
	onPair(t, setup{paths: 3, client: &Config{PathManager: pathmgr.Default}, server: &Config{PathManager: pathmgr.Default, MaxSubflows: 2}}, func(t *testing.T, p *pair) {
		c, s := p.connect()
		confirm(t, c, s)
		eventually(t, func() bool { return established(c) == 2 && len(c.Info().Subflows) > 2 }, "one gets in, one is refused")
		var in SubflowInfo
		for _, f := range c.Info().Subflows {
			if f.State == "established" && f.ID != 1 {
				in = f
			}
		}
		require.NoError(t, c.RemoveSubflow(in.ID))
		eventually(t, func() bool {
			return established(c) == 2 && slices.ContainsFunc(c.Info().Subflows, func(f SubflowInfo) bool {
				return f.State == "established" && f.ID != 1 && f.Local.Addr() != in.Local.Addr()
			})
		}, "the other one")
		exchange(t, c, s, 1<<20)
	})
}
