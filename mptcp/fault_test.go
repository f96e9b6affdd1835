package mptcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// 8684-1.1-01: loss, doubled and reordered packets on both paths; the stream is intact.
func TestBadPaths(t *testing.T) {
	bad := simnet.Shape{Loss: 0.02, Duplicate: 0.02, Reorder: 0.02, ReorderBy: 2 * delay}
	for _, checksum := range []bool{false, true} {
		t.Run(fmt.Sprint("checksum ", checksum), func(t *testing.T) {
			onPair(t, setup{paths: 2, shape: bad, client: &Config{Checksum: checksum}}, func(t *testing.T, p *pair) {
				c, s := p.connect()
				exchange(t, c, s, 2<<20)
				closeBoth(t, c, s)
				require.True(t, c.Info().MPTCP)
			})
		})
	}
}

// 8684-3.1-30 to -32, 8684-3.7-01, -04: a path that removes options at some point of the
// handshake; the connection is plain TCP and the stream intact.
func TestOptionsStripped(t *testing.T) {
	var (
		all      = func([]byte) bool { return true }
		notSYN   = func(b []byte) bool { return !simnet.IsSYN(b) }
		bareACKs = func(b []byte) bool { return !simnet.IsSYN(b) && !simnet.HasPayload(b) }
	)
	for _, tc := range []struct {
		name        string
		there, back func(b []byte) bool // seen from the client; true: strip
		fellBack    bool
	}{
		{"all", all, all, true},
		{"all to the server", all, nil, true},
		{"all to the client", nil, all, true},
		{"SYN", simnet.IsSYN, nil, true},
		{"SYN/ACK", nil, simnet.IsSYN, true},
		{"third packet and ACKs", bareACKs, nil, true},
		{"data to the server", simnet.HasPayload, nil, true},
		{"data to the client", nil, simnet.HasPayload, false},
		{"all but the SYNs", notSYN, notSYN, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onPair(t, setup{paths: 1}, func(t *testing.T, p *pair) {
				if tc.there != nil {
					p.links[0].There.Through(simnet.StripMPTCP(tc.there))
				}
				if tc.back != nil {
					p.links[0].Back.Through(simnet.StripMPTCP(tc.back))
				}
				c, s := p.connect()
				if tc.fellBack {
					stream(t, c, s, 1<<20, 1)
					stream(t, s, c, 1<<20, 2)
					require.False(t, c.Info().MPTCP)
					require.False(t, s.Info().MPTCP)
					require.NotEmpty(t, c.Info().FallbackReason)
					closeBoth(t, c, s)
					return
				}
				// The client's data was confirmed before, so this is no handshake any more; the
				// data that comes without mapping is not delivered, and not lost silently.
				require.NoError(t, c.Close())
				require.NoError(t, s.Close())
			})
		})
	}
}

// 8684-3.7-07: a path that changes bytes of a join and mends TCP's checksum: the subflow is
// reset, the data goes over the other one, and nothing that was good is lost.
func TestCorruptingPath(t *testing.T) {
	onPair(t, setup{paths: 2, client: &Config{Checksum: true, Scheduler: scheduler.RoundRobin}}, func(t *testing.T, p *pair) {
		c, s := p.connectFully(2)
		count := 0
		p.links[1].There.Through(tcpOnly(func(v packet.TCP) bool {
			if v.PayloadLen() > 0 {
				if count++; count > 3 {
					v.Payload()[v.PayloadLen()/2] ^= 0x40
				}
			}
			return true
		}))
		// The reader waits, so that good bytes of the bad subflow are unread when it is reset.
		want := make([]byte, 6<<20)
		rand.New(rand.NewSource(7)).Read(want)
		reset := func() bool { return s.Info().Subflows[1].State == "closed" }
		sent := 0
		for !reset() {
			require.Less(t, sent, 4<<20, "the bad subflow is reset")
			n, err := c.Write(want[sent : sent+64<<10])
			require.NoError(t, err)
			sent += n
			eventually(t, func() bool { return reset() || c.Info().BytesAcked == uint64(1+sent) }, "confirmed")
		}
		written := async(func() error {
			_, err := c.Write(want[sent:])
			return errors.Join(err, c.CloseWrite())
		})
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.NoError(t, result(t, written))
		require.True(t, bytes.Equal(want, got))
	})
}

