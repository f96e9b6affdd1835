package netstack

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// twoStacks returns two stacks joined by a pipe, the first the client's.
func twoStacks(t *testing.T, fam family, client, server Config) (c, s *Stack) {
	a, b := tun.Pipe(tun.PipeConfig{})
	c, s = newStack(t, client), newStack(t, server)
	addLink(t, c, a, fam.prefixes[0])
	addLink(t, s, b, fam.prefixes[1])
	return c, s
}

// dial connects an endpoint of c to port 80 of the other side.
func dial(t *testing.T, c *Stack, fam family) *watched {
	e, err := c.NewEndpoint(fam.port(0, 0), fam.port(1, 80))
	require.NoError(t, err)
	w := watch(t, e)
	require.NoError(t, e.Connect(fam.port(1, 80)))
	return w
}

func TestConnectAcceptAndClose(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		c, s := twoStacks(t, fam, Config{}, Config{})
		l, err := s.Listen(fam.port(1, 80), 1)
		require.NoError(t, err)
		require.Equal(t, fam.port(1, 80), l.Addr())

		client := dial(t, c, fam)
		e, err := l.Accept()
		require.NoError(t, err)
		server := watch(t, e)
		client.want(Connected)
		server.want(Connected) // told though it happened before SetNotify
		require.Equal(t, fam.addr(0), client.LocalAddr().Addr())
		require.NotZero(t, client.LocalAddr().Port())
		require.Equal(t, fam.port(1, 80), client.RemoteAddr())
		require.Equal(t, client.LocalAddr(), server.RemoteAddr())
		require.Equal(t, client.RemoteAddr(), server.LocalAddr())

		_, err = server.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrWouldBlock)
		require.NoError(t, client.CloseWrite())
		server.want(PeerClosed)
		require.ErrorIs(t, server.end(), io.EOF)
		require.False(t, client.has(PeerClosed))
		require.NoError(t, server.CloseWrite())
		client.want(PeerClosed | Closed)
		require.ErrorIs(t, client.end(), io.EOF)
		server.want(Closed)
		require.NoError(t, client.Err())
		require.NoError(t, server.Err())
		client.Close()
		client.Close()
		_, err = client.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestListenOnAllAddressesTakesOneFamily(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		c, s := twoStacks(t, fam, Config{}, Config{})
		for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			l, err := s.Listen(netip.AddrPortFrom(any, 80), 0)
			require.NoError(t, err, "both families can have the port")
			if any.Is4() != fam.addr(1).Is4() {
				continue
			}
			client := dial(t, c, fam)
			e, err := l.Accept()
			require.NoError(t, err)
			require.Equal(t, client.LocalAddr(), e.RemoteAddr())
		}
		_, err := s.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 80), 0)
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	})
}

func TestRefused(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		c, _ := twoStacks(t, fam, Config{}, Config{})
		client := dial(t, c, fam)
		client.want(Failed)
		require.ErrorIs(t, client.Err(), syscall.ECONNREFUSED)
		require.ErrorIs(t, client.Err(), syscall.ECONNREFUSED, "the error stays")
		require.ErrorIs(t, client.end(), syscall.ECONNREFUSED)
		require.False(t, client.has(Connected))
	})
}

func TestAbortResetsThePeer(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		c, s := twoStacks(t, fam, Config{}, Config{})
		l, err := s.Listen(fam.port(1, 80), 1)
		require.NoError(t, err)
		client := dial(t, c, fam)
		e, err := l.Accept()
		require.NoError(t, err)
		server := watch(t, e)

		client.Abort()
		server.want(Failed)
		require.ErrorIs(t, server.end(), syscall.ECONNRESET, "Read tells first")
		require.ErrorIs(t, server.Err(), syscall.ECONNRESET)
		require.ErrorIs(t, client.Err(), net.ErrClosed)
		client.Close()
		server.Abort()
	})
}

func TestUnclaimedSYN(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		accepted := make(chan *Endpoint, 1)
		asked := make(chan [2]netip.AddrPort, 16)
		c, _ := twoStacks(t, fam, Config{}, Config{
			AcceptUnclaimed: func(local, remote netip.AddrPort) bool {
				asked <- [2]netip.AddrPort{local, remote}
				return local.Port() == 80
			},
			Accepted: func(e *Endpoint) { accepted <- e },
		})
		client := dial(t, c, fam)
		e := take(t, accepted, "the endpoint of the SYN")
		client.want(Connected)
		require.Equal(t, [2]netip.AddrPort{client.RemoteAddr(), client.LocalAddr()}, take(t, asked, "question"))
		require.Equal(t, client.RemoteAddr(), e.LocalAddr())
		require.Equal(t, client.LocalAddr(), e.RemoteAddr())
		require.NoError(t, client.CloseWrite())
		watch(t, e).want(Connected | PeerClosed)

		e, err := c.NewEndpoint(fam.port(0, 0), netip.AddrPort{})
		require.NoError(t, err)
		refused := watch(t, e)
		require.NoError(t, e.Connect(fam.port(1, 81)))
		refused.want(Failed)
		require.ErrorIs(t, refused.Err(), syscall.ECONNREFUSED)
		require.EqualValues(t, 81, take(t, asked, "question")[0].Port())
		require.Empty(t, asked, "only SYNs are asked about")
	})
}

