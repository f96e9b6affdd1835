package simnet_test

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// multihomed is two hosts with two links each to a router between them, the first over IPv4, the
// second over IPv6.
type multihomed struct {
	hosts [2]*mptcp.Host // client, server
	devs  [2][2]*simnet.End
	links [2][2]*simnet.Link
}

// home is the address of a side on a link.
func home(side, link int) netip.Prefix {
	if link == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(side + 1), 0, 1}), 24)
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 5: byte(side + 1), 15: 1}), 64)
}

func newMultihomed(t testing.TB, w *simnet.World, pm pathmgr.Factory) *multihomed {
	t.Helper()
	m := &multihomed{}
	hub := w.Router("hub")
	shape := simnet.Shape{Rate: 8 * simnet.Mbps, Delay: 5 * time.Millisecond}
	for side, name := range []string{"client", "server"} {
		node := w.Host(name)
		h, err := mptcp.NewHost(&mptcp.Config{Environment: node, PathManager: pm})
		require.NoError(t, err)
		m.hosts[side] = h
		for i := range 2 {
			l := w.Connect(node, hub, shape, shape)
			hub.Route(home(side, i), l)
			require.NoError(t, h.AddDevice(l.A, home(side, i)))
			m.devs[side][i], m.links[side][i] = l.A, l
		}
	}
	return m
}

func (m *multihomed) connect(t testing.TB) (c, s *mptcp.Conn) {
	t.Helper()
	l, err := m.hosts[1].Listen("tcp", ":443")
	require.NoError(t, err)
	c, err = m.hosts[0].Dial(t.Context(), "tcp", netip.AddrPortFrom(home(1, 0).Addr(), 443).String())
	require.NoError(t, err)
	s, err = l.AcceptMPTCP()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	_, err = s.Read(make([]byte, 1))
	require.NoError(t, err)
	return c, s
}

// paths lists the subflows of a connection that carry data.
func paths(c *mptcp.Conn) (list []string) {
	for _, s := range c.Info().Subflows {
		if s.State == "established" {
			list = append(list, fmt.Sprintf("%v > %v", s.Local.Addr(), s.Remote))
		}
	}
	return list
}

const (
	over4 = "10.1.0.1 > 10.2.0.1:443"
	over6 = "2001:db8:1::1 > [2001:db8:2::1]:443"
)

// 8684-3.4-01: a server that is known by its IPv4 address announces the IPv6 one, which the
// client joins; it is withdrawn and announced again as the device goes and comes.
func TestOtherFamilyIsAnnounced(t *testing.T) {
	simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		m := newMultihomed(t, w, nil)
		c, s := m.connect(t)
		time.Sleep(time.Second)
		require.Equal(t, []string{over4, over6}, paths(c))
		at := home(1, 1).Addr()
		require.Equal(t, []mptcp.AnnouncedAddr{{ID: 1, Addr: netip.AddrPortFrom(at, 0), Echoed: true}}, s.Info().Announced)
		require.Equal(t, []mptcp.AnnouncedAddr{{ID: 1, Addr: netip.AddrPortFrom(at, 443), Echoed: true}}, c.Info().RemoteAddrs)

		require.NoError(t, m.hosts[1].RemoveDevice(m.devs[1][1].Name()))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{over4}, paths(c), "the client asked for an answer, and had none")
		require.Empty(t, c.Info().RemoteAddrs)
		require.Empty(t, s.Info().Announced)

		require.NoError(t, m.hosts[1].AddDevice(m.devs[1][1].Device(), home(1, 1)))
		time.Sleep(time.Second)
		require.Equal(t, []string{over4, over6}, paths(c))

		// The other end's device, and the initial subflow at that.
		require.NoError(t, m.hosts[0].RemoveDevice(m.devs[0][0].Name()))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{over6}, paths(c))
		require.Len(t, paths(s), 1)
		require.NoError(t, m.hosts[0].AddDevice(m.devs[0][0].Device(), home(0, 0)))
		time.Sleep(10 * time.Second)
		require.ElementsMatch(t, []string{over4, over6}, paths(c))
		stream(t, c, s, 1<<20)
	})
}

