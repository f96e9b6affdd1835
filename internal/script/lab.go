package script

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

const (
	// Delay is the time that a segment takes from one side to the other.
	Delay = 10 * time.Millisecond
	// Port is where the host listens, and the peer when it is the server.
	Port = 443
	// patience is how long a segment or the result of a call is waited for.
	patience = 10 * time.Second
)

// Options say what a test begins with. The zero value is a host with one path over IPv4, no
// path manager and without checksums.
type Options struct {
	// Config is the host's. A nil PathManager means pathmgr.None here.
	Config mptcp.Config
	// Paths is the number of links between host and peer; 0 means 1.
	Paths int
	// IPv6 is the family of all addresses.
	IPv6 bool
	// Deadline is the virtual time after which the test is stuck; 0 means an hour.
	Deadline time.Duration
	// PeerKey is the peer's key; the zero Key means T-K2 of the requirements.
	PeerKey option.Key
	// HostKey is the key that the host draws for its first connection; the zero Key means by
	// chance.
	HostKey option.Key
	// PeerChecksum: the peer asks for checksums (flag A).
	PeerChecksum bool
}

// Lab is a host, the links to the peer, and the peer's side of one connection.
type Lab struct {
	t     *testing.T
	World *simnet.World
	// Host is what is tested.
	Host *mptcp.Host
	// Links lead from the host (A) to the peer (B).
	Links []*simnet.Link
	// PeerKey and HostKey are the keys of the connection; HostKey is known once it has been seen.
	PeerKey, HostKey option.Key
	// Checksum: the connection uses checksums. The handshake sets it; see Options.
	Checksum bool

	peerChecksum bool
	ipv6         bool
	opened       chan *Peer // by a SYN of the host
	ladder       *ladder
	listener     *mptcp.Listener

	mu        sync.Mutex // guards what follows: packets arrive in other goroutines
	peers     []*Peer
	lastPort  uint16
	lastISN   uint32
	lastNonce byte
}

// Test runs a script in a world of its own. The t that f gets is that of the world: the one
// outside must not be used there.
func Test(t *testing.T, o Options, f func(t *testing.T, l *Lab)) {
	t.Helper()
	if o.Deadline == 0 {
		o.Deadline = time.Hour
	}
	rungs := new(ladder)
	simnet.Test(t, simnet.Config{Seed: 1, Deadline: o.Deadline, Record: rungs.record}, func(t *testing.T, w *simnet.World) {
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("the exchange:\n%v", rungs)
			}
		})
		f(t, newLab(t, w, rungs, o))
	})
}

// Families runs a script over IPv4 and over IPv6, as subtests.
func Families(t *testing.T, o Options, f func(t *testing.T, l *Lab)) {
	t.Helper()
	for _, v6 := range []bool{false, true} {
		o.IPv6 = v6
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(t *testing.T) { Test(t, o, f) })
	}
}

func newLab(t *testing.T, w *simnet.World, rungs *ladder, o Options) *Lab {
	if o.PeerKey.IsZero() {
		o.PeerKey = option.Key{0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18}
	}
	l := &Lab{
		t: t, World: w, PeerKey: o.PeerKey, peerChecksum: o.PeerChecksum, ipv6: o.IPv6,
		lastPort: 50000, lastISN: 0xfff00000, opened: make(chan *Peer, 100), ladder: rungs,
	}
	hostNode, peerNode := w.Host("host"), w.Host("peer")
	cfg := o.Config
	cfg.Environment = hostNode
	if !o.HostKey.IsZero() {
		cfg.Environment = WithKey(hostNode, o.HostKey)
	}
	if cfg.PathManager == nil {
		cfg.PathManager = pathmgr.None
	}
	host, err := mptcp.NewHost(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Host = host
	for i := range max(o.Paths, 1) {
		link := w.Connect(hostNode, peerNode, simnet.Shape{Delay: Delay}, simnet.Shape{Delay: Delay})
		l.Links = append(l.Links, link)
		bits := 24
		if o.IPv6 {
			bits = 64
		}
		if err := host.AddDevice(link.A, netip.PrefixFrom(l.HostAddr(i), bits)); err != nil {
			t.Fatal(err)
		}
		go l.receive(link.B)
	}
	return l
}

// HostAddr and PeerAddr are the addresses of the two ends of a link.
func (l *Lab) HostAddr(path int) netip.Addr { return l.addr(path, 1) }

// PeerAddr is the peer's address on a link; see HostAddr.
func (l *Lab) PeerAddr(path int) netip.Addr { return l.addr(path, 2) }

func (l *Lab) addr(path int, last byte) netip.Addr {
	if l.ipv6 {
		return netip.AddrFrom16([16]byte{0: 0xfd, 5: byte(path + 1), 15: last})
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(path + 1), last})
}

