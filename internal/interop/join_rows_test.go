//go:build linux

package interop

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
)

// joinRows are those of mptcp_join.sh about joins.
var joinRows = []row{
	{number: 6, name: "no JOIN", serves: counts{"MPJoinSynRx": 0, "MPJoinAckRx": 0}, kernel: kernelLimits(2, 0)},
	{
		number: 7, name: "single subflow, limited by client", paths: 2,
		serves: counts{"MPJoinSynRx": 0, "MPJoinAckRx": 0}, host: limited(1), kernel: kernelLimits(2, 0),
	},
	{
		number: 8, name: "single subflow, limited by server", paths: 2, resets: true,
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 0, "MPJoinRejected": 1}, host: limited(2), kernel: kernelLimits(0, 0),
		ours: counts{"MPRstRx": 1}, lone: []string{"MPRstRx"}, // the kernel does not count resets of SYNs
	},
	{
		number: 9, name: "single subflow", paths: 2,
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1}, kernel: kernelLimits(1, 0),
	},
	{
		number: 10, name: "multiple subflows", paths: 3,
		serves: counts{"MPJoinSynRx": 2, "MPJoinAckRx": 2}, kernel: kernelLimits(2, 0),
	},
	{
		number: 11, name: "multiple subflows, limited by server", paths: 3, resets: true,
		serves: counts{"MPJoinSynRx": 2, "MPJoinAckRx": 1, "MPJoinRejected": 1}, kernel: kernelLimits(1, 0),
		ours: counts{"MPRstRx": 1}, lone: []string{"MPRstRx"},
	},
	{
		// The kernel does not count a reset that takes the place of the fourth packet, and
		// resets the subflow itself; it depends on which of the two joins comes when.
		number: 12, name: "multiple subflows, limited by server, turned", resets: true, paths: 3,
		dials: counts{"MPJoinSynTx": 2, "MPJoinSynAckRx": some}, host: maxSubflows(2), kernel: kernelJoins(2),
		ours: counts{"MPJoinRejected": 1, "MPJoinAckRx": 1, "MPRstTx": 1}, lone: []string{"MPRstTx", "MPRstRx"},
		run: midway(func(s *scene, c *mptcp.Conn) error {
			if !assertEventually(func() bool { return s.ours()["MPJoinRejected"] == 1 && established(c) == 2 }, moment) {
				return fmt.Errorf("%d subflows: %+v", established(c), c.Info())
			}
			return nil
		}),
	},
	{
		number: 13, name: "single subflow, kernel joins", paths: 2,
		dials: counts{"MPJoinSynTx": 1, "MPJoinSynAckRx": 1}, kernel: kernelJoins(1),
	},
	{
		number: 13, name: "multiple subflows, kernel joins", paths: 3,
		dials: counts{"MPJoinSynTx": 2, "MPJoinSynAckRx": 2}, kernel: kernelJoins(2),
	},
	{
		number: 14, name: "multi subflows, with failing subflow", paths: 3, families: []Family{IPv4},
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1}, lone: []string{"MPJoinSynTx"},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 2, 0)
			l.reject(t, 2)
		},
	},
	{
		number: 15, name: "multi subflows, with subflow timeout", paths: 3,
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1}, lone: []string{"MPJoinSynTx"},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 2, 0)
			l.CutPath(2)
		},
	},
	{
		number: 16, name: "multi subflows, fair usage on close", paths: 3, families: []Family{IPv4}, host: noManager,
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1}, lone: []string{"MPJoinSynTx"},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 1, 0)
			l.reject(t, 2)
		},
		run: midway(func(s *scene, c *mptcp.Conn) error {
			if err := s.join(c, 2, 0, false); !errors.Is(err, syscall.ECONNREFUSED) {
				return fmt.Errorf("the rejected subflow: %w", err)
			}
			return s.join(c, 1, 0, false)
		}),
	},
	{
		number: 17, name: "unused signal address", paths: 2, host: announces(1), kernel: kernelLimits(1, 0),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynTx": 0},
	},
	{
		number: 18, name: "unused signal address, turned", paths: 2,
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 0}, host: limited(1), kernel: kernelSignals(1, 1),
	},
	{
		number: 19, name: "signal address", paths: 2,
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1}, host: joins(0), kernel: kernelSignals(1, 1),
	},
	{
		number: 20, name: "signal address, turned", paths: 2, host: announces(1), kernel: kernelLimits(1, 1),
		dials: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynTx": 1, "MPJoinSynAckRx": 1},
	},
	{
		number: 21, name: "subflow and signal", paths: 3,
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 2, "MPJoinAckRx": 2}, host: joins(1), kernel: kernelSignals(2, 1),
	},
	{
		number: 22, name: "subflow and signal together", paths: 2, host: newJoiner(1, 1), kernel: kernelLimits(1, 0),
		serves: counts{"AddAddr": 1, "EchoAddTx": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1},
	},
	{
		number: 23, name: "multiple subflows and signal", paths: 4, host: joins(2), kernel: kernelSignals(3, 1),
		serves: counts{"AddAddrTx": 1, "EchoAdd": 1, "MPJoinSynRx": 3, "MPJoinAckRx": 3},
	},
	{
		number: 24, name: "signal addresses", paths: 4,
		serves: counts{"AddAddrTx": 3, "EchoAdd": 3, "MPJoinSynRx": 3, "MPJoinAckRx": 3}, host: joins(0), kernel: kernelSignals(3, 3),
	},
	{
		number: 25, name: "signal addresses, turned", paths: 4, host: announces(3), kernel: kernelLimits(3, 3),
		dials: counts{"AddAddr": 3, "EchoAddTx": 3, "MPJoinSynTx": 3, "MPJoinSynAckRx": 3},
	},
	{
		number: 26, name: "signal invalid addresses", paths: 2,
		serves: counts{"AddAddrTx": 3, "EchoAdd": 3, "MPJoinSynRx": 1, "MPJoinAckRx": 1}, host: joins(0),
		lone: []string{"MPJoinSynTx"},
		kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 3, 3)
			l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v signal", nowhere(l.Family, 1)))
			l.endpoint(t, 1, "signal")
			l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v signal", nowhere(l.Family, 2)))
		},
	},
	{
		number: 27, name: "signal addresses race test", paths: 4, host: announces(3),
		// The kernel announces no more once it has all the subflows that it may have.
		dials: counts{"AddAddrTx": some, "EchoAdd": some, "AddAddr": 3, "EchoAddTx": 3, "MPJoinSynTx": 3, "MPJoinSynAckRx": 3},
		kernel: func(t testing.TB, l *Lab) {
			kernelSignals(3, 3)(t, l)
			l.limits(t, 3, 3)
		},
	},
	{
		number: 29, name: "signal address, ADD_ADDR timeout", paths: 2, idle: true, host: announces(1), kernel: kernelLimits(1, 1),
		dials:  counts{"AddAddr": 4, "EchoAddTx": 4, "MPJoinSynTx": 1, "MPJoinSynAckRx": 1},
		meddle: stripEchoes, lone: []string{"EchoAdd"},
	},
	{
		number: 30, name: "signal address, ADD_ADDR timeout, turned", paths: 2, idle: true, host: joins(0), kernel: kernelRepeats(kernelSignals(1, 1)),
		serves: counts{"AddAddrTx": 4, "EchoAdd": 0, "MPJoinSynRx": 1, "MPJoinAckRx": 1},
		meddle: stripEchoes, lone: []string{"EchoAddTx"},
	},
	{
		number: 31, name: "invalid address, ADD_ADDR timeout", paths: 2, idle: true, host: joins(0), lone: []string{"EchoAddTx", "MPJoinSynTx"},
		serves: counts{"AddAddrTx": 8, "EchoAdd": 0, "MPJoinSynRx": 1, "MPJoinAckRx": 1},
		meddle: stripEchoes,
		kernel: kernelRepeats(func(t testing.TB, l *Lab) {
			l.limits(t, 2, 0)
			l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v signal", nowhere(l.Family, 1)))
			l.endpoint(t, 1, "signal")
		}),
	},
	{
		number: 69, name: "single subflow with syn cookies", paths: 2, kernel: cookies(1),
		serves: counts{"MPCapableSYNRX": 1, "MPCapableACKRX": 1, "MPJoinSynRx": 1, "MPJoinAckRx": 1},
	},
	{
		number: 69, name: "multiple subflows with syn cookies", paths: 3, kernel: cookies(2),
		serves: counts{"MPCapableSYNRX": 1, "MPCapableACKRX": 1, "MPJoinSynRx": 2, "MPJoinAckRx": 2},
	},
	{
		number: 70, name: "subflows limited by server w cookies", paths: 3, resets: true, kernel: cookies(1),
		serves: counts{"MPCapableSYNRX": 1, "MPCapableACKRX": 1, "MPJoinSynRx": 2, "MPJoinAckRx": 1, "MPJoinRejected": 1},
		ours:   counts{"MPRstRx": 1}, lone: []string{"MPRstRx"},
	},
	{
		number: 71, name: "deny join id0, server", paths: 2, kernel: denies(false),
		serves: counts{"MPJoinSynRx": 0, "MPJoinAckRx": 0},
	},
	{
		number: 71, name: "deny join id0, server, with a signal address", paths: 2, host: joins(0), kernel: denies(true),
		serves: counts{"MPJoinSynRx": 1, "MPJoinAckRx": 1, "AddAddrTx": 1, "EchoAdd": 1},
	},
	{
		number: 72, name: "deny join id0, client", paths: 2, host: deniesAnd(0),
		dials: counts{"MPJoinSynTx": 0}, kernel: func(t testing.TB, l *Lab) {
			l.limits(t, 1, 1)
			l.endpoint(t, 1, "subflow")
		},
	},
	{
		number: 72, name: "deny join id0, client, with a signal address", paths: 2, host: deniesAnd(1), kernel: kernelLimits(1, 1),
		dials: counts{"MPJoinSynTx": 1, "MPJoinSynAckRx": 1, "AddAddr": 1, "EchoAddTx": 1},
	},
}

