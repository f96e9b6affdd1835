package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gomptcp/gomptcp/tun"
)

// kernel carries out steps in one network namespace. It belongs to one thread that is in there.
type kernel struct {
	nl *netlink.Handle
	ns *os.File
}

// namespacePath is the network namespace of the calling thread.
const namespacePath = "/proc/thread-self/ns/net"

// onThread runs f on a thread of its own in the calling thread's network namespace, and returns
// when f has called ready, or returned, with what it said.
func onThread(f func(k *kernel, ready func(error)) error) error {
	ns, err := os.Open(namespacePath)
	if err != nil {
		return fmt.Errorf("uplink: %w", err)
	}
	result := make(chan error, 2)
	go func() {
		defer ns.Close()
		// Never unlocked: the thread ends with the goroutine, wherever it is.
		runtime.LockOSThread()
		k, err := newKernel(ns)
		if err != nil {
			result <- fmt.Errorf("uplink: %w", err)
			return
		}
		defer k.nl.Close()
		result <- f(k, func(err error) { result <- err })
	}()
	return <-result
}

// newKernel moves the thread to a namespace, unless it is there.
func newKernel(ns *os.File) (*kernel, error) {
	var here, there unix.Stat_t
	if err := errors.Join(unix.Stat(namespacePath, &here), unix.Fstat(int(ns.Fd()), &there)); err != nil {
		return nil, err
	}
	if here.Ino != there.Ino || here.Dev != there.Dev {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("entering the caller's network namespace: %w", err)
		}
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &kernel{nl, ns}, nil
}

// lockPatience is how long another process may take for its changes.
const lockPatience = 5 * time.Second

// lock keeps other processes from changing the namespace's uplinks until unlock is called. The
// kernel unlocks for a process that dies.
func (k *kernel) lock() (unlock func(), err error) {
	fd := int(k.ns.Fd())
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = unix.Flock(fd, unix.LOCK_UN) }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return nil, fmt.Errorf("locking the network namespace, which another process does: %w", err)
		}
	}
}

// do carries out a step. A device that it made is returned.
func (k *kernel) do(s step) (dev *tun.Linux, err error) {
	switch s := s.(type) {
	case deviceStep:
		return k.makeDevice(s)
	case addressStep:
		return nil, k.addAddress(s)
	case natStep:
		return nil, addTable(s)
	case routeStep:
		return nil, k.nl.RouteAdd(s.netlink())
	case ruleStep:
		return nil, k.nl.RuleAdd(s.netlink())
	case sysctlStep:
		return nil, writeSysctl(s.name, s.value)
	}
	return nil, fmt.Errorf("unknown step %T", s)
}

// undo undoes a step. What is gone already is no error. The device closes by other means.
func (k *kernel) undo(s step) error {
	var err error
	switch s := s.(type) {
	case natStep:
		err = deleteTable(s.family(), s.slot.name())
	case routeStep:
		err = k.nl.RouteDel(s.netlink())
	case ruleStep:
		err = k.nl.RuleDel(s.netlink())
	case sysctlStep:
		if s.old != "" {
			err = restoreSysctl(s.name, s.old)
		}
	}
	return unlessGone(err)
}

// unlessGone forgets an error that says that what is to be removed is not there.
func unlessGone(err error) error {
	for _, gone := range []error{unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.EADDRNOTAVAIL, fs.ErrNotExist} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	return err
}

func (k *kernel) makeDevice(s deviceStep) (*tun.Linux, error) {
	dev, err := tun.OpenLinux(s.slot.name())
	if err != nil {
		return nil, err
	}
	link, err := k.nl.LinkByName(s.slot.name())
	if err == nil {
		err = errors.Join(k.nl.LinkSetAlias(link, s.alias), k.nl.LinkSetMTU(link, s.mtu), k.nl.LinkSetUp(link))
	}
	if err != nil {
		dev.Close()
		return nil, err
	}
	return dev, nil
}

func (k *kernel) addAddress(s addressStep) error {
	link, err := k.nl.LinkByName(s.slot.name())
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: single(s.pair.system), Peer: single(s.pair.host)}
	if s.pair.system.Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return k.nl.AddrAdd(link, a)
}

func single(a netip.Addr) *net.IPNet { return ipNet(netip.PrefixFrom(a, a.BitLen())) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func (s routeStep) netlink() *netlink.Route {
	r := &netlink.Route{
		Dst: ipNet(s.dst), Table: s.slot.table(), Priority: s.metric, Protocol: protocol,
		LinkIndex: s.index, Type: unix.RTN_UNICAST,
	}
	switch {
	case s.dev == "":
		r.Type = unix.RTN_UNREACHABLE
	case s.via.IsValid():
		r.Gw = s.via.AsSlice()
	case s.dst.Addr().Is4():
		r.Scope = netlink.SCOPE_LINK
	}
	if s.onlink {
		r.Flags = int(netlink.FLAG_ONLINK)
	}
	return r
}

func (s ruleStep) netlink() *netlink.Rule {
	r := netlink.NewRule()
	r.Priority, r.Table, r.Src, r.Protocol = s.slot.preference(), s.slot.table(), single(s.host), protocol
	r.Family = netlink.FAMILY_V4
	if s.host.Is6() {
		r.Family = netlink.FAMILY_V6
	}
	return r
}
