package mptcp

import (
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// deaf makes a connection leave silent subflows to their retransmission timers, as other stacks do; if it
// hoards, it does not even send elsewhere what they hold, until they end.
func deaf(c *Conn, hoards bool) (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			case <-time.After(5 * time.Millisecond):
			}
			c.mu.Lock()
			never := time.Now().Add(time.Hour)
			c.blindUntil = never
			for _, s := range c.subs {
				s.standstill = standstill{at: never}
				if hoards {
					s.emptied, s.rescued = true, math.MaxUint64
				}
			}
			c.mu.Unlock()
		}
	}()
	return func() {
		close(over)
		<-done
	}
}

// download is a stream from one end that the other reads all the time.
type download struct {
	total atomic.Int64
	last  atomic.Int64 // when the newest byte came, in nanoseconds
	err   <-chan error
}

// startDownload sends n bytes from s to c.
func startDownload(s, c *Conn, n int) *download {
	d := new(download)
	go func() {
		b := make([]byte, 16<<10)
		for sent := 0; sent < n; {
			for i := range b {
				b[i] = floodByte(sent + i)
			}
			m, err := s.Write(b[:min(len(b), n-sent)])
			if sent += m; err != nil {
				return
			}
		}
		_ = s.CloseWrite()
	}()
	d.err = async(func() error {
		b := make([]byte, 64<<10)
		for {
			k, err := c.Read(b)
			for i := range k {
				if b[i] != floodByte(int(d.total.Load())+i) {
					return errWrongByte
				}
			}
			d.total.Add(int64(k))
			d.last.Store(time.Now().UnixNano())
			switch {
			case err == io.EOF:
				return nil
			case err != nil:
				return err
			}
		}
	})
	return d
}

// resumes waits until the download goes on and returns how long that took.
func (d *download) resumes() time.Duration {
	before, since := d.total.Load(), time.Now()
	for d.total.Load() == before {
		time.Sleep(time.Millisecond)
	}
	return time.Since(since)
}

// counts reads a counter of a host.
func (r *routed) counts(side int, n mib.Counter) int {
	return int(r.hosts[side].Counters()[n.String()])
}

// 8684-3.4.2-01: one of two paths swallows everything. The receiver notices, withdraws the address on the
// other path, so that the sender sends at once what is missing; nothing is lost. When the path is back it is used
// again. It does not matter whether it is the first one.
func TestSilentPathIsWithdrawn(t *testing.T) {
	for path := range few(2) {
		t.Run(fmt.Sprint("path ", path+1), func(t *testing.T) {
			onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
				defer deaf(s, false)()
				d := startDownload(s, c, 30<<20)
				time.Sleep(2 * time.Second)
				r.links[0][path].Down()
				time.Sleep(2 * delay)
				require.Less(t, d.resumes(), 350*time.Millisecond)
				time.Sleep(3 * time.Second)
				require.Equal(t, 1, r.counts(0, mib.SilentAddr))
				require.Equal(t, 1, r.counts(1, mib.RmAddr))
				require.Len(t, subflows(c), 1)
				require.Len(t, subflows(s), 1)
				r.links[0][path].Up()
				returned := time.Now()
				eventually(t, func() bool { return len(subflows(c)) == 2 && len(subflows(s)) == 2 }, "both paths")
				require.Less(t, time.Since(returned), 2*time.Second)
				require.NoError(t, result(t, d.err))
				require.EqualValues(t, 30<<20, d.total.Load())
				require.Equal(t, 1, r.counts(0, mib.SilentAddr))
			})
		})
	}
}