// limited gives the library's path manager a limit, the initial subflow included.
func limited(n int) func(Role, *mptcp.Config) {
	return func(_ Role, cfg *mptcp.Config) { cfg.PathManager = pathmgr.DefaultWithLimit(n) }
}

// maxSubflows limits what the library takes, the initial subflow included.
func maxSubflows(n int) func(Role, *mptcp.Config) {
	return func(_ Role, cfg *mptcp.Config) { cfg.MaxSubflows = n }
}

// kernelJoins has the kernel take n subflows, or open them as the client, from its other
// paths' addresses.
func kernelJoins(n int) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		l.limits(t, n, 0)
		for i := range n {
			if l.Role == Server {
				l.endpoint(t, i+1, "subflow")
			}
		}
	}
}

// kernelSignals has the kernel announce the addresses of n other paths, and take a number of
// subflows.
func kernelSignals(subflows, n int) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		l.limits(t, subflows, 0)
		for i := range n {
			l.endpoint(t, i+1, "signal")
		}
	}
}

// cookies has the kernel answer all SYNs with cookies, and take a number of subflows.
func cookies(subflows int) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		l.limits(t, subflows, 0)
		l.Peer.Sysctl(t, "net/ipv4/tcp_syncookies", "2")
	}
}

// denies has the kernel set flag C, and perhaps announce another address.
func denies(signals bool) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		l.Peer.Sysctl(t, "net/mptcp/allow_join_initial_addr_port", "0")
		if l.limits(t, 1, 1); signals {
			l.endpoint(t, 1, "signal")
		}
	}
}

