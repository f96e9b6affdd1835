package netstack

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// namedPipe is a pipe whose near end has a name.
func namedPipe(name string) (near, far *tun.PipeEnd) {
	return tun.Pipe(tun.PipeConfig{Names: [2]string{name, name + "-far"}})
}

func TestAddLinkRefuses(t *testing.T) {
	s := newStack(t, Config{})
	first, _ := namedPipe("first")
	addLink(t, s, first, "192.0.2.1/24", "2001:db8::1/64")
	for name, c := range map[string]struct {
		device   string
		mtu      int
		prefixes []string
		want     string
	}{
		"name taken":      {"first", 1500, []string{"192.0.2.9/24"}, `"first" is attached`},
		"address taken":   {"second", 1500, []string{"192.0.2.9/24", "2001:db8::1/48"}, "belongs to device \"first\""},
		"address twice":   {"second", 1500, []string{"192.0.2.9/24", "192.0.2.9/25"}, "twice"},
		"no address":      {"second", 1500, nil, "no address"},
		"loopback":        {"second", 1500, []string{"127.0.0.1/8"}, "cannot belong"},
		"multicast":       {"second", 1500, []string{"ff02::1/64"}, "cannot belong"},
		"unspecified":     {"second", 1500, []string{"0.0.0.0/0"}, "cannot belong"},
		"mapped":          {"second", 1500, []string{"::ffff:192.0.2.9/120"}, "IPv4 as IPv4"},
		"MTU too small":   {"second", 500, []string{"192.0.2.9/24"}, "MTU"},
		"MTU low for v6":  {"second", 1279, []string{"192.0.2.9/24", "2001:db8::9/64"}, "1280"},
		"MTU too large":   {"second", 70000, []string{"192.0.2.9/24"}, "MTU"},
		"MTU low, v4 too": {"second", 575, []string{"192.0.2.9/24"}, "576"},
	} {
		t.Run(name, func(t *testing.T) {
			dev, far := tun.Pipe(tun.PipeConfig{Names: [2]string{c.device, "far"}, MTU: c.mtu})
			var addrs []netip.Prefix
			for _, p := range c.prefixes {
				addrs = append(addrs, netip.MustParsePrefix(p))
			}
			_, err := s.AddLink(dev, addrs)
			require.ErrorContains(t, err, c.want)
			require.NoError(t, dev.Write(nil), "the device is the caller's still")
			_, _ = dev.Close(), far.Close()
		})
	}
	_, err := s.AddLink(first, []netip.Prefix{{}})
	require.ErrorContains(t, err, "invalid")

	again, _ := namedPipe("third")
	l := addLink(t, s, again, "192.0.2.9/24")
	require.Same(t, l, s.LinkFor(netip.MustParseAddr("192.0.2.9")))
	require.Same(t, l, s.LinkFor(netip.MustParseAddr("::ffff:192.0.2.9")))
	require.Nil(t, s.LinkFor(netip.MustParseAddr("192.0.2.77")))
	require.Equal(t, "third", l.Name())
	require.Equal(t, 1500, l.MTU())
	require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.9")}, l.Addrs())
	require.Equal(t, again.Features(), l.Features())

	s.Close()
	late, _ := namedPipe("late")
	_, err = s.AddLink(late, []netip.Prefix{netip.MustParsePrefix("192.0.2.50/24")})
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestNewRefuses(t *testing.T) {
	for want, cfg := range map[string]*Config{
		"Hook":          {},
		"Accepted":      {Hook: newHook(), AcceptUnclaimed: func(_, _ netip.AddrPort) bool { return true }},
		"ReceiveBuffer": {Hook: newHook(), ReceiveBuffer: -1},
		"Rand":          {Hook: newHook(), Rand: emptyReader{}},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, net.ErrClosed }

func TestPacketsLeaveThroughTheLinkOfTheirAddress(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		s := newStack(t, Config{})
		var peers [3]*peer
		var addrs [3]netip.Addr
		for i, p := range map[string][]string{
			"v4": {"192.0.2.1/24", "192.0.2.11/24", "198.51.100.1/32"},
			"v6": {"2001:db8::1/64", "2001:db8::11/64", "2001:db8:9::1/128"},
		}[fam.name] {
			near, far := namedPipe(string(rune('a' + i)))
			addLink(t, s, near, p)
			peers[i] = newPeer(t, far)
			addrs[i] = netip.MustParsePrefix(p).Addr()
		}
		for i, p := range peers {
			e, err := s.NewEndpoint(netip.AddrPortFrom(addrs[i], 0), fam.port(1, 80))
			require.NoError(t, err)
			w := watch(t, e)
			require.NoError(t, e.Connect(fam.port(1, 80)))
			p.answerSYN()
			require.Equal(t, addrs[i], p.remote.Addr())
			w.want(Connected)
		}
		for i, p := range peers {
			require.Empty(t, p.arrived, "nothing of others leaves through link %d", i)
		}
	})
}