// 8684-3.2-09, -10: a join with an unknown token gets a RST that says why.
func TestJoinUnknownToken(t *testing.T) {
	onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
		resets := make(chan option.Reset, 10)
		p.links[1].There.Through(tcpOnly(func(v packet.TCP) bool {
			if _, ok := optionsOf(v).JoinSyn(); ok {
				for i, o := 0, v.Options(); i+12 <= len(o); i++ {
					if o[i] == 30 && o[i+1] == 12 && o[i+2]>>4 == 1 {
						o[i+4] ^= 0xff
					}
				}
			}
			return true
		}))
		p.links[1].Back.Through(tcpOnly(func(v packet.TCP) bool {
			if r, ok := optionsOf(v).Reset(); ok && v.Flags()&packet.FlagRST != 0 {
				resets <- r
			}
			return true
		}))
		c, s := p.connect()
		confirm(t, c, s)
		require.Equal(t, option.Reset{Reason: option.ReasonMPTCP}, result(t, resets))
		exchange(t, c, s, 1<<20)
	})
}

// 8684-3.2-16: the fourth packet is lost; the third is sent again though nothing else happens.
func TestFourthPacketLost(t *testing.T) {
	onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
		var lost atomic.Int64
		p.links[1].Back.Through(tcpOnly(func(v packet.TCP) bool {
			return v.Flags()&packet.FlagSYN != 0 || lost.Add(1) > 1
		}))
		p.connectFully(2)
		require.Positive(t, lost.Load())
	})
}

// A device that is removed in mid-transfer, either one, on either side: the stream goes on.
func TestDeviceRemoved(t *testing.T) {
	for _, side := range []string{"client", "server"} {
		for path := range 2 {
			t.Run(fmt.Sprintf("%s path %d", side, path), func(t *testing.T) {
				onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
					c, s := p.connectFully(2)
					removed := async(func() error {
						for c.Info().BytesReceived < 1<<20 {
							time.Sleep(time.Millisecond)
						}
						if side == "client" {
							return p.client.RemoveDevice(p.links[path].A.Name())
						}
						return p.server.RemoveDevice(p.links[path].B.Name())
					})
					exchange(t, c, s, 3<<20)
					require.NoError(t, result(t, removed))
					closeBoth(t, c, s)
				})
			})
		}
	}
}

// 8684-3.3.3-10: break before make: no device at all for a while, then one again.
func TestAllDevicesRemoved(t *testing.T) {
	for _, side := range []int{0, 1} {
		t.Run(fmt.Sprint("side ", side), func(t *testing.T) {
			onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
				c, s := p.connectFully(2)
				changed := async(func() error {
					for c.Info().BytesReceived < 1<<20 {
						time.Sleep(time.Millisecond)
					}
					h, end := p.client, c
					if side == 1 {
						h, end = p.server, s
					}
					for _, l := range p.links {
						if err := h.RemoveDevice([]string{l.A.Name(), l.B.Name()}[side]); err != nil {
							return err
						}
					}
					if established(end) > 0 {
						return errors.New("a subflow without device")
					}
					p.addPath()
					return nil
				})
				exchange(t, c, s, 3<<20)
				require.NoError(t, result(t, changed))
				closeBoth(t, c, s)
			})
		})
	}
}

// BreakTimeout < 0: the last subflow's end is the connection's.
func TestNoBreak(t *testing.T) {
	onPair(t, setup{paths: 1, client: &Config{BreakTimeout: -1}}, func(t *testing.T, p *pair) {
		c, _ := p.connect()
		read := readErr(c)
		require.NoError(t, p.client.RemoveDevice(p.links[0].A.Name()))
		err := result(t, read)
		require.ErrorIs(t, err, ErrNoPath)
		require.ErrorIs(t, err, syscall.ETIMEDOUT)
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, ErrNoPath)
	})
}

// BreakTimeout ends a connection without a path.
func TestBreakTimeout(t *testing.T) {
	onPair(t, setup{paths: 1, client: &Config{BreakTimeout: 50 * time.Millisecond}}, func(t *testing.T, p *pair) {
		c, s := p.connect()
		stream(t, s, c, 10, 1) // the connection is confirmed
		write := writeErr(c)
		require.NoError(t, p.client.RemoveDevice(p.links[0].A.Name()))
		require.ErrorIs(t, result(t, write), ErrNoPath)
		require.ErrorIs(t, c.Close(), nil)
	})
}

