package netstack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/gomptcp/gomptcp/internal/clock"
)

// DefaultReceiveBuffer is Config.ReceiveBuffer when that is zero: 8 MiB.
const DefaultReceiveBuffer = 8 << 20

// maxReceiveBuffer keeps twice the size, and what is in flight beyond it, within
// gVisor's 32-bit accounting.
const maxReceiveBuffer = 256 << 20

// Config configures a Stack. Only Hook is needed.
type Config struct {
	// Hook sees the TCP segments.
	Hook Hook
	// Clock drives the timers of the stack. Default: clock.Real.
	Clock clock.Clock
	// Rand is the source of all that the stack chooses at random: sequence numbers,
	// ports, timestamps. It is read under a lock. Default: crypto/rand.
	Rand io.Reader
	// ReceiveBuffer is the window in bytes that an endpoint accepts beyond what has been
	// read from it. It has to exceed the window that the peer is told. gVisor's buffer is
	// twice that, since it counts its own overhead. Default: DefaultReceiveBuffer; at
	// most 256 MiB.
	ReceiveBuffer int
	// TimeWait is how long an endpoint stays in TIME_WAIT. Default: 60 s.
	TimeWait time.Duration
	// AcceptUnclaimed is asked about a SYN for an address and port without listener, on
	// the link's reader goroutine. If it returns true the stack completes the handshake
	// and calls Accepted; else it answers with a RST. Default: always false.
	AcceptUnclaimed func(local, remote netip.AddrPort) bool
	// Accepted gets the established endpoint of such a SYN and owns it from then on. It
	// is called in a goroutine of its own; Close waits for it. Needed with
	// AcceptUnclaimed.
	Accepted func(*Endpoint)
	// MaxUnclaimed bounds such handshakes that are in progress, each of which has a goroutine;
	// SYNs beyond it stay unanswered. Default: 1024.
	MaxUnclaimed int
}

// Stack is a TCP/IP stack. Its methods may be called concurrently.
type Stack struct {
	cfg Config
	gv  *stack.Stack

	unclaimed sync.WaitGroup // the goroutines of the forwarder

	mu      sync.RWMutex // guards what follows
	closed  bool
	lastNIC tcpip.NICID
	links   map[string]*Link     // by name
	owners  map[netip.Addr]*Link // by address

	pauseMu  sync.Mutex // guards what follows; held while gVisor pauses or resumes
	paused   bool
	unpaused bool // Close has begun: no pause any more
}

// New returns a stack without links.
func New(cfg *Config) (*Stack, error) {
	c := *cfg
	switch {
	case c.Hook == nil:
		return nil, errors.New("netstack: Config.Hook is nil")
	case c.AcceptUnclaimed != nil && c.Accepted == nil:
		return nil, errors.New("netstack: Config.AcceptUnclaimed needs Config.Accepted")
	case c.ReceiveBuffer < 0 || c.ReceiveBuffer > maxReceiveBuffer:
		return nil, errors.New("netstack: Config.ReceiveBuffer out of range (0 to 256 MiB)")
	}
	if c.ReceiveBuffer == 0 {
		c.ReceiveBuffer = DefaultReceiveBuffer
	}
	if c.MaxUnclaimed == 0 {
		c.MaxUnclaimed = 1024
	}
	opts := stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocolWithOptions(ipv6.Options{})},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	}
	if c.Clock != nil {
		opts.Clock = newClock(c.Clock)
	}
	if c.Rand != nil {
		if err := seed(&opts, c.Rand); err != nil {
			return nil, err
		}
	}
	s := &Stack{
		cfg:    c,
		gv:     stack.New(opts),
		links:  make(map[string]*Link),
		owners: make(map[netip.Addr]*Link),
	}
	if err := s.configureTCP(); err != nil {
		s.gv.Destroy()
		return nil, err
	}
	if c.AcceptUnclaimed != nil {
		s.forwardUnclaimed()
	}
	return s, nil
}

// receiveBuffer is the size of gVisor's receive buffers: of the free space it
// advertises, and accepts, one half.
func (s *Stack) receiveBuffer() int { return 2 * s.cfg.ReceiveBuffer }

// configureTCP sets the options of the TCP protocol. Delay (Nagle) is off by default,
// keepalive and user timeout are too; SYNs are sent 7 times, beginning 1 s apart.
func (s *Stack) configureTCP() error {
	size := s.receiveBuffer()
	buffers := tcpip.TCPReceiveBufferSizeRangeOption{Min: 1, Default: size, Max: size}
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	sack := tcpip.TCPSACKEnabled(true)
	options := []tcpip.SettableTransportProtocolOption{&buffers, &moderate, &sack}
	if s.cfg.TimeWait > 0 {
		wait := tcpip.TCPTimeWaitTimeoutOption(s.cfg.TimeWait)
		options = append(options, &wait)
	}
	for _, o := range options {
		if err := s.gv.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return translate(err)
		}
	}
	return nil
}

// Close resets all connections, closes the listeners, removes the links with their
// devices, and waits for every goroutine of the stack. It must not be called from a
// Hook or from Config.Accepted.
func (s *Stack) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	var links []*Link
	for _, l := range s.links {
		links = append(links, l)
	}
	s.mu.Unlock()

	s.abortEndpoints() // while their RSTs can still leave
	for _, l := range links {
		l.remove()
		_ = l.closeDevice() // the device is given up whatever it says
		<-l.done
	}
	s.abortEndpoints() // what came in meanwhile
	s.unclaimed.Wait()
	s.endPauses()
	s.gv.Close()
	s.gv.Wait()
}

func (s *Stack) abortEndpoints() {
	for _, e := range s.gv.RegisteredEndpoints() {
		e.Abort()
	}
}

// LinkFor returns the link that owns the address, or nil.
func (s *Stack) LinkFor(local netip.Addr) *Link {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.owners[local.Unmap()]
}

// checkOpen returns net.ErrClosed after Close.
func (s *Stack) checkOpen() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return net.ErrClosed
	}
	return nil
}

// Pause waits until the stack has processed the segments that it was given and parks
// its goroutines on channels, so that a simulator may move a virtual clock. It does
// nothing when the stack is paused already, or closed.
func (s *Stack) Pause() {
	s.pauseMu.Lock()
	defer s.pauseMu.Unlock()
	if !s.paused && !s.unpaused {
		s.gv.Pause()
		s.paused = true
	}
}

// Resume ends Pause. Without Pause it does nothing.
func (s *Stack) Resume() {
	s.pauseMu.Lock()
	defer s.pauseMu.Unlock()
	s.resume()
}

func (s *Stack) resume() {
	if s.paused {
		s.gv.Resume()
		s.paused = false
	}
}

// endPauses lets the stack's goroutines run to their end.
func (s *Stack) endPauses() {
	s.pauseMu.Lock()
	defer s.pauseMu.Unlock()
	s.unpaused = true
	s.resume()
}

// SegmentsReceived is the number of valid segments that endpoints were given: a
// simulator pauses again as long as it moves.
func (s *Stack) SegmentsReceived() uint64 {
	return s.gv.Stats().TCP.ValidSegmentsReceived.Value()
}
