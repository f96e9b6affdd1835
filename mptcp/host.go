package mptcp

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/internal/clock"
	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/netstack"
	"github.com/gomptcp/gomptcp/internal/sendbuf"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
	"github.com/gomptcp/gomptcp/subflow/congestion"
	"github.com/gomptcp/gomptcp/tun"
)

// timeWait is how long a closed subflow's ports stay taken.
const timeWait = 10 * time.Second

// Host is a multihomed host: it has devices, each a path, and connections over them. All
// methods may be called concurrently.
type Host struct {
	cfg   Config
	clock clock.Clock
	rand  io.Reader
	log   *slog.Logger
	stack *netstack.Stack
	leave func()         // unregisters the host from its environment
	spawn func(f func()) // runs f in a goroutine of its own
	mib   mib.Set
	// blocks are what the send buffers consist of.
	blocks sendbuf.Pool

	blackholes blackholes

	mu        sync.RWMutex
	closed    bool
	links     []*netstack.Link // in the order of AddDevice
	batch     map[*netstack.Link]*batch
	flows     map[flowKey]*sub
	tokens    map[option.Token]*Conn
	conns     map[*Conn]struct{}
	acting    map[*Conn]struct{} // those with queued actions, see Conn.act
	made      uint64             // connections ever made
	listeners map[*Listener]struct{}
	ports     map[netip.AddrPort]*Listener // where they listen
	gone      chan struct{}                // closed at the end of Close
	sleep     sleepWatch

	halfOpen      waiting // connections that were answered with SYN/ACK and not accepted
	halfOpenJoins waiting
}

// NewHost returns a host without devices. A nil cfg is the zero Config. It returns an
// error that names the field if one is out of range.
func NewHost(cfg *Config) (*Host, error) {
	h := &Host{
		clock: clock.Real{}, rand: rand.Reader, leave: func() {}, spawn: func(f func()) { go f() },
		batch: map[*netstack.Link]*batch{}, flows: map[flowKey]*sub{}, tokens: map[option.Token]*Conn{},
		conns: map[*Conn]struct{}{}, acting: map[*Conn]struct{}{}, gone: make(chan struct{}), listeners: map[*Listener]struct{}{},
		ports: map[netip.AddrPort]*Listener{},
	}
	if cfg != nil {
		h.cfg = *cfg
	}
	if err := h.cfg.setDefaults(); err != nil {
		return nil, err
	}
	h.blackholes.timeout = max(h.cfg.BlackholeTimeout, 0)
	h.halfOpen = waiting{host: h, limit: h.cfg.MaxHalfOpen, dropped: mib.HalfOpenDrop}
	h.halfOpenJoins = waiting{host: h, limit: h.cfg.MaxHalfOpen, dropped: mib.JoinHalfOpenDrop}
	h.log = h.cfg.Logger
	stackRand := h.rand
	if env := h.cfg.Environment; env != nil {
		h.clock, h.rand, stackRand = env, env.Rand(), env.Rand()
		// As an event of the environment f has its place in the order of things; a goroutine
		// would race with the one that started it.
		h.spawn = func(f func()) { env.AfterFunc(0, f) }
	}
	h.sleep.clock, _ = h.clock.(clock.Sleeper)
	stack, err := netstack.New(&netstack.Config{
		Hook: hook{h}, Clock: h.clock, Rand: stackRand, ReceiveBuffer: h.cfg.ReceiveBuffer + h.cfg.ReceiveBuffer/4 + 1<<20, TimeWait: timeWait,
		AcceptUnclaimed: h.acceptUnclaimed, Accepted: h.acceptedUnclaimed, MaxUnclaimed: h.cfg.MaxHalfOpen + spareBacklog,
	})
	if err != nil {
		return nil, err
	}
	h.stack = stack
	if env := h.cfg.Environment; env != nil {
		h.leave = env.Register(member{h})
	}
	return h, nil
}

// setDefaults fills in what is zero and checks the rest.
func (cfg *Config) setDefaults() error {
	if cfg.Intent >= intents {
		return fmt.Errorf("mptcp: Config.Intent is %d, not one of %v", cfg.Intent, IntentNames())
	}
	if cfg.Scheduler == nil {
		cfg.Scheduler = cfg.Intent.Scheduler()
	}
	if cfg.PathManager == nil {
		cfg.PathManager = cfg.Intent.PathManager()
	}
	if cfg.Congestion == nil {
		cfg.Congestion = congestion.NewCubic
	}
	ints := []struct {
		name    string
		v       *int
		def     int
		low, up int
	}{
		{"SendBuffer", &cfg.SendBuffer, 8 << 20, 4 << 10, 256 << 20},
		{"ReceiveBuffer", &cfg.ReceiveBuffer, 8 << 20, 4 << 10, 64 << 20},
		{"MaxSubflows", &cfg.MaxSubflows, 8, 1, 64},
		{"MPCapableSYNs", &cfg.MPCapableSYNs, subflow.DefaultCapableSYNs, -1, 100},
		{"MaxHalfOpen", &cfg.MaxHalfOpen, 4096, 16, 1 << 20},
	}
	for _, f := range ints {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < f.low || *f.v > f.up {
			return fmt.Errorf("mptcp: Config.%s is %d, not in %d to %d", f.name, *f.v, f.low, f.up)
		}
	}
	for _, d := range []*time.Duration{&cfg.DialTimeout, &cfg.CloseTimeout, &cfg.BreakTimeout} {
		if *d == 0 {
			*d = 60 * time.Second
		}
	}
	if cfg.BlackholeTimeout == 0 {
		cfg.BlackholeTimeout = time.Hour
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = 15 * time.Second
	}
	if cfg.MaxAnnounced == 0 {
		cfg.MaxAnnounced = 8
	}
	if cfg.MaxAnnounced > 255 {
		return fmt.Errorf("mptcp: Config.MaxAnnounced is %d, more than 255", cfg.MaxAnnounced)
	}
	if cfg.CloseTimeout < 0 {
		return errors.New("mptcp: Config.CloseTimeout is negative; Close has to end some time")
	}
	return nil
}

