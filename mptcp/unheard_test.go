package mptcp

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// signalling is a client with two subflows, both idle, which has announced an address, and a server; the first
// lost of the ACKs that carry a REMOVE_ADDR or MP_PRIO of the client's are lost.
func signalling(t *testing.T, lost int, f func(t *testing.T, r *routed, c, s *Conn, announced netip.Addr)) {
	onRouted(t, pathmgr.Manual, pathmgr.Manual, func(t *testing.T, r *routed, c, s *Conn) {
		_, err := c.AddSubflow(t.Context(), r.prefix(0, 1).Addr(), netip.AddrPort{}, false)
		require.NoError(t, err)
		announced := netip.MustParseAddr("10.9.0.1")
		require.NoError(t, c.Announce(netip.AddrPortFrom(announced, 0)))
		time.Sleep(3 * time.Second)
		require.Len(t, s.Info().RemoteAddrs, 1)
		for _, l := range r.links[0] {
			l.There.Through(tcpOnly(func(p packet.TCP) bool {
				set := option.Parse(p.Options(), p.Flags())
				_, removal := set.RemoveAddr()
				_, prio := set.Prio()
				if removal || prio {
					lost--
					return lost < 0
				}
				return true
			}))
		}
		f(t, r, c, s, announced)
	})
}

// 8684-3.4.2-01: a REMOVE_ADDR whose ACK is lost is sent again, one that has come is not.
func TestLostRemoveAddr(t *testing.T) {
	for lost, want := range map[int]struct{ sent, heard uint64 }{
		0: {1, 1}, 1: {2, 1}, 3: {4, 1}, 9: {4, 0},
	} {
		signalling(t, lost, func(t *testing.T, r *routed, c, s *Conn, announced netip.Addr) {
			require.NoError(t, c.Withdraw(announced))
			time.Sleep(time.Minute)
			require.EqualValues(t, want.heard, 1-len(s.Info().RemoteAddrs))
			sent := r.hosts[0].Counters()
			require.Equal(t, want.sent, sent["RmAddrTx"])
			require.Equal(t, want.sent-1, sent["SignalRepeat"])
			require.Equal(t, want.heard, r.hosts[1].Counters()["RmAddr"])
		})
	}
}

// 8684-3.3.8-03: MP_PRIO likewise; only the newest priority counts.
func TestLostPrio(t *testing.T) {
	signalling(t, 2, func(t *testing.T, r *routed, c, s *Conn, _ netip.Addr) {
		require.NoError(t, c.SetBackup(2, true))
		time.Sleep(time.Second / 2)
		require.NoError(t, c.SetBackup(1, true))
		time.Sleep(time.Second / 10)
		require.NoError(t, c.SetBackup(1, false))
		time.Sleep(time.Minute)
		require.Equal(t, []string{"10.2.0.1 > 10.1.0.1 0-0", "10.2.0.1 > 10.1.1.1 0-1 peer's backup"}, subflows(s))
		require.EqualValues(t, 1, r.hosts[0].Counters()["SignalRepeat"])
	})
}

// An address that is announced again is not withdrawn by what was lost.
func TestLostRemoveAddrOfAddressThatIsBack(t *testing.T) {
	signalling(t, 1, func(t *testing.T, r *routed, c, s *Conn, announced netip.Addr) {
		require.NoError(t, c.Withdraw(announced))
		time.Sleep(time.Second / 2)
		require.NoError(t, c.Announce(netip.AddrPortFrom(announced, 0)))
		time.Sleep(time.Minute)
		require.Len(t, s.Info().RemoteAddrs, 1)
		require.Zero(t, r.hosts[0].Counters()["SignalRepeat"])
	})
}

// A join from a withdrawn address whose SYN stays unanswered, as on a path that is silent, does not tell the peer that
// the address is in use again: the REMOVE_ADDR still has to get there.
func TestLostRemoveAddrWhileJoinIsUnanswered(t *testing.T) {
	signalling(t, 1, func(t *testing.T, r *routed, c, s *Conn, _ netip.Addr) {
		local := r.prefix(0, 1).Addr()
		r.links[0][1].Down()
		require.NoError(t, c.Withdraw(local))
		time.Sleep(100 * time.Millisecond)
		joined := async(func() error {
			_, err := c.AddSubflow(t.Context(), local, netip.AddrPort{}, false)
			return err
		})
		time.Sleep(5 * time.Second)
		require.Equal(t, 1, r.counts(1, mib.RmAddr))
		r.links[0][1].Up()
		require.NoError(t, result(t, joined))
		time.Sleep(10 * time.Second)
		require.Len(t, subflows(s), 2)
		require.Equal(t, 1, r.counts(1, mib.RmAddr))
	})
}

// The peer has ended the subflow on which a REMOVE_ADDR leaves: it is sent again at once on another one.
func TestRemoveAddrCrossesFIN(t *testing.T) {
	signalling(t, 1, func(t *testing.T, r *routed, c, s *Conn, announced netip.Addr) {
		require.NoError(t, s.RemoveSubflow(1))
		require.NoError(t, c.Withdraw(announced))
		time.Sleep(8 * delay)
		require.Empty(t, s.Info().RemoteAddrs)
		require.EqualValues(t, 1, r.hosts[0].Counters()["SignalRepeat"])
	})
}

// losing drops the first n segments with an option of a kind that leave a device of the client.
func (r *routed) losing(n int, what func(*option.Set) bool) {
	for _, l := range r.links[0] {
		l.There.Through(tcpOnly(func(t packet.TCP) bool {
			if n > 0 && what(optionsOf(t)) {
				n--
				return false
			}
			return true
		}))
	}
}