// deniesAnd has the library set flag C, and announce n other addresses.
func deniesAnd(n int) func(Role, *mptcp.Config) {
	return func(role Role, cfg *mptcp.Config) {
		cfg.DenyJoinInitial = true
		announces(n)(role, cfg)
	}
}

// noManager has the library do nothing about paths by itself.
func noManager(_ Role, cfg *mptcp.Config) { cfg.PathManager = pathmgr.None }

// kernelRepeats has the kernel announce an address again after a second without echo.
func kernelRepeats(then func(testing.TB, *Lab)) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) {
		l.Peer.Sysctl(t, "net/mptcp/add_addr_timeout", "1")
		then(t, l)
	}
}

// stripEchoes removes the echoes of ADD_ADDR.
func stripEchoes(Role) Meddler {
	return func(_ Way, t packet.TCP, _ []byte) bool {
		for _, o := range mptcpOptions(t) {
			if subtype(o) == byte(option.SubtypeAddAddr) && o[2]&1 != 0 {
				blank(o)
			}
		}
		return true
	}
}

// nowhere is an address that no device has.
func nowhere(f Family, i int) string {
	if f.bits == 64 {
		return fmt.Sprintf("fd00:99::%d", i)
	}
	return fmt.Sprintf("10.99.0.%d", i)
}