// 8684-3.5: Abort gives the peer a reset, idle or in mid-transfer, over MPTCP or plain TCP.
func TestAbort(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, paths := range []int{1, 2} {
			for _, byClient := range []bool{false, true} {
				for _, busy := range []bool{false, true} {
					t.Run(fmt.Sprintf("plain %v paths %d client %v busy %v", plain, paths, byClient, busy), func(t *testing.T) {
						onPair(t, setup{paths: paths, client: &Config{DisableMPTCP: plain}}, func(t *testing.T, p *pair) {
							up := paths
							if plain {
								up = 1
							}
							a, b := p.connectFully(up)
							if !byClient {
								a, b = b, a
							}
							var sending <-chan error
							if busy {
								sending = writeErr(a)
								first := make([]byte, 1<<20)
								_, err := io.ReadFull(b, first)
								require.NoError(t, err)
							}
							read, write := readErr(b), writeErr(b)
							require.NoError(t, a.Abort())
							require.ErrorIs(t, result(t, read), syscall.ECONNRESET)
							require.ErrorIs(t, result(t, write), syscall.ECONNRESET)
							if busy {
								require.ErrorIs(t, result(t, sending), net.ErrClosed)
							}
							_, err := a.Read(make([]byte, 1))
							require.ErrorIs(t, err, net.ErrClosed)
							require.ErrorIs(t, a.Wait(t.Context()), net.ErrClosed)
						})
					})
				}
			}
		}
	}
}

// Close while the peer still sends, or with its bytes unread: what comes is dropped without a
// reset, and what was written arrives.
func TestCloseWhilePeerSends(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("plain ", plain), func(t *testing.T) {
			onPair(t, setup{paths: 2, client: &Config{DisableMPTCP: plain}, server: &Config{ReceiveBuffer: 64 << 10}}, func(t *testing.T, p *pair) {
				c, s := p.connect()
				_, err := s.Write([]byte("last words"))
				require.NoError(t, err)
				const n = 2 << 20
				written := async(func() error {
					_, err := io.Copy(c, io.LimitReader(rand.New(rand.NewSource(1)), n))
					return err
				})
				_, err = io.ReadFull(s, make([]byte, 1000))
				require.NoError(t, err)
				require.NoError(t, s.Close())
				require.NoError(t, result(t, written), "the peer may write on")
				got, err := io.ReadAll(c)
				require.NoError(t, err)
				require.Equal(t, "last words", string(got))
				require.NoError(t, c.Close())
				require.NoError(t, c.Wait(t.Context()))
				require.NoError(t, s.Wait(t.Context()))
			})
		})
	}
}

// Wait says when the peer has confirmed, not before; and why it did not.
func TestWait(t *testing.T) {
	onPair(t, setup{paths: 1, client: &Config{CloseTimeout: 300 * time.Millisecond}}, func(t *testing.T, p *pair) {
		c, s := p.connect()
		ctx, cancel := context.WithCancel(t.Context())
		waiting := async(func() error { return c.Wait(ctx) })
		cancel()
		require.ErrorIs(t, result(t, waiting), context.Canceled, "nobody has asked for an end")
		stream(t, s, c, 10, 1)

		p.links[0].There.Through(dropAll)
		_, err := c.Write([]byte("into the void"))
		require.NoError(t, err)
		waiting = async(func() error { return c.Wait(context.Background()) })
		require.NoError(t, c.Close())
		err = result(t, waiting)
		require.ErrorIs(t, err, ErrNotConfirmed)
		require.ErrorIs(t, err, syscall.ETIMEDOUT)
		require.ErrorIs(t, c.Wait(t.Context()), ErrNotConfirmed, "again")
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
	})
}

// The end of the stream gets through when the best path is dead but another one is not.
func TestCloseWithDeadPath(t *testing.T) {
	for path := range 2 {
		t.Run(fmt.Sprint("path ", path), func(t *testing.T) {
			onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
				c, s := p.connectFully(2)
				p.links[path].Down()
				require.NoError(t, c.Close())
				require.NoError(t, s.Close())
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				require.NoError(t, c.Wait(ctx))
				require.NoError(t, s.Wait(ctx))
			})
		})
	}
}

// A path that turns silent in mid-transfer is stale; its bytes go elsewhere.
func TestSilentPath(t *testing.T) {
	for path := range 2 {
		t.Run(fmt.Sprint("path ", path), func(t *testing.T) {
			onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
				c, s := p.connectFully(2)
				go func() {
					for c.Info().BytesReceived < 1<<20 {
						time.Sleep(time.Millisecond)
					}
					p.links[path].Down()
				}()
				exchange(t, c, s, 3<<20)
			})
		})
	}
}

