package uplink

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomptcp/gomptcp/tun"
)

// Uplinks are the uplinks in use. They follow the system until Close.
type Uplinks struct {
	cfg     Config
	log     *slog.Logger
	stop    chan struct{} // closed by Close
	closing sync.Once
	stopped chan struct{} // closed when all is undone
	err     error         // of undoing; read after stopped

	mu     sync.Mutex // guards what follows for others than the one goroutine that writes it
	active []*active  // in the order of their coming
}

// active is an uplink that is set up.
type active struct {
	*plan
	dev  *tun.Linux
	done []step // carried out
}

// New sets up the uplinks that there are in the calling thread's network namespace and follows
// them from then on, until Close. It undoes first what processes that died have left behind. No
// uplink at all is no error: see Names. It takes CAP_NET_ADMIN, and CAP_SYS_ADMIN where the
// caller's network namespace is not that of the process.
//
// With Config.DryRun it only writes what it would do.
func New(cfg Config) (*Uplinks, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	u := &Uplinks{
		cfg: cfg, log: cfg.Logger,
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	err = onThread(func(k *kernel, ready func(error)) error {
		if cfg.DryRun != nil {
			close(u.stopped)
			return explain(u.dryRun(k, cfg.DryRun))
		}
		return explain(u.run(k, ready))
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("uplink: no permission: it takes CAP_NET_ADMIN and writing below /proc/sys/net (run as root): %w", err)
	}
	return fmt.Errorf("uplink: %w", err)
}

// Names lists the interfaces in use, in the order of their coming.
func (u *Uplinks) Names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var names []string
	for _, a := range u.active {
		names = append(names, a.uplink.name)
	}
	return names
}

// Close removes the devices from the host and undoes everything. Connections that are to end in
// order have to end before, and the host is closed afterwards: devices that it has closed are made
// anew. It returns what could not be undone.
func (u *Uplinks) Close() error {
	u.closing.Do(func() { close(u.stop) })
	<-u.stopped
	return u.err
}

// dryRun writes the plans for the system as it is.
func (u *Uplinks) dryRun(k *kernel, w io.Writer) error {
	snap, err := k.snapshot()
	if err != nil {
		return err
	}
	u.readNotes(snap) // without privileges there are none to be seen
	chosen := choose(u.cfg.Match, snap.links)
	if len(chosen) == 0 {
		_, err = fmt.Fprintf(w, "# no uplink: no interface of %q has carrier, an address and a route\n", u.cfg.Match)
	}
	for _, l := range chosen {
		p, planErr := u.plan(snap, l)
		if planErr != nil {
			return planErr
		}
		snap.links = append(snap.links, link{name: p.slot.name()})
		if _, err = io.WriteString(w, p.String()); err != nil {
			return err
		}
	}
	return err
}

// plan plans an uplink in the next free slot.
func (u *Uplinks) plan(snap *snapshot, l link) (*plan, error) {
	s, err := freeSlot(snap.links)
	if err != nil {
		return nil, err
	}
	return newPlan(s, l, u.cfg.Forward, snap, os.Getpid())
}

func (u *Uplinks) readNotes(snap *snapshot) {
	list, err := tables()
	if err != nil {
		u.log.Debug("uplink: cannot read nftables", slog.Any("error", err))
	}
	for _, t := range list {
		for name, old := range t.notes {
			snap.noted[name] = old
		}
	}
}

// run sets up, says whether that worked, and follows the system until Close.
func (u *Uplinks) run(k *kernel, ready func(error)) error {
	defer close(u.stopped)
	c, err := subscribe()
	if err != nil {
		return err
	}
	defer c.close()
	if err := u.start(k); err != nil {
		u.err = u.removeAll(k)
		return errors.Join(err, u.err)
	}
	ready(nil)
	c.each(u.stop, func() (again time.Duration) {
		if err := u.follow(k); err != nil {
			u.log.Warn("uplink: set-up failed, to be tried again", slog.Any("error", err))
			return retryTime
		}
		return 0
	})
	u.err = explain(u.removeAll(k))
	return nil
}

// start undoes what others left behind and sets up what is there.
func (u *Uplinks) start(k *kernel) error {
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	undone, err := k.cleanup()
	unlock()
	for _, command := range undone {
		u.log.Info("uplink: undone for a process that died", slog.String("command", command))
	}
	if err != nil {
		return err
	}
	for _, chain := range blockers() {
		u.log.Warn("uplink: a firewall drops forwarded packets; it has to accept those from and to devices gomptcp*", slog.String("chain", chain))
	}
	return u.follow(k)
}

// follow makes the uplinks in use those that there are.
func (u *Uplinks) follow(k *kernel) error {
	snap, err := k.snapshot()
	if err != nil {
		return err
	}
	chosen := choose(u.cfg.Match, snap.links)
	var errs []error
	for _, a := range slices.Clone(u.active) {
		if a.stands(chosen, snap.links) {
			chosen = slices.DeleteFunc(chosen, func(l link) bool { return l.name == a.uplink.name })
			continue
		}
		errs = append(errs, u.remove(k, a))
		snap.links = slices.DeleteFunc(snap.links, func(l link) bool { return l.name == a.slot.name() })
	}
	if len(chosen) == 0 {
		return errors.Join(errs...)
	}
	unlock, err := k.lock()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	defer unlock()
	u.readNotes(snap)
	for _, l := range chosen {
		if err := u.add(k, snap, l); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.name, err))
		}
	}
	return errors.Join(errs...)
}

