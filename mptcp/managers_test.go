package mptcp

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/pathmgr/endpoints"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// routed is two hosts with two links each to a router: every address reaches every other one. The client
// has 10.1.0.1 and 10.1.1.1, the server 10.2.0.1 and 10.2.1.1.
type routed struct {
	t     *testing.T
	hosts [2]*Host // client, server
	links [2][2]*simnet.Link
	hub   *simnet.Router
}

// onRouted runs a test with a connection from the first to the first address, confirmed, in virtual time.
func onRouted(t *testing.T, client, server pathmgr.Factory, f func(t *testing.T, r *routed, c, s *Conn)) {
	t.Helper()
	onRoutedWith(t, client, server, Config{}, nil, f)
}

// onRoutedWith is onRouted with a configuration for both hosts; asleep, if not nil, is for how long the client's
// machine has been suspended.
func onRoutedWith(t *testing.T, client, server pathmgr.Factory, cfg Config, asleep *atomic.Int64, f func(t *testing.T, r *routed, c, s *Conn)) {
	t.Helper()
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
		r := &routed{t: t, hub: w.Router("hub")}
		shape := simnet.Shape{Rate: 8 * simnet.Mbps, Delay: delay}
		for side, name := range []string{"client", "server"} {
			node := w.Host(name)
			cfg := cfg
			cfg.Environment = node
			if side == 0 && asleep != nil {
				cfg.Environment = laptop{node, asleep}
			}
			h, err := NewHost(&cfg)
			require.NoError(t, err)
			r.hosts[side] = h
			for i := range 2 {
				l := w.Connect(node, r.hub, shape, shape)
				r.hub.Route(r.prefix(side, i), l)
				require.NoError(t, h.AddDevice(l.A, r.prefix(side, i)))
				r.links[side][i] = l
			}
		}
		l, err := r.hosts[1].ListenWith("tcp", ":443", &ConnConfig{PathManager: server})
		require.NoError(t, err)
		c, err := r.hosts[0].DialWith(t.Context(), "tcp", "10.2.0.1:443", &ConnConfig{PathManager: client})
		require.NoError(t, err)
		s, err := l.AcceptMPTCP()
		require.NoError(t, err)
		require.NoError(t, l.Close())
		confirm(t, c, s)
		time.Sleep(3 * time.Second)
		f(t, r, c, s)
	})
}

func (r *routed) prefix(side, link int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(side + 1), byte(link), 1}), 24)
}

// remove and add take a device away and bring it back.
func (r *routed) remove(side, link int) {
	r.t.Helper()
	require.NoError(r.t, r.hosts[side].RemoveDevice(r.links[side][link].A.Name()))
}

func (r *routed) add(side, link int) {
	r.t.Helper()
	require.NoError(r.t, r.hosts[side].AddDevice(r.links[side][link].A.Device(), r.prefix(side, link)))
}

// subflows lists those that carry data: addresses, the address IDs of both ends, and what is said of backup.
func subflows(c *Conn) (list []string) {
	for _, s := range c.Info().Subflows {
		if s.State != "established" {
			continue
		}
		line := fmt.Sprintf("%v > %v %d-%d", s.Local.Addr(), s.Remote.Addr(), s.LocalID, s.RemoteID)
		if s.LocalBackup {
			line += " backup"
		}
		if s.RemoteBackup {
			line += " peer's backup"
		}
		list = append(list, line)
	}
	return list
}

// 8684-3.4-01, 8684-3.2-05: every address with every address, from either end; two ends that both
// want that do not open anything twice.
func TestFullmesh(t *testing.T) {
	onRouted(t, pathmgr.Fullmesh, pathmgr.Fullmesh, func(t *testing.T, _ *routed, c, s *Conn) {
		require.ElementsMatch(t, []string{
			"10.1.0.1 > 10.2.0.1 0-0", "10.1.1.1 > 10.2.0.1 1-0", "10.1.0.1 > 10.2.1.1 0-1", "10.1.1.1 > 10.2.1.1 1-1",
		}, subflows(c))
		require.Len(t, subflows(s), 4)
		exchange(t, c, s, 1<<20)
	})
}