func TestNothingLeavesUnasked(t *testing.T) {
	near, far := namedPipe("a")
	s := newStack(t, Config{})
	l := addLink(t, s, near, "192.0.2.1/24", "2001:db8::1/64", "fe80::1/64")
	p := newPeer(t, far)
	e := p.connected(s, families[0]) // the first packets are those of the handshake
	require.NoError(t, e.Err())
	require.EqualValues(t, 2, l.Stats().OutPackets)
	require.EqualValues(t, 1, l.Stats().InPackets)
}

func TestICMPEchoIsAnswered(t *testing.T) {
	near, far := namedPipe("a")
	hook := newHook()
	hook.incoming = func(*Link, *tun.Packet, packet.TCP) bool { t.Error("ICMP is not shown"); return true }
	s := newStack(t, Config{Hook: hook})
	addLink(t, s, near, "192.0.2.1/24")
	p := newPeer(t, far)
	ping := packet.AppendTCP(nil, &packet.Fields{Src: families[0].port(1, 0), Dst: families[0].port(0, 0)})
	ping[9] = 1                                     // ICMP
	copy(ping[20:], []byte{8, 0, 0, 0, 0, 7, 0, 1}) // echo request
	clear(ping[28:])                                // 12 bytes of data
	binary.BigEndian.PutUint16(ping[10:], 0)        // IPv4 checksum
	binary.BigEndian.PutUint16(ping[10:], ^packet.Fold(packet.Sum(0, ping[:20])))
	binary.BigEndian.PutUint16(ping[22:], ^packet.Fold(packet.Sum(0, ping[20:])))
	p.write(ping)
	reply := p.next("echo reply").bytes
	require.Len(t, reply, len(ping))
	require.Zero(t, reply[20])
	require.EqualValues(t, 0xffff, packet.Fold(packet.Sum(0, reply[20:])))
}