func prioritises(set *option.Set) bool { _, ok := set.Prio(); return ok }

func removes(set *option.Set) bool { _, ok := set.RemoveAddr(); return ok }

// 8684-3.4.2-01: a REMOVE_ADDR that is lost on a subflow where others follow it is sent again when what the peer
// has sent to the address stays away.
func TestLostRemovalOnBusySubflow(t *testing.T) {
	for lost := range few(3) {
		onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
			defer deaf(s, true)()
			r.losing(lost, removes)
			d := startDownload(s, c, 30<<20)
			time.Sleep(2 * time.Second)
			r.links[0][0].Down()
			time.Sleep(3 * time.Second)
			require.Equal(t, lost+1, r.counts(0, mib.RmAddrTx))
			require.Equal(t, 1, r.counts(1, mib.RmAddr))
			require.NoError(t, result(t, d.err))
		})
	}
}

// 8684-3.3.8-01: MP_PRIO that is lost is sent again while the peer goes on as before: sends on a backup though
// another subflow works. One that it has got is not.
func TestLostPriorityOnBusySubflow(t *testing.T) {
	for lost := range few(3) {
		onRoutedWith(t, pathmgr.Default, pathmgr.None, Config{NoSteering: true}, nil, func(t *testing.T, r *routed, c, s *Conn) {
			r.losing(lost, prioritises)
			d := startDownload(s, c, 30<<20)
			time.Sleep(3 * time.Second)
			require.NoError(t, c.SetBackup(2, true))
			time.Sleep(9 * time.Second)
			require.Equal(t, lost+1, r.counts(0, mib.MPPrioTx))
			require.Equal(t, 1, r.counts(1, mib.MPPrioRx))
			require.Contains(t, subflows(s), "10.2.0.1 > 10.1.1.1 0-1 peer's backup")
			require.NoError(t, result(t, d.err))
			require.Equal(t, lost+1, r.counts(0, mib.MPPrioTx))
		})
	}
}

// A removal on a busy subflow is not repeated once the address is in use again.
func TestRemovalOfWhatIsBack(t *testing.T) {
	onRouted(t, pathmgr.Manual, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		local, remote := netip.MustParseAddr("10.1.1.1"), netip.MustParseAddrPort("10.2.0.1:443")
		_, err := c.AddSubflow(t.Context(), local, remote, false)
		require.NoError(t, err)
		d := startDownload(s, c, 30<<20)
		time.Sleep(2 * time.Second)
		require.NoError(t, c.Withdraw(local))
		time.Sleep(100 * time.Millisecond)
		_, err = c.AddSubflow(t.Context(), local, remote, false)
		require.NoError(t, err)
		for range 40 { // the stream stands now and then
			r.links[0][0].Down()
			r.links[0][1].Down()
			time.Sleep(120 * time.Millisecond)
			r.links[0][0].Up()
			r.links[0][1].Up()
			time.Sleep(300 * time.Millisecond)
		}
		require.Equal(t, 1, r.counts(0, mib.RmAddrTx)-r.counts(0, mib.SilentAddr))
		require.NoError(t, result(t, d.err))
	})
}

// A peer that has sent a lot, and has no more to send, does not look as if it had missed a REMOVE_ADDR.
func TestPauseIsNoLostRemoval(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		sendAll(t, s, c, 4<<20)
		time.Sleep(time.Second)
		require.NoError(t, c.Withdraw(r.prefix(0, 1).Addr()))
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, r.counts(0, mib.RmAddrTx))
		require.Zero(t, r.counts(0, mib.SignalRepeat))
	})
}

// Over a long path the sign, and what shows that the peer acts, may take some round trips.
func TestUnheardOnLongPath(t *testing.T) {
	signalling(t, 0, func(t *testing.T, r *routed, c, s *Conn, announced netip.Addr) {
		for d := 20 * time.Millisecond; d < 700*time.Millisecond; d *= 2 {
			for _, l := range r.links[0] {
				l.Change(func(s *simnet.Shape) { s.Delay = d })
			}
			sendAll(t, c, s, 1<<20)
		}
		time.Sleep(10 * time.Second)
		require.NoError(t, c.Withdraw(announced))
		require.NoError(t, c.SetBackup(2, true))
		time.Sleep(500 * time.Millisecond) // MP_PRIO waits for its turn
		c.mu.Lock()
		var looks []float64 // in round trips, as long as they are now
		rtt := c.byID(1).Sender().SRTT()
		for _, u := range c.signals.unheard {
			looks = append(looks, u.look.Sub(u.sent).Seconds()/rtt.Seconds())
		}
		c.mu.Unlock()
		require.Greater(t, rtt, time.Second)
		require.InDeltaSlice(t, []float64{removalRTTs, prioRTTs}, looks, 0.5)
		time.Sleep(time.Minute)
		require.Zero(t, r.counts(0, mib.SignalRepeat))
		c.mu.Lock()
		left := len(c.signals.unheard)
		c.mu.Unlock()
		require.Zero(t, left)
	})
}

// Only the newest priority of a subflow is remembered.
func TestUnheardPriorities(t *testing.T) {
	signalling(t, 3, func(t *testing.T, r *routed, c, s *Conn, _ netip.Addr) {
		for i := range 3 {
			require.NoError(t, c.SetBackup(2, i%2 == 0))
			time.Sleep(300 * time.Millisecond)
		}
		c.mu.Lock()
		unheard := slices.Clone(c.signals.unheard)
		c.mu.Unlock()
		require.Len(t, unheard, 1)
		require.Equal(t, option.Prio{Backup: true}, unheard[0].option)
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, r.counts(1, mib.MPPrioRx))
	})
}