// 8684-3.4.1-05: a server joins the addresses that a client announces.
func TestFullmeshServerJoins(t *testing.T) {
	onRouted(t, pathmgr.Manual, pathmgr.Fullmesh, func(t *testing.T, _ *routed, c, s *Conn) {
		require.Equal(t, []string{"10.1.0.1 > 10.2.0.1 0-0"}, subflows(c))
		require.NoError(t, c.Announce(netip.MustParseAddrPort("10.1.1.1:5000")))
		time.Sleep(3 * time.Second)
		require.ElementsMatch(t, []string{"10.2.0.1 > 10.1.0.1 0-0", "10.2.0.1 > 10.1.1.1 0-1", "10.2.1.1 > 10.1.1.1 1-1"}, subflows(s))
		exchange(t, c, s, 1<<20)
	})
}

// Several subflows between the same addresses; each that is lost is opened again.
func TestNDiffPorts(t *testing.T) {
	onRouted(t, pathmgr.NDiffPorts(4), pathmgr.None, func(t *testing.T, _ *routed, c, s *Conn) {
		one := "10.1.0.1 > 10.2.0.1 0-0"
		require.Equal(t, []string{one, one, one, one}, subflows(c))
		ports := map[uint16]bool{}
		for _, f := range c.Info().Subflows {
			ports[f.Local.Port()] = true
		}
		require.Len(t, ports, 4)
		s.mu.Lock()
		s.resetSub(s.subs[2], errClosed)
		s.mu.Unlock()
		time.Sleep(time.Second)
		require.Equal(t, []string{one, one, one, one}, subflows(c))
		exchange(t, c, s, 1<<20)
	})
}

// 8684-3.3.8-02, -03, 8684-3.2-07: one path is in use, the other carries nothing until it takes over; so
// it stays when the first is back.
func TestBackupManager(t *testing.T) {
	onRouted(t, pathmgr.Backup, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		require.Equal(t, []string{"10.1.0.1 > 10.2.0.1 0-0", "10.1.1.1 > 10.2.0.1 1-0 backup"}, subflows(c))
		require.Equal(t, []string{"10.2.0.1 > 10.1.0.1 0-0", "10.2.0.1 > 10.1.1.1 0-1 peer's backup"}, subflows(s))
		idle := func(c *Conn) uint64 { return c.Info().Subflows[1].BytesSent }
		for _, from := range []*Conn{c, s} {
			_, err := from.Write(make([]byte, 100<<10))
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		require.Zero(t, idle(c)+idle(s))

		r.remove(0, 0)
		time.Sleep(time.Second)
		require.Equal(t, []string{"10.1.1.1 > 10.2.0.1 1-0"}, subflows(c))
		eventually(t, func() bool { return subflows(s)[0] == "10.2.0.1 > 10.1.1.1 0-1" }, "the server is told: %v", subflows(s))
		r.add(0, 0)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"10.1.1.1 > 10.2.0.1 1-0", "10.1.0.1 > 10.2.0.1 0-0 backup"}, subflows(c))
	})
}