// stands reports whether the uplink is as it was when it was set up, and its device there.
func (a *active) stands(chosen, links []link) bool {
	return slices.ContainsFunc(chosen, func(l link) bool { return l.same(&a.uplink) }) &&
		slices.ContainsFunc(links, func(l link) bool { return l.name == a.slot.name() })
}

// add sets up an uplink and gives its device to the host. The namespace is locked.
func (u *Uplinks) add(k *kernel, snap *snapshot, l link) error {
	p, err := u.plan(snap, l)
	if err != nil {
		return err
	}
	a := &active{plan: p}
	for _, s := range p.steps {
		dev, err := k.do(s)
		if err != nil {
			_ = a.undo(k)
			return fmt.Errorf("%s: %w", s.do()[0], err)
		}
		if dev != nil {
			a.dev = dev
		}
		a.done = append(a.done, s)
	}
	if err := u.cfg.Host.AddDevice(a.dev, p.hosts...); err != nil {
		_ = a.undo(k)
		return err
	}
	snap.links = append(snap.links, link{name: p.slot.name()})
	u.mu.Lock()
	u.active = append(u.active, a)
	u.mu.Unlock()
	u.log.Info("uplink up", slog.String("uplink", l.name), slog.String("device", p.slot.name()), slog.Any("addresses", p.hosts))
	return nil
}

// remove takes the device from the host and undoes its set-up.
func (u *Uplinks) remove(k *kernel, a *active) error {
	u.log.Info("uplink down", slog.String("uplink", a.uplink.name), slog.String("device", a.slot.name()))
	// A host that was closed has no devices any more.
	if err := u.cfg.Host.RemoveDevice(a.slot.name()); err != nil {
		u.log.Debug("uplink: host", slog.Any("error", err))
	}
	u.mu.Lock()
	u.active = slices.DeleteFunc(u.active, func(o *active) bool { return o == a })
	u.mu.Unlock()
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return a.undo(k)
}

func (u *Uplinks) removeAll(k *kernel) error {
	var errs []error
	for _, a := range slices.Backward(slices.Clone(u.active)) {
		errs = append(errs, u.remove(k, a))
	}
	return errors.Join(errs...)
}

// undo undoes what was done, from the end. The namespace is locked.
func (a *active) undo(k *kernel) error {
	kept, err := notesOfOthers(a.slot)
	errs := []error{err}
	for _, s := range slices.Backward(a.done) {
		if c, ok := s.(sysctlStep); ok && kept[c.name] {
			continue
		}
		if err := k.undo(s); err != nil {
			errs = append(errs, fmt.Errorf("undoing %s: %w", s.do()[0], err))
		}
	}
	if a.dev != nil {
		errs = append(errs, a.dev.Close())
	}
	return errors.Join(errs...)
}

// notesOfOthers has the variables that other slots need as they are.
func notesOfOthers(own slot) (map[string]bool, error) {
	list, err := tables()
	kept := map[string]bool{}
	for _, t := range list {
		for name := range t.notes {
			kept[name] = kept[name] || t.slot != own
		}
	}
	return kept, err
}