// reject has the kernel answer what comes from the library's end of path i with RST.
func (l *Lab) reject(t testing.TB, i int) { l.filter(t, fmt.Sprintf("saddr %v", l.Family.Library[i])) }

// rejectTo is reject for what is for the kernel's end of path j.
func (l *Lab) rejectTo(t testing.TB, i, j int) {
	l.filter(t, fmt.Sprintf("saddr %v %s daddr %v", l.Family.Library[i], l.Family.nft(), l.Family.Kernel[j]))
}

// filter rejects the SYNs with certain addresses.
func (l *Lab) filter(t testing.TB, addrs string) {
	l.Peer.run(t, fmt.Sprintf(`
		nft add table inet f
		nft add chain inet f i '{ type filter hook input priority 0; }'
		nft add rule inet f i %s %s tcp flags syn reject with tcp reset`, l.Family.nft(), addrs))
}

// joiner is a path manager that does as the kernel's: as the client it joins from a number of
// other local addresses to the initial one, and from one local address to each announced
// one; as the server it announces some of its other addresses.
type joiner struct {
	own, announce int
	locals        []netip.Addr             // of the connection's family, the initial one first
	joined        map[uint8]netip.AddrPort // announced addresses by ID
	server        bool
}

func newJoiner(own, announce int) func(Role, *mptcp.Config) {
	return func(_ Role, cfg *mptcp.Config) {
		cfg.PathManager = func() pathmgr.Manager { return &joiner{own: own, announce: announce} }
	}
}

// joins has the library join from n other addresses, and to all that are announced.
func joins(n int) func(Role, *mptcp.Config) { return newJoiner(n, 0) }

// announces has the library announce n other addresses.
func announces(n int) func(Role, *mptcp.Config) { return newJoiner(0, n) }

// Name implements pathmgr.Manager.
func (j *joiner) Name() string { return "joiner" }

// Handle implements pathmgr.Manager.
func (j *joiner) Handle(_ time.Time, ev pathmgr.Event) (list []pathmgr.Action) {
	switch e := ev.(type) {
	case pathmgr.Established:
		j.server = e.Role == pathmgr.Server
		j.joined = map[uint8]netip.AddrPort{}
		for _, a := range e.Locals {
			if a.Is4() == e.Local.Addr().Unmap().Is4() {
				j.locals = append(j.locals, a)
			}
		}
		for i := range j.announce {
			list = append(list, pathmgr.Announce{Addr: netip.AddrPortFrom(j.locals[i+1], 0)})
		}
		for i := range j.own {
			if j.server {
				break
			}
			list = append(list, pathmgr.Open{Local: j.locals[len(j.locals)-1-i], Remote: e.Remote})
		}
	case pathmgr.RemoteAddrUp:
		if j.server || e.Addr.Addr().Is4() != j.locals[0].Is4() || j.joined[e.AddrID] == e.Addr {
			return nil
		}
		j.joined[e.AddrID] = e.Addr
		list = append(list, pathmgr.Open{Local: j.toward(e.Addr.Addr()), Remote: e.Addr})
	case pathmgr.RemoteAddrDown:
		delete(j.joined, e.AddrID)
	}
	return list
}

// toward is the local address on the path of a remote one, or else the initial one.
func (j *joiner) toward(remote netip.Addr) netip.Addr {
	f := IPv4
	if remote.Is6() {
		f = IPv6
	}
	for _, a := range j.locals {
		if prefix(f, a).Masked().Contains(remote) {
			return a
		}
	}
	return j.locals[0]
}