// 8684-3.2-03, 8684-3.4.1-01, -03, 8684-3.4.2-01, 8684-3.3.8-03: what `ip mptcp endpoint` does, while the connection lives.
func TestEndpoints(t *testing.T) {
	client, server := endpoints.New(), endpoints.New()
	onRouted(t, client.Manager, server.Manager, func(t *testing.T, r *routed, c, s *Conn) {
		initial := "10.1.0.1 > 10.2.0.1 0-0"
		shows := func(what string, want ...string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			require.ElementsMatch(t, want, subflows(c), what)
			require.Len(t, subflows(s), len(want))
		}
		shows("nothing is set", initial)
		id, err := client.Add(pathmgr.Endpoint{Addr: r.prefix(0, 1).Addr(), ID: 5, Flags: pathmgr.FlagSubflow})
		require.NoError(t, err)
		shows("subflow", initial, "10.1.1.1 > 10.2.0.1 5-0")
		require.NoError(t, client.Change(id, pathmgr.FlagSubflow|pathmgr.FlagBackup))
		shows("backup", initial, "10.1.1.1 > 10.2.0.1 5-0 backup")

		require.NoError(t, client.SetLimits(pathmgr.Limits{Subflows: 4, AddAddrAccepted: 1}))
		require.NoError(t, server.SetLimits(pathmgr.Limits{Subflows: 4}))
		signal, err := server.Add(pathmgr.Endpoint{Addr: r.prefix(1, 1).Addr(), Port: 8443, ID: 9, Flags: pathmgr.FlagSignal})
		require.NoError(t, err)
		shows("signal", initial, "10.1.1.1 > 10.2.0.1 5-0 backup", "10.1.0.1 > 10.2.1.1 0-9")
		require.EqualValues(t, 8443, c.Info().Subflows[2].Remote.Port())
		require.NoError(t, client.Change(id, pathmgr.FlagSubflow|pathmgr.FlagFullmesh))
		shows("fullmesh too", initial, "10.1.1.1 > 10.2.0.1 5-0", "10.1.1.1 > 10.2.1.1 5-9", "10.1.0.1 > 10.2.1.1 0-9")

		require.NoError(t, server.Remove(signal))
		shows("withdrawn", initial, "10.1.1.1 > 10.2.0.1 5-0")
		client.Flush()
		shows("nothing is left", initial)
		exchange(t, c, s, 1<<20)
		closeBoth(t, c, s)
		time.Sleep(time.Minute)
		_, err = client.Add(pathmgr.Endpoint{Addr: r.prefix(0, 1).Addr(), Flags: pathmgr.FlagSubflow})
		require.NoError(t, err, "nobody is left to be told")
	})
}

// 8684-3.2-03, 8684-3.4.1-13: an ID that is asked for is given unless another address has it, and the others
// go on around it.
func TestAddressIDsThatAreAskedFor(t *testing.T) {
	onRouted(t, pathmgr.Manual, pathmgr.Manual, func(t *testing.T, _ *routed, _, s *Conn) {
		announce := func(last byte, id uint8) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.announce(pathmgr.Announce{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 0, last}), 0), ID: id})
		}
		require.NoError(t, announce(1, 2))
		require.ErrorContains(t, announce(2, 2), "10.9.0.1")
		require.NoError(t, announce(2, 0))
		require.NoError(t, announce(3, 0))
		require.NoError(t, announce(1, 7), "it has one")
		require.NoError(t, s.Withdraw(netip.MustParseAddr("10.9.0.1")))
		require.NoError(t, announce(4, 2))
		var ids []uint8
		for _, a := range s.Info().Announced {
			ids = append(ids, a.ID, a.Addr.Addr().As4()[3])
		}
		require.Equal(t, []uint8{2, 4, 1, 2, 3, 3}, ids)
	})
}