func TestOnlySYNsAreAskedAbout(t *testing.T) {
	fam := families[0]
	a, b := tun.Pipe(tun.PipeConfig{})
	s := newStack(t, Config{
		AcceptUnclaimed: func(_, _ netip.AddrPort) bool { t.Error("asked"); return true },
		Accepted:        func(*Endpoint) {},
	})
	addLink(t, s, b, fam.prefixes[1])
	p := newPeer(t, a)
	p.local, p.remote = fam.port(0, 1234), fam.port(1, 80)
	for _, flags := range []uint8{packet.FlagACK, packet.FlagSYN | packet.FlagACK, packet.FlagSYN | packet.FlagFIN, 0} {
		p.send(flags, nil)
		require.Equal(t, packet.FlagRST, p.next("RST").Flags()&packet.FlagRST)
	}
	p.send(packet.FlagSYN|packet.FlagRST, nil)
	p.send(packet.FlagACK, nil)
	p.next("RST to the ACK")
	require.Empty(t, p.arrived)
}

func TestCloseWhileAnUnclaimedHandshakeIsInProgress(t *testing.T) {
	fam := families[0]
	a, b := tun.Pipe(tun.PipeConfig{})
	hook := newHook()
	s := newStack(t, Config{
		Hook:            hook,
		AcceptUnclaimed: func(_, _ netip.AddrPort) bool { return true },
		Accepted:        func(*Endpoint) { t.Error("the handshake was never completed") },
	})
	addLink(t, s, b, fam.prefixes[1])
	p := newPeer(t, a)
	p.local, p.remote = fam.port(0, 1234), fam.port(1, 80)
	p.send(packet.FlagSYN, nil)
	require.Equal(t, packet.FlagSYN|packet.FlagACK, p.next("SYN/ACK").Flags())
	s.Close() // returns: the goroutine that waits for the third ACK has ended
	require.ErrorIs(t, take(t, hook.down, "LinkDown"), tun.ErrClosed)
}

func TestListenerClose(t *testing.T) {
	fam := families[0]
	c, s := twoStacks(t, fam, Config{}, Config{})
	l, err := s.Listen(fam.port(1, 80), 4)
	require.NoError(t, err)

	client := dial(t, c, fam)
	client.want(Connected)
	accepted, err := l.Accept()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	l.Close()
	l.Close()
	require.ErrorIs(t, take(t, ended, "the end of Accept"), net.ErrClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, accepted.Err(), "what was accepted lives on")
	require.NoError(t, client.Err())

	l, err = s.Listen(fam.port(1, 80), 4)
	require.NoError(t, err, "the port is free again")
	unaccepted := dial(t, c, fam)
	unaccepted.want(Connected)
	l.Close()
	unaccepted.want(Failed)
	require.ErrorIs(t, unaccepted.Err(), syscall.ECONNRESET)
}

func TestReadFromScriptedPeer(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		a, b := tun.Pipe(tun.PipeConfig{})
		s := newStack(t, Config{})
		addLink(t, s, a, fam.prefixes[0])
		p := newPeer(t, b)
		e := p.connected(s, fam)

		p.send(packet.FlagACK, []byte("hello"))
		require.Equal(t, []byte("hello"), e.read(5))
		require.Equal(t, p.seq, p.next("ACK").Ack())

		// A super-segment large enough to be handed over without a copy, read in parts.
		large := bytes.Repeat([]byte("0123456789abcdef"), 2560)
		q := tun.Packet{Head: p.build(packet.FlagACK, large), GSOSize: 1400}
		packet.SetChecksumPartial(q.Head)
		q.Checksum = tun.ChecksumPartial
		require.NoError(t, b.Write([]tun.Packet{q}))
		p.seq += uint32(len(large))
		require.Equal(t, large[:100], e.read(100))
		require.Equal(t, large[100:], e.read(len(large)-100))

		// Out of order.
		first := p.build(packet.FlagACK, []byte("first "))
		p.seq += 6
		second := p.build(packet.FlagACK, []byte("second"))
		p.seq += 6
		p.write(second)
		p.write(first)
		require.Equal(t, []byte("first second"), e.read(12))

		p.send(packet.FlagACK|packet.FlagFIN, []byte("bye"))
		require.Equal(t, []byte("bye"), e.read(3))
		require.ErrorIs(t, e.end(), io.EOF)

		p.seq -= 4 // repeated: nothing new
		p.send(packet.FlagACK|packet.FlagFIN, []byte("bye"))
		p.send(packet.FlagRST|packet.FlagACK, nil)
		e.want(Closed)
		require.ErrorIs(t, e.Err(), syscall.ECONNRESET)
		require.ErrorIs(t, e.Err(), syscall.ECONNRESET, "the error stays")
		require.ErrorIs(t, e.end(), io.EOF, "the stream had ended")
	})
}

