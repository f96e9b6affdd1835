package tun

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/songgao/water"
)

// PortableConfig says which interface OpenPortable opens. The zero value works
// except on Windows.
type PortableConfig struct {
	// Name is the interface's name: on Linux any, on macOS utun and a number, on Windows
	// that of a TAP-Windows adapter. Empty lets the system choose.
	Name string
	// Network is the address and network of the interface; its driver asks for it on
	// Windows, where it is required. Unused elsewhere.
	Network netip.Prefix
}

// Portable is a TUN interface of Linux, macOS or Windows without offloads: packets go
// in and out one by one, each with a system call.
type Portable struct {
	name   string
	ifce   *water.Interface
	closed atomic.Bool
	drops  atomic.Uint64

	writeMu sync.Mutex // guards scratch
	scratch []byte
}

var _ Device = (*Portable)(nil)

// OpenPortable opens a TUN interface of the operating system, making it where the
// system does. On systems other than Linux, macOS and Windows it returns an error
// that wraps errors.ErrUnsupported. On Linux, OpenLinux is the faster one.
func OpenPortable(cfg PortableConfig) (*Portable, error) {
	wcfg, err := waterConfig(cfg)
	if err != nil {
		return nil, err
	}
	ifce, err := water.New(wcfg)
	if err != nil {
		return nil, fmt.Errorf("tun: open TUN interface %q: %w (it takes the rights of an administrator, and on Windows the TAP-Windows driver)", cfg.Name, err)
	}
	return &Portable{name: ifce.Name(), ifce: ifce, scratch: make([]byte, MaxPacketSize)}, nil
}

// Name implements Device: it is the interface's name.
func (d *Portable) Name() string { return d.name }

// MTU implements Device. It asks the system each time, and is DefaultMTU when that
// does not know.
func (d *Portable) MTU() int {
	if ifi, err := net.InterfaceByName(d.name); err == nil && ifi.MTU > 0 {
		return ifi.MTU
	}
	return DefaultMTU
}

// Features implements Device: none.
func (d *Portable) Features() Features { return Features{} }

// Drops is the number of packets that the system did not take.
func (d *Portable) Drops() uint64 { return d.drops.Load() }

// Read implements Device. It returns one packet at a time.
func (d *Portable) Read(pkts []Packet) (int, error) {
	if len(pkts) == 0 {
		return 0, nil
	}
	for {
		n, err := d.ifce.Read(pkts[0].Head)
		switch {
		case err != nil && d.gone(err):
			return 0, d.closedError(err)
		case err != nil:
			return 0, fmt.Errorf("tun: read from %s: %w", d.name, err)
		case n > 0:
			pkts[0] = Packet{Head: pkts[0].Head[:n]}
			return 1, nil
		}
	}
}

// Write implements Device. It also takes super-segments and partial checksums, and
// does in software what they ask for.
func (d *Portable) Write(pkts []Packet) error {
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	for i := range pkts {
		err := Packetize(d.scratch, &pkts[i], func(b []byte) error {
			_, err := d.ifce.Write(b)
			return err
		})
		if err == nil {
			continue
		}
		if d.gone(err) {
			return d.closedError(err)
		}
		d.drops.Add(1)
	}
	return nil
}

// Close implements Device.
func (d *Portable) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.ifce.Close()
}

func (d *Portable) gone(err error) bool {
	return d.closed.Load() || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO)
}

func (d *Portable) closedError(err error) error {
	if d.closed.Load() {
		return ErrClosed
	}
	return fmt.Errorf("%w: interface %s is gone: %w", ErrClosed, d.name, err)
}