// 8684-3.4-03, 8684-3.2-03: an address that a NAT maps to one of ours has the ID of that.
func TestMappedAddress(t *testing.T) {
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
		p := newPair(t, w, setup{paths: 1, client: &Config{PathManager: pathmgr.Default}, server: &Config{PathManager: pathmgr.Manual}})
		mine, public, inside := netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:2::1"), netip.MustParseAddr("fd00::1")
		l := w.Connect(p.nodes[0], p.nodes[1], p.shape, p.shape)
		// Addresses have no checksum of their own in IPv6.
		l.There.Through(tcpOnly(func(t packet.TCP) bool { copy(t.Header()[24:], inside.AsSlice()); return true }))
		l.Back.Through(tcpOnly(func(t packet.TCP) bool { copy(t.Header()[8:], public.AsSlice()); return true }))
		require.NoError(t, p.client.AddDevice(l.A, netip.PrefixFrom(mine, 64)))
		require.NoError(t, p.server.AddDevice(l.B, netip.PrefixFrom(inside, 64)))
		c, s := p.connect()
		confirm(t, c, s)
		require.NoError(t, s.AnnounceMapped(netip.AddrPortFrom(public, 8443), inside))
		require.ErrorContains(t, s.Announce(netip.AddrPortFrom(inside, 0)), "withdraw")
		time.Sleep(time.Second)
		require.Equal(t, []AnnouncedAddr{{ID: 1, Addr: netip.AddrPortFrom(public, 8443), Echoed: true}}, s.Info().Announced)
		require.Equal(t, []string{"10.0.1.1 > 10.0.1.2 0-0", "2001:db8:1::1 > 2001:db8:2::1 1-1"}, subflows(c))
		require.Equal(t, []string{"10.0.1.2 > 10.0.1.1 0-0", "fd00::1 > 2001:db8:1::1 1-1"}, subflows(s))
		require.NoError(t, s.Withdraw(inside))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"10.0.1.1 > 10.0.1.2 0-0"}, subflows(c))
		require.Empty(t, c.Info().RemoteAddrs)
		exchange(t, c, s, 1<<20)
	})
}

// 8684-Q-25, 8684-3.4.2-01, 8684-3.2-03: the initial subflow's addresses, ID 0, go and come back like others, on
// either side.
func TestInitialAddressGoesAndComesBack(t *testing.T) {
	for side, name := range []string{"client", "server"} {
		t.Run(name, func(t *testing.T) {
			onRouted(t, pathmgr.Default, pathmgr.Default, func(t *testing.T, r *routed, c, s *Conn) {
				all := []string{"10.1.0.1 > 10.2.0.1 0-0", "10.1.1.1 > 10.2.0.1 1-0", "10.1.0.1 > 10.2.1.1 0-1", "10.1.1.1 > 10.2.1.1 1-1"}
				left := [][]string{{all[1], all[3]}, {all[2], all[3]}}[side]
				require.ElementsMatch(t, all, subflows(c))
				r.remove(side, 0)
				time.Sleep(20 * time.Second)
				require.ElementsMatch(t, left, subflows(c))
				require.Len(t, subflows(s), 2)
				require.EqualValues(t, 1, r.hosts[side].Counters()["RmAddrTx"])
				require.EqualValues(t, 1, r.hosts[1-side].Counters()["RmAddr"])
				r.add(side, 0)
				time.Sleep(5 * time.Second)
				require.ElementsMatch(t, all, subflows(c))
				exchange(t, c, s, 1<<20)
			})
		})
	}
}

// Break before make: a path that comes back after the last one was lost is in use again within 0.8 s.
func TestBreakBeforeMake(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.Default, func(t *testing.T, r *routed, c, s *Conn) {
		for _, down := range []time.Duration{200 * time.Millisecond, 1400 * time.Millisecond} {
			r.links[0][0].Down()
			r.links[0][1].Down()
			for _, conn := range []*Conn{c, s} {
				conn.mu.Lock()
				for _, f := range conn.liveList() {
					conn.subDown(f, errNotCompleted) // without a word
				}
				conn.service(conn.host.clock.Now())
				conn.mu.Unlock()
			}
			time.Sleep(down)
			require.Empty(t, subflows(c))
			r.links[0][0].Up()
			r.links[0][1].Up()
			back := time.Now()
			eventually(t, func() bool { return established(c) > 0 }, "a new subflow")
			require.Less(t, time.Since(back), 800*time.Millisecond)
			time.Sleep(10 * time.Second)
		}
		exchange(t, c, s, 1<<20)
	})
}

