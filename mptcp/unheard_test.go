package mptcp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
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