func TestUnreadDataIsReadAfterAReset(t *testing.T) {
	fam := families[0]
	a, b := tun.Pipe(tun.PipeConfig{})
	s := newStack(t, Config{})
	addLink(t, s, a, fam.prefixes[0])
	p := newPeer(t, b)
	e := p.connected(s, fam)
	p.send(packet.FlagACK, []byte("last words"))
	p.send(packet.FlagRST|packet.FlagACK, nil)
	e.want(Failed)
	require.Equal(t, []byte("last words"), e.read(10))
	require.ErrorIs(t, e.end(), syscall.ECONNRESET)
}

func TestReceiveBufferIsTheWindowAccepted(t *testing.T) {
	fam := families[0]
	a, b := tun.Pipe(tun.PipeConfig{})
	const window = 40000
	s := newStack(t, Config{ReceiveBuffer: window})
	addLink(t, s, a, fam.prefixes[0])
	p := newPeer(t, b)
	e := p.connected(s, fam)
	data := bytes.Repeat([]byte("x"), window/40)
	for range 40 {
		p.send(packet.FlagACK, data)
	}
	for p.next("ACK").Ack() != p.seq {
	}
	p.send(packet.FlagACK, data) // beyond the window
	require.Len(t, e.read(window), window)
	require.NotEqual(t, p.seq, p.next("window update").Ack())
}

func TestEndpointArguments(t *testing.T) {
	v4, v6 := families[0], families[1]
	a, _ := tun.Pipe(tun.PipeConfig{})
	s := newStack(t, Config{})
	addLink(t, s, a, v4.prefixes[0], v6.prefixes[0])

	_, err := s.NewEndpoint(v4.port(1, 0), v4.port(1, 80))
	require.ErrorIs(t, err, syscall.EADDRNOTAVAIL, "no address of ours")
	_, err = s.NewEndpoint(v4.port(0, 0), v6.port(1, 80))
	require.ErrorContains(t, err, "family")
	_, err = s.NewEndpoint(v4.port(0, 0), v4.port(1, 0))
	require.ErrorContains(t, err, "cannot connect")
	_, err = s.Listen(v4.port(1, 80), 0)
	require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
	_, err = s.Listen(v4.port(0, 80), -1)
	require.ErrorContains(t, err, "backlog")

	e, err := s.NewEndpoint(v4.port(0, 5000), v4.port(1, 80))
	require.NoError(t, err)
	require.Equal(t, v4.port(0, 5000), e.LocalAddr())
	_, err = s.NewEndpoint(v4.port(0, 5000), v4.port(1, 80))
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, e.Connect(v4.port(1, 81)), "was made for")
	e.Close()
	e, err = s.NewEndpoint(v4.port(0, 5000), netip.AddrPort{})
	require.NoError(t, err, "closing frees the port")
	require.ErrorContains(t, e.Connect(v6.port(1, 81)), "family")
	e.Close()

	s.Close()
	_, err = s.NewEndpoint(v4.port(0, 0), v4.port(1, 80))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = s.Listen(v4.port(0, 80), 0)
	require.ErrorIs(t, err, net.ErrClosed)
}

// An incoming handshake can be given up, without a word; nothing else is touched.
func TestAbortHandshake(t *testing.T) {
	forFamilies(t, func(t *testing.T, fam family) {
		for _, claimed := range []bool{true, false} {
			a, b := tun.Pipe(tun.PipeConfig{})
			hook := newHook()
			s := newStack(t, Config{
				Hook:            hook,
				AcceptUnclaimed: func(_, _ netip.AddrPort) bool { return true },
				Accepted:        func(*Endpoint) {},
			})
			l := addLink(t, s, b, fam.prefixes[1])
			p := newPeer(t, a)
			p.local, p.remote = fam.port(0, 1234), fam.port(1, 80)
			if claimed {
				_, err := s.Listen(p.remote, 4)
				require.NoError(t, err)
			}
			s.AbortHandshake(p.remote, p.local) // there is none yet, but there may be a listener
			p.send(packet.FlagSYN, nil)
			require.Equal(t, packet.FlagSYN|packet.FlagACK, p.next("SYN/ACK").Flags())
			s.AbortHandshake(p.remote, fam.port(0, 1235))
			s.AbortHandshake(p.remote, p.local)
			require.Empty(t, p.arrived)
			p.send(packet.FlagACK, nil)
			require.Equal(t, packet.FlagRST, p.next("RST: it is not known any more").Flags())
			// A new one is possible as soon as a goroutine that waited for the old one has ended.
			for before := l.Stats().OutPackets; l.Stats().OutPackets == before; {
				read := hook.batches.Load()
				for p.send(packet.FlagSYN, nil); hook.batches.Load() == read; {
					runtime.Gosched()
				}
			}
			require.Equal(t, packet.FlagSYN|packet.FlagACK, p.next("a new handshake").Flags())
		}
	})
}