// A program that manages paths itself hears of all that `ip mptcp monitor` shows.
func TestNextEvent(t *testing.T) {
	onRouted(t, pathmgr.Manual, pathmgr.Manual, func(t *testing.T, r *routed, c, s *Conn) {
		next := func(c *Conn) pathmgr.Event {
			t.Helper()
			ev, err := c.NextEvent(t.Context())
			require.NoError(t, err)
			return ev
		}
		first := next(c).(pathmgr.Established)
		require.Equal(t, pathmgr.Client, first.Role)
		require.Len(t, first.Locals, 2)
		require.Equal(t, "manual", c.Info().PathManager)
		require.Equal(t, pathmgr.Server, next(s).(pathmgr.Established).Role)

		require.NoError(t, s.Announce(netip.MustParseAddrPort("10.2.1.1:0")))
		at := netip.MustParseAddrPort("10.2.1.1:443")
		require.Equal(t, pathmgr.RemoteAddrUp{AddrID: 1, Addr: at}, next(c))
		id, err := c.AddSubflow(t.Context(), r.prefix(0, 1).Addr(), at, false)
		require.NoError(t, err)
		up := next(c).(pathmgr.SubflowUp)
		require.Equal(t, []any{id, at, uint8(1), false}, []any{up.ID, up.Remote, up.RemoteID, up.Incoming})
		in := next(s).(pathmgr.SubflowUp)
		require.True(t, in.Incoming)

		require.NoError(t, s.SetBackup(in.ID, true))
		require.Equal(t, pathmgr.PriorityChanged{ID: id, Backup: true}, next(c))
		require.NoError(t, s.Withdraw(at.Addr()))
		require.Equal(t, pathmgr.RemoteAddrDown{AddrID: 1}, next(c))
		down := next(c).(pathmgr.SubflowDown)
		require.Equal(t, []any{id, true, error(nil)}, []any{down.ID, down.Established, down.Err})
		require.Positive(t, down.RTT)
		r.remove(0, 1)
		require.Equal(t, pathmgr.LocalAddrDown{Addr: r.prefix(0, 1).Addr()}, next(c))
		r.add(0, 1)
		require.Equal(t, pathmgr.LocalAddrUp{Addr: r.prefix(0, 1).Addr(), Device: "client-hub/2"}, next(c))

		// Waiting ends with the context, and what nobody takes makes room, which is told.
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.NextEvent(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		c.mu.Lock()
		for i := range maxEvents + 1 {
			c.tell(pathmgr.PriorityChanged{ID: uint32(i)})
		}
		c.mu.Unlock()
		_, err = c.NextEvent(t.Context())
		require.ErrorIs(t, err, ErrEventsMissed)
		for i := range maxEvents {
			require.Equal(t, pathmgr.PriorityChanged{ID: uint32(i + 1)}, next(c))
		}

		// It ends with the connection.
		last := async(func() error {
			for {
				if _, err := c.NextEvent(context.Background()); err != nil {
					return err
				}
			}
		})
		require.NoError(t, c.Abort())
		require.Error(t, result(t, last))
	})
}

// An endpoint may name the device that its address is on; see TestEndpointOfDevice in pathmgr for what that means.
func TestEndpointsKnowDevices(t *testing.T) {
	set := endpoints.New()
	add := func(device string) {
		_, err := set.Add(pathmgr.Endpoint{Addr: netip.MustParseAddr("10.1.1.1"), Device: device, Flags: pathmgr.FlagSubflow})
		require.NoError(t, err)
	}
	add("another")
	onRouted(t, set.Manager, pathmgr.None, func(t *testing.T, r *routed, c, _ *Conn) {
		require.Len(t, subflows(c), 1)
		set.Flush()
		add(r.links[0][1].A.Name())
		eventually(t, func() bool { return len(subflows(c)) == 2 }, "the endpoint of that device")
		r.remove(0, 1)
		require.Len(t, subflows(c), 1)
		r.add(0, 1)
		eventually(t, func() bool { return len(subflows(c)) == 2 }, "the device is back")
	})
}