// 8684-3.4.1-05: for those who manage paths themselves; nobody listens at the port that is
// announced, and joins are welcome all the same.
func TestManagedPaths(t *testing.T) {
	simnet.Test(t, simnet.Config{Deadline: 10 * time.Minute}, func(t *testing.T, w *simnet.World) {
		m := newMultihomed(t, w, pathmgr.None)
		c, s := m.connect(t)
		at := netip.AddrPortFrom(home(1, 1).Addr(), 8443)
		require.NoError(t, s.Announce(at))
		time.Sleep(time.Second)
		require.Equal(t, at, c.Info().RemoteAddrs[0].Addr)
		require.True(t, s.Info().Announced[0].Echoed)
		require.Equal(t, []string{over4}, paths(c))

		id, err := c.AddSubflow(t.Context(), netip.Addr{}, at, true)
		require.NoError(t, err)
		over := c.Info().Subflows[1]
		require.Equal(t, id, over.ID)
		require.True(t, over.LocalBackup)
		require.False(t, over.RemoteBackup)
		require.EqualValues(t, 1, over.RemoteID)
		require.True(t, s.Info().Subflows[1].RemoteBackup)
		bulk := func() (first, second uint64) {
			before := s.Info().Subflows
			_, err := c.Write(make([]byte, 1<<20))
			require.NoError(t, err)
			_, err = readN(s, 1<<20)
			require.NoError(t, err)
			after := s.Info().Subflows
			return after[0].BytesReceived - before[0].BytesReceived, after[1].BytesReceived - before[1].BytesReceived
		}
		_, second := bulk()
		require.Zero(t, second, "a backup subflow rests")
		require.NoError(t, c.SetBackup(id, false))
		require.NoError(t, c.SetBackup(1, true))
		time.Sleep(time.Second)
		require.True(t, s.Info().Subflows[0].RemoteBackup)
		first, second := bulk()
		require.Zero(t, first)
		require.EqualValues(t, 1<<20, second)

		require.NoError(t, c.RemoveSubflow(1))
		time.Sleep(time.Second)
		require.Equal(t, []string{"2001:db8:1::1 > [2001:db8:2::1]:8443"}, paths(c))
		require.Len(t, paths(s), 1)
		require.Empty(t, s.Info().Subflows[0].Reason, "it ended with FINs")

		_, err = c.AddSubflow(t.Context(), home(0, 0).Addr(), netip.AddrPort{}, false)
		require.NoError(t, err)
		require.NoError(t, s.Withdraw(at.Addr()))
		time.Sleep(time.Second)
		require.Equal(t, []string{over4}, paths(c))
		require.Empty(t, c.Info().RemoteAddrs)
		require.Zero(t, m.hosts[0].Counters()["MPRstTx"]+m.hosts[1].Counters()["MPRstTx"])
		stream(t, c, s, 1<<20)
	})
}

func readN(c *mptcp.Conn, n int) (int, error) {
	buf := make([]byte, 1<<16)
	got := 0
	for got < n {
		k, err := c.Read(buf[:min(len(buf), n-got)])
		if got += k; err != nil {
			return got, err
		}
	}
	return got, nil
}

// Announcements lose packets as data does, and come through; the same seed gives the same
// packets.
func TestAnnouncementsWithLoss(t *testing.T) {
	var digests []uint64
	for range 2 {
		sum := fnv.New64()
		var buf []byte
		record := func(e simnet.Event) {
			buf = e.AppendTo(buf[:0])
			sum.Write(buf)
		}
		simnet.Test(t, simnet.Config{Seed: 7, Deadline: 10 * time.Minute, Record: record}, func(t *testing.T, w *simnet.World) {
			m := newMultihomed(t, w, nil)
			for _, side := range m.links {
				for _, l := range side {
					l.Change(func(s *simnet.Shape) { s.Loss = 0.2 })
				}
			}
			c, s := m.connect(t)
			for i := 1; i <= 3; i++ {
				w.At(w.Elapsed()+time.Duration(20*i-10)*time.Second, func() { m.devs[1][1].Fail(tun.ErrClosed) })
				w.At(w.Elapsed()+time.Duration(20*i)*time.Second, func() {
					if err := m.hosts[1].AddDevice(m.devs[1][1].Device(), home(1, 1)); err != nil {
						panic(err)
					}
				})
			}
			time.Sleep(3 * time.Minute)
			require.Contains(t, paths(c), over6)
			require.True(t, s.Info().Announced[0].Echoed)
			stream(t, c, s, 100_000)
		})
		digests = append(digests, sum.Sum64())
	}
	require.Equal(t, digests[0], digests[1])
}