// Deadlines of Dial, and its errors.
func TestDialErrors(t *testing.T) {
	onPair(t, setup{paths: 1}, func(t *testing.T, p *pair) {
		_, err := p.client.Dial(t.Context(), "tcp", "10.0.1.2:9")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		require.Equal(t, "dial", op.Op)
		require.Equal(t, "10.0.1.2:9", op.Addr.String())

		_, err = p.client.Dial(t.Context(), "tcp", "[2001:db8::2]:9")
		require.ErrorIs(t, err, ErrNoDevice)
		_, err = p.client.Dial(t.Context(), "tcp6", "10.0.1.2:9")
		require.ErrorContains(t, err, "no suitable address")
		_, err = p.client.Dial(t.Context(), "udp", "10.0.1.2:9")
		require.ErrorAs(t, err, new(net.UnknownNetworkError))
		_, err = p.client.Dial(t.Context(), "tcp", "10.0.1.2")
		require.Error(t, err)

		p.links[0].There.Through(dropAll)
		ctx, cancel := context.WithCancel(t.Context())
		dialing := async(func() error { _, err := p.client.Dial(ctx, "tcp", "10.0.1.2:9"); return err })
		eventually(t, func() bool { return p.client.connCount() == 1 }, "it dials")
		cancel()
		require.ErrorIs(t, result(t, dialing), context.Canceled)
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = p.client.Dial(ctx, "tcp", "10.0.1.2:9")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		require.Zero(t, p.client.connCount())
	})
}

func (h *Host) connCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// Config.DialTimeout bounds a Dial whose context has no deadline.
func TestDialTimeout(t *testing.T) {
	onPair(t, setup{paths: 1, client: &Config{DialTimeout: 20 * time.Millisecond}}, func(t *testing.T, p *pair) {
		p.links[0].There.Through(dropAll)
		_, err := p.client.Dial(context.Background(), "tcp", "10.0.1.2:9")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// 8684-3.2-14: a third packet whose HMAC was changed is answered with a RST that says why, at
// once, and the join leaves nothing behind.
func TestJoinBadThirdPacket(t *testing.T) {
	onPair(t, setup{paths: 2}, func(t *testing.T, p *pair) {
		resets := make(chan option.Reset, 10)
		p.links[1].There.Through(tcpOnly(func(v packet.TCP) bool {
			if _, ok := optionsOf(v).JoinAck(); ok {
				o := v.Options()
				o[len(o)-1] ^= 1
			}
			return true
		}))
		p.links[1].Back.Through(tcpOnly(func(v packet.TCP) bool {
			if r, ok := optionsOf(v).Reset(); ok && v.Flags()&packet.FlagRST != 0 {
				resets <- r
			}
			return true
		}))
		c, s := p.connect()
		confirm(t, c, s)
		require.Equal(t, option.Reset{Reason: option.ReasonMPTCP}, result(t, resets))
		eventually(t, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.subs) == 1
		}, "the join is forgotten")
		exchange(t, c, s, 1<<20)
	})
}

// A SYN to a port without listener leaves nothing behind; nor does one whose sender resets.
func TestRefusedLeavesNothing(t *testing.T) {
	onPair(t, setup{paths: 1}, func(t *testing.T, p *pair) {
		for range 50 {
			_, err := p.client.Dial(t.Context(), "tcp", "10.0.1.2:9")
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		}
		l, err := p.server.Listen("tcp", ":443")
		require.NoError(t, err)
		defer l.Close()
		p.links[0].Back.Through(dropAll) // the SYN/ACKs
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			dialing := async(func() error { _, err := p.client.Dial(ctx, "tcp", "10.0.1.2:443"); return err })
			halfOpen := func() int { _, n := p.server.counts(); return n }
			eventually(t, func() bool { return halfOpen() == 1 }, "the SYN has come")
			cancel()
			require.Error(t, result(t, dialing))
			p.resetHalfOpen()
			eventually(t, func() bool { return halfOpen() == 0 }, "the RST has come")
		}
		eventually(t, func() bool {
			flows, halfOpen := p.server.counts()
			return flows == 0 && halfOpen == 0 && p.server.connCount() == 0
		}, "flows, half-open connections")
		p.server.mu.Lock()
		defer p.server.mu.Unlock()
		require.Empty(t, p.server.tokens)
	})
}

func (h *Host) counts() (flows, halfOpen int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.flows), h.halfOpen.list.Len()
}

// resetHalfOpen plays the RST of a client whose handshake is under way.
func (p *pair) resetHalfOpen() {
	p.server.mu.Lock()
	var list []*sub
	for _, s := range p.server.flows {
		list = append(list, s)
	}
	p.server.mu.Unlock()
	for _, s := range list {
		s.conn.mu.Lock()
		at := uint32(s.ReadStart())
		s.conn.mu.Unlock()
		head := packet.AppendTCP(nil, &packet.Fields{Src: s.Remote, Dst: s.Local, Seq: at, Flags: packet.FlagRST})
		require.NoError(p.t, p.links[0].A.Write([]tun.Packet{{Head: head, Checksum: tun.ChecksumPartial}}))
	}
}