// Both paths are silent for some seconds, then one is back: though the sender's timers have backed off it goes on
// in a fraction of a second.
func TestReceiverEndsStandstill(t *testing.T) {
	for path := range few(2) {
		for _, silence := range []time.Duration{5 * time.Second, 1500 * time.Millisecond, 11 * time.Second}[:few(3)] {
			t.Run(fmt.Sprintf("path %d after %v", path+1, silence), func(t *testing.T) {
				onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
					defer deaf(s, false)()
					d := startDownload(s, c, 30<<20)
					time.Sleep(4 * time.Second)
					for _, l := range r.links[0] {
						l.Down()
					}
					time.Sleep(silence)
					r.links[0][path].Up()
					require.Less(t, d.resumes(), 450*time.Millisecond)
					time.Sleep(time.Second)
					r.links[0][1-path].Up()
					eventually(t, func() bool { return len(subflows(c)) == 2 && len(subflows(s)) == 2 }, "both paths")
					require.NoError(t, result(t, d.err))
					require.EqualValues(t, 30<<20, d.total.Load())
				})
			})
		}
	}
}

// packets counts what leaves a device of the client in a time.
func (r *routed) packets(link int, during time.Duration) int {
	n := 0
	r.links[0][link].There.Through(func(p *simnet.Passage, b []byte) {
		n++
		p.Forward(b)
	})
	time.Sleep(during)
	r.links[0][link].There.Through()
	return n
}

// The SYN of a fresh subflow leaves as soon as a probe of the old one is answered, however long its own pauses are by
// then.
func TestKnockWithTheAnswer(t *testing.T) {
	for i := range few(4) {
		silence := 8*time.Second + time.Duration(i)*250*time.Millisecond
		onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
			defer deaf(s, false)()
			d := startDownload(s, c, 20<<20)
			time.Sleep(4 * time.Second)
			for _, l := range r.links[0] {
				l.Down()
			}
			time.Sleep(silence)
			before := r.counts(0, mib.MPJoinSynAckRx)
			c.mu.Lock()
			heard := c.byID(2).LastReceived()
			c.mu.Unlock()
			r.links[0][1].Up()
			eventually(t, func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.byID(2) == nil || c.byID(2).LastReceived().After(heard)
			}, "an answer")
			answered := time.Now()
			eventually(t, func() bool { return r.counts(0, mib.MPJoinSynAckRx) > before }, "an answer to the SYN")
			require.Less(t, time.Since(answered), 50*time.Millisecond)
			r.links[0][0].Up()
			require.NoError(t, result(t, d.err))
		})
	}
}

// A sender that stops in mid-flow is asked once on each subflow, not again, and nothing is given up.
func TestPauseOfTheSender(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		before := c.Info().BytesReceived
		sendAll(t, s, c, 4<<20)
		require.EqualValues(t, 4<<20, c.Info().BytesReceived-before)
		for link := range 2 {
			require.LessOrEqual(t, r.packets(link, 5*time.Second), 2)
		}
		require.Zero(t, r.counts(0, mib.SilentAddr))
		require.Zero(t, r.counts(0, mib.SubflowRenewed))
		require.Len(t, subflows(c), 2)
	})
}

// A probe may be lost, and a path that answers the next one works.
func TestLostProbeIsNoSilence(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		sendAll(t, s, c, 4<<20)
		dropped := simnet.DropNth(1, nil)
		r.links[0][0].There.Through(dropped)
		require.LessOrEqual(t, r.packets(1, 5*time.Second), 2)
		require.Zero(t, r.counts(0, mib.SilentAddr))
	})
}

// A peer need not answer two probes in 500 ms: a question keeps its distance from the probes before.
func TestQuestionsKeepTheirDistance(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		c.mu.Lock()
		defer c.mu.Unlock()
		sub, now := c.subs[0], time.Now()
		c.rx.movedAt = now
		require.True(t, c.askAt(sub).Before(now.Add(2*silentRTTs*minSilence)))
		sub.SendProbe(now.Add(-100 * time.Millisecond))
		require.Equal(t, now.Add(450*time.Millisecond), c.askAt(sub))
	})
}