// AddDevice attaches a device with the host's own addresses on it, at least one, each
// with its prefix length. The host owns the device from then on and closes it. Connections
// that are open use it as their path managers see fit. It returns an error if the
// name or an address is in use already.
func (h *Host) AddDevice(dev tun.Device, addrs ...netip.Prefix) error {
	if len(addrs) == 0 {
		return errors.New("mptcp: AddDevice needs an address")
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return ErrHostClosed
	}
	h.mu.Unlock()
	link, err := h.stack.AddLink(dev, addrs)
	if err != nil {
		return fmt.Errorf("mptcp: add device %s: %w", dev.Name(), err)
	}
	h.mu.Lock()
	h.links = append(h.links, link)
	conns := h.connList()
	h.mu.Unlock()
	for _, c := range conns {
		c.linkUp(link.Name(), link.Addrs())
	}
	return nil
}

// RemoveDevice detaches and closes a device. Its subflows end; their connections go on
// over other paths, or wait for one (Config.BreakTimeout).
func (h *Host) RemoveDevice(name string) error {
	h.mu.RLock()
	i := slices.IndexFunc(h.links, func(l *netstack.Link) bool { return l.Name() == name })
	var link *netstack.Link
	if i >= 0 {
		link = h.links[i]
	}
	h.mu.RUnlock()
	if link == nil {
		return fmt.Errorf("mptcp: no device %q", name)
	}
	return h.stack.RemoveLink(link)
}

// Close aborts all connections, closes the listeners and the devices, and waits until
// the host has no goroutine left. Called again it waits for that too, and returns
// ErrHostClosed.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		<-h.gone
		return ErrHostClosed
	}
	h.closed = true
	h.stopSleepWatch()
	conns := h.connList()
	listeners := make([]*Listener, 0, len(h.listeners))
	for l := range h.listeners {
		listeners = append(listeners, l)
	}
	h.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, c := range conns {
		c.mu.Lock()
		c.abort(false)
		c.mu.Unlock()
		c.settle()
	}
	h.settle() // those that have ended, too
	h.stack.Close()
	h.settle() // what the stack's end has set going
	h.halfOpen.stop()
	h.halfOpenJoins.stop()
	h.mu.Lock()
	clear(h.flows) // no segments come any more
	h.mu.Unlock()
	h.leave()
	close(h.gone)
	return nil
}

// connList lists the connections in the order in which they were made. h.mu is held.
func (h *Host) connList() []*Conn { return byNumber(h.conns) }

func byNumber(set map[*Conn]struct{}) []*Conn {
	list := make([]*Conn, 0, len(set))
	for c := range set {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Conn) int { return cmp.Compare(a.number, b.number) })
	return list
}

// localAddrs lists the addresses of all devices.
func (h *Host) localAddrs() []netip.Addr {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var list []netip.Addr
	for _, l := range h.links {
		list = append(list, l.Addrs()...)
	}
	return list
}

// deviceNames has the device of each address.
func (h *Host) deviceNames() map[netip.Addr]string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	names := map[netip.Addr]string{}
	for _, l := range h.links {
		for _, a := range l.Addrs() {
			names[a] = l.Name()
		}
	}
	return names
}

// newKey returns a key whose token is not in use (8684-3.1-07, -08), and registers it.
func (h *Host) register(role pathmgr.Role) (*Conn, error) {
	for {
		key, err := option.NewKey(h.rand)
		if err != nil {
			return nil, err
		}
		c := newConn(h, role, key)
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return nil, ErrHostClosed
		}
		if _, taken := h.tokens[key.Token()]; taken {
			h.mu.Unlock()
			continue
		}
		h.tokens[key.Token()] = c
		h.made++
		c.number = h.made
		h.conns[c] = struct{}{}
		h.watchSleep()
		h.mu.Unlock()
		return c, nil
	}
}

func (h *Host) newNonce() option.Nonce {
	n, err := option.NewNonce(h.rand)
	if err != nil {
		panic(fmt.Sprintf("mptcp: no randomness: %v", err)) // crypto/rand does not fail
	}
	return n
}

func (h *Host) forgetToken(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := c.shared.LocalKey.Token(); h.tokens[t] == c {
		delete(h.tokens, t)
	}
}

func (h *Host) forgetConn(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
}

func (h *Host) addFlow(s *sub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flows[s.key] = s
}

// forgetFlow removes a subflow once TIME_WAIT is over: until then its segments still have
// to be translated. One that never got through its handshake goes at once. The connection's
// lock is held.
func (h *Host) forgetFlow(s *sub) {
	h.handshakeOver(s)
	if s.ep == nil && s.Sender() == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.flows[s.key] == s {
			delete(h.flows, s.key)
		}
		return
	}
	h.mu.Lock()
	s.conn.lingering++
	h.mu.Unlock()
	h.clock.AfterFunc(timeWait+5*time.Second, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		s.conn.lingering--
		if h.flows[s.key] == s {
			delete(h.flows, s.key)
		}
	})
}