// Whatever would reach the TCP of the stack without the hook is dropped.
func TestWhatTheHookCannotSeeIsDropped(t *testing.T) {
	near, far := tun.Pipe(tun.PipeConfig{NoChecksum: true, NoGSO: true})
	hook := newHook()
	var shown atomic.Int64
	hook.incoming = func(*Link, *tun.Packet, packet.TCP) bool { shown.Add(1); return true }
	s := newStack(t, Config{Hook: hook})
	l := addLink(t, s, near, "192.0.2.1/24", "2001:db8::1/64")
	p := newPeer(t, far)

	syn := func(fam family, change func(b []byte)) {
		p.local, p.remote = fam.port(1, 999), fam.port(0, 80)
		b := p.build(packet.FlagSYN, []byte("0123456789abcdef"))
		change(b)
		if b[0]>>4 == 4 {
			b[10], b[11] = 0, 0
			binary.BigEndian.PutUint16(b[10:], ^packet.Fold(packet.Sum(0, b[:20])))
		}
		p.write(b)
	}
	v4, v6 := families[0], families[1]
	malformed := []struct {
		fam    family
		change func(b []byte)
	}{
		{v4, func(b []byte) { b[6] = 0x20 }},                             // first fragment
		{v4, func(b []byte) { b[7] = 3 }},                                // later fragment
		{v4, func(b []byte) { b[9] = 17 }},                               // UDP
		{v4, func(b []byte) { binary.BigEndian.PutUint16(b[2:], 1400) }}, // longer than it is
		{v6, func(b []byte) { b[6] = 0 }},                                // hop-by-hop options
		{v6, func(b []byte) { b[6] = 44 }},                               // fragment header
		{v6, func(b []byte) { b[6] = 60 }},                               // destination options
		{v6, func(b []byte) { b[0] = 0x50 }},                             // IP version 5
	}
	for _, m := range malformed {
		syn(m.fam, m.change)
	}
	badChecksum := []struct {
		fam    family
		change func(b []byte)
	}{
		{v4, func(b []byte) { b[len(b)-1]++ }},
		{v6, func(b []byte) { b[len(b)-1]++ }},
		{v4, func(b []byte) { b[15]++ }}, // an address
	}
	for _, m := range badChecksum {
		syn(m.fam, m.change)
	}
	p.local, p.remote = v4.port(1, 999), netip.MustParseAddrPort("192.0.2.99:80")
	p.write(p.build(packet.FlagSYN, nil)) // not ours
	p.remote = v4.port(0, 80)
	wrongHeader := p.build(packet.FlagSYN, nil)
	wrongHeader[8]-- // the IPv4 checksum covers the TTL
	p.write(wrongHeader)

	syn(v4, func([]byte) {}) // in order: answered
	require.Equal(t, packet.FlagRST|packet.FlagACK, p.next("RST").Flags())
	require.Empty(t, p.arrived, "nothing else was answered")
	require.EqualValues(t, 1, shown.Load())
	st := l.Stats()
	require.EqualValues(t, len(malformed), st.Malformed)
	require.EqualValues(t, len(badChecksum)+1, st.BadChecksum)
	require.EqualValues(t, 1, st.Misdirected)
}

func TestRemoveLinkWhileTrafficFlows(t *testing.T) {
	fam := families[0]
	near, far := namedPipe("a")
	hook := newHook()
	s := newStack(t, Config{Hook: hook})
	l := addLink(t, s, near, fam.prefixes[0])
	p := newPeer(t, far)
	e := p.connected(s, fam)
	flows, stop, stopped := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			p.send(packet.FlagACK, []byte("data"))
			if i == 100 {
				flows <- struct{}{}
			}
			select {
			case <-p.arrived: // make room
			case <-stop:
				return
			default:
			}
		}
	}()
	take(t, flows, "traffic")
	require.NoError(t, s.RemoveLink(l))
	require.ErrorIs(t, take(t, hook.down, "LinkDown"), tun.ErrClosed)
	close(stop)
	<-stopped
	require.NoError(t, s.RemoveLink(l), "again")
	require.Empty(t, hook.down, "LinkDown came once")
	require.Nil(t, s.LinkFor(fam.addr(0)))
	require.ErrorIs(t, l.Send(&tun.Packet{Head: p.build(packet.FlagACK, nil)}), tun.ErrClosed)
	e.Abort()

	again, _ := namedPipe("a")
	addLink(t, s, again, fam.prefixes[0]) // name and address are free
}

// downHook removes the link from within LinkDown, as a caller may.
type downHook struct {
	*testHook
	s *Stack
}

func (h *downHook) LinkDown(l *Link, err error) {
	if e := h.s.RemoveLink(l); e != nil {
		err = e
	}
	h.testHook.LinkDown(l, err)
}

func TestDeviceFailureTakesTheLinkDown(t *testing.T) {
	near, _ := namedPipe("a")
	hook := &downHook{testHook: newHook()}
	hook.s = newStack(t, Config{Hook: hook})
	addLink(t, hook.s, near, "192.0.2.1/24")
	require.NoError(t, near.Close())
	require.ErrorIs(t, take(t, hook.down, "LinkDown"), tun.ErrClosed)
	require.Nil(t, hook.s.LinkFor(netip.MustParseAddr("192.0.2.1")))
	other := newStack(t, Config{})
	dev, _ := namedPipe("a")
	require.ErrorContains(t, hook.s.RemoveLink(addLink(t, other, dev, "192.0.2.1/24")), "another stack")
}