// When nothing comes on any path, each is asked after 150 ms, or 300 if that may be a pause, once more soon, and then more and
// more seldom.
func TestQuestionsGetRarer(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		startDownload(s, c, 30<<20)
		time.Sleep(2 * time.Second)
		stopped := time.Now()
		var asked []time.Time
		for i, l := range r.links[0] {
			l.There.Through(func(_ *simnet.Passage, b []byte) {
				if p, ok := packet.ParseTCP(b); ok && i == 0 && p.Flags() == packet.FlagACK && time.Since(stopped) > 100*time.Millisecond {
					asked = append(asked, time.Now())
				}
			})
			l.Back.Through(dropAll)
		}
		time.Sleep(11 * time.Second)
		for _, l := range r.links[0] {
			l.There.Through()
		}
		first := asked[0].Sub(stopped)
		require.True(t, first > 140*time.Millisecond && first < 160*time.Millisecond || first > 290*time.Millisecond && first < 310*time.Millisecond, first)
		require.Greater(t, len(asked), 30)
		for i, at := range asked[1:] {
			want := 200 * time.Millisecond
			switch {
			case i == 0:
				want = minAnswer / 3
			case i == 1:
				want = 100 * time.Millisecond
			case i >= 19:
				want = 400 * time.Millisecond
			}
			require.InDelta(t, want, at.Sub(asked[i]), float64(2*time.Millisecond), "question %d", i+1)
		}
		require.NoError(t, c.Abort())
		require.NoError(t, s.Abort())
	})
}

// A connection on which there was little lately is left alone: words that nobody answers are no reason to
// ask.
func TestQuietConversation(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		sendAll(t, s, c, 1000)
		time.Sleep(100 * time.Millisecond)
		for link := range 2 {
			require.Zero(t, r.packets(link, 3*time.Second))
		}
	})
}

// Where the peer has no room for one more subflow the old one ends first.
func TestRenewalWithoutRoom(t *testing.T) {
	onRoutedWith(t, pathmgr.Default, pathmgr.None, Config{MaxSubflows: 2}, nil, func(t *testing.T, r *routed, c, s *Conn) {
		defer deaf(s, false)()
		d := startDownload(s, c, 30<<20)
		time.Sleep(4 * time.Second)
		for _, l := range r.links[0] {
			l.Down()
		}
		time.Sleep(5 * time.Second)
		r.links[0][1].Up()
		require.Less(t, d.resumes(), time.Second)
		r.links[0][0].Up()
		eventually(t, func() bool { return len(subflows(c)) == 2 && len(subflows(s)) == 2 }, "both paths")
		require.NoError(t, result(t, d.err))
	})
}

// A path that comes and goes all the time does not have us open one subflow after the other.
func TestFlappingPath(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		defer deaf(s, false)()
		d := startDownload(s, c, 30<<20)
		time.Sleep(2 * time.Second)
		before := r.counts(0, mib.MPJoinSynTx)
		for range 20 {
			r.links[0][0].Down()
			time.Sleep(400 * time.Millisecond)
			r.links[0][0].Up()
			time.Sleep(600 * time.Millisecond)
		}
		require.Less(t, r.counts(0, mib.MPJoinSynTx)-before, 14)
		require.LessOrEqual(t, r.counts(0, mib.SilentAddr), 5, "patience grows with each false alarm")
		require.NoError(t, result(t, d.err))
	})
}

// A server cannot open a subflow in place of one that it gives up, so it gives none up.
func TestServerKeepsItsAddress(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		defer deaf(c, false)()
		d := startDownload(c, s, 20<<20)
		time.Sleep(2 * time.Second)
		r.links[0][0].Down()
		time.Sleep(2 * time.Second)
		r.links[0][0].Up()
		require.NoError(t, result(t, d.err))
		require.Zero(t, r.counts(1, mib.SilentAddr)+r.counts(1, mib.RmAddrTx)+r.counts(1, mib.SubflowRenewed))
	})
}