// receive hands what arrives at the peer's end of a link to the Peer that it is for.
func (l *Lab) receive(end *simnet.End) {
	pkts := []tun.Packet{{}}
	buf := make([]byte, tun.MaxPacketSize)
	for {
		pkts[0].Head = buf
		if _, err := end.Read(pkts); err != nil {
			return
		}
		b := append([]byte(nil), pkts[0].Head...)
		if t, ok := packet.ParseTCP(b); ok {
			l.arrived(end, t)
		}
	}
}

func (l *Lab) arrived(end *simnet.End, t packet.TCP) {
	l.mu.Lock()
	var to *Peer
	for _, p := range l.peers {
		if p.local == t.Dst() && p.remote == t.Src() {
			to = p
		}
	}
	fresh := to == nil && Flags(t.Flags()) == SYN
	if fresh {
		to = l.addPeer(end, t.Dst(), t.Src())
	}
	l.mu.Unlock()
	if to == nil {
		return // the ladder shows it
	}
	to.inbox <- t
	if fresh {
		l.opened <- to
	}
}

// addPeer makes a peer. l.mu is held.
func (l *Lab) addPeer(end *simnet.End, local, remote netip.AddrPort) *Peer {
	l.lastISN += 0x1000
	l.lastNonce++
	p := &Peer{
		l: l, end: end, local: local, remote: remote, iss: l.lastISN, Window: 0xffff,
		inbox: make(chan packet.TCP, 10000), nonce: option.Nonce{0xb0, 0xb1, 0xb2, l.lastNonce},
	}
	l.peers = append(l.peers, p)
	return p
}

// Client returns a peer that is to open a TCP connection to the host's port Port over a path.
func (l *Lab) Client(path int) *Peer { return l.ClientTo(path, Port) }

// ClientTo is Client for another port of the host.
func (l *Lab) ClientTo(path int, port uint16) *Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastPort++
	return l.addPeer(l.Links[path].B, netip.AddrPortFrom(l.PeerAddr(path), l.lastPort), netip.AddrPortFrom(l.HostAddr(path), port))
}

// Opened waits for a SYN of the host and returns the peer that has got it.
func (l *Lab) Opened(what string, parts ...Part) *Peer {
	l.t.Helper()
	select {
	case p := <-l.opened:
		p.Want(what, parts...)
		return p
	case <-time.After(patience):
		l.t.Fatalf("%s: the host has opened nothing in %v", what, patience)
		return nil
	}
}

// Pending returns a peer that has got a SYN of the host and that nobody has asked for, or nil.
func (l *Lab) Pending() *Peer {
	select {
	case p := <-l.opened:
		return p
	default:
		return nil
	}
}

// NotOpened asserts that the host sends no SYN for a time.
func (l *Lab) NotOpened(what string, d time.Duration) {
	l.t.Helper()
	select {
	case p := <-l.opened:
		l.t.Fatalf("%s: the host opens %v to %v", what, p.remote, p.local)
	case <-time.After(d):
	}
}

// Dial lets the host dial the peer's address on the first path.
func (l *Lab) Dial() *Call[*mptcp.Conn] {
	return Start(l, "Dial", func() (*mptcp.Conn, error) {
		return l.Host.Dial(context.Background(), "tcp", netip.AddrPortFrom(l.PeerAddr(0), Port).String())
	})
}

// Listen lets the host listen on Port and wait for one connection.
func (l *Lab) Listen() *Call[*mptcp.Conn] {
	l.t.Helper()
	listener, err := l.Host.Listen("tcp", fmt.Sprintf(":%d", Port))
	if err != nil {
		l.t.Fatal(err)
	}
	l.listener = listener
	return Start(l, "Accept", func() (*mptcp.Conn, error) { return listener.AcceptMPTCP() })
}

// CloseListener ends Listen.
func (l *Lab) CloseListener() { _ = l.listener.Close() }

// Sleep lets time pass.
func (l *Lab) Sleep(d time.Duration) { time.Sleep(d) }

// Exchange is the ladder of all that was sent so far.
func (l *Lab) Exchange() string { return l.ladder.String() }

// T is the test.
func (l *Lab) T() *testing.T { return l.t }

// describe joins what parts say.
func describe(parts []Part) string {
	words := make([]string, len(parts))
	for i, p := range parts {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}
