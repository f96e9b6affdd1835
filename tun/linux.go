//go:build linux

package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const clonePath = "/dev/net/tun"

// Linux is a TUN interface of the Linux kernel, with the kernel's offloads: packets
// go in and out as super-segments, and checksums are left to whoever puts them on a
// wire. It carries raw IP.
//
// Its interface is to be brought up and given addresses and routes by other means
// (`ip addr`, `ip link`): the addresses of the kernel's side, not those of this one.
type Linux struct {
	name     string
	features Features
	hdrLen   int // vnetHdrLen, or 0 where the kernel knows no such header

	file   *os.File
	raw    syscall.RawConn
	reader linuxReader
	closed atomic.Bool
	drops  atomic.Uint64

	mtuMu   sync.Mutex // guards the following
	control int        // a socket in the interface's network namespace, or -1
	mtu     int        // as last seen
}

var _ Device = (*Linux)(nil)

// OpenLinux opens the TUN interface of that name in the calling thread's network
// namespace, making it if there is none; an interface that it made goes away with
// Close. An empty name lets the kernel choose. The error says what to do about it.
func OpenLinux(name string) (*Linux, error) {
	if len(name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("tun: interface name %q is too long: at most %d bytes", name, unix.IFNAMSIZ-1)
	}
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, explainOpen(err)
	}
	d, err := attach(fd, name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	d.control, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("tun: socket to ask for the MTU of %s: %w", d.name, err)
	}
	d.mtu = DefaultMTU
	d.MTU()
	// The poller takes the file only now that an interface is attached to it.
	d.file = os.NewFile(uintptr(fd), clonePath)
	if d.raw, err = d.file.SyscallConn(); err != nil {
		d.Close()
		return nil, fmt.Errorf("tun: %s: %w", d.name, err)
	}
	d.reader.init(d)
	return d, nil
}

// attach binds the interface to fd and turns its offloads on as far as the kernel
// goes along.
func attach(fd int, name string) (*Linux, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, fmt.Errorf("tun: interface name %q: %w", name, err)
	}
	d := &Linux{hdrLen: vnetHdrLen}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	if errors.Is(err, unix.EINVAL) {
		d.hdrLen = 0
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		return nil, explainAttach(name, err)
	}
	d.name = req.Name()
	if d.hdrLen == 0 {
		return d, nil
	}
	// A persistent interface remembers what its last user chose.
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetHdrLen); err != nil {
		return nil, fmt.Errorf("tun: %s: setting the header size: %w", d.name, err)
	}
	const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads); err == nil {
		d.features = Features{GSO: true, Checksum: true}
	}
	return d, nil
}

func explainOpen(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("tun: %s is not there: load the module (modprobe tun), or give the container the device (--device %s): %w",
			clonePath, clonePath, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("tun: no permission to open %s: run as root, or give the user access to it: %w", clonePath, err)
	}
	return fmt.Errorf("tun: open %s: %w", clonePath, err)
}

func explainAttach(name string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("tun: no permission for interface %q: it takes CAP_NET_ADMIN (root, or setcap cap_net_admin+ep PROGRAM), "+
			"or an interface made for this user (ip tuntap add mode tun name NAME user USER): %w", name, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("tun: interface %q is in use by another program, or is not a TUN interface: end that program or choose another name: %w", name, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("tun: interface %q exists but is no TUN interface with one queue: delete it or choose another name: %w", name, err)
	}
	return fmt.Errorf("tun: attach to interface %q: %w", name, err)
}

// Name implements Device: it is the interface's name.
func (d *Linux) Name() string { return d.name }

// Features implements Device: both, unless the kernel refused.
func (d *Linux) Features() Features { return d.features }

// MTU implements Device. It asks the interface each time, since its MTU may be
// changed while it is open; when the interface is gone, it is the last one known.
func (d *Linux) MTU() int {
	d.mtuMu.Lock()
	defer d.mtuMu.Unlock()
	req, err := unix.NewIfreq(d.name)
	if err == nil && unix.IoctlIfreq(d.control, unix.SIOCGIFMTU, req) == nil {
		d.mtu = int(req.Uint32())
	}
	return d.mtu
}

// Drops is the number of packets, or super-segments, that Write could not hand to
// the kernel: its queue was full, the interface down, or the packet malformed.
func (d *Linux) Drops() uint64 { return d.drops.Load() }

// Close implements Device. An interface that is not persistent goes away.
func (d *Linux) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	d.mtuMu.Lock()
	unix.Close(d.control)
	d.control = -1
	d.mtuMu.Unlock()
	return d.file.Close()
}

// gone reports whether err means that the device is of no more use: closed, or its
// interface deleted.
func (d *Linux) gone(err error) bool {
	return d.closed.Load() || errors.Is(err, unix.EBADFD) || errors.Is(err, unix.ENODEV)
}

// closedError is what Read and Write return once the device is gone.
func (d *Linux) closedError(err error) error {
	if d.closed.Load() {
		return ErrClosed
	}
	return fmt.Errorf("%w: interface %s is gone: %w", ErrClosed, d.name, err)
}
