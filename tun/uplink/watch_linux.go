package uplink

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// riseTime is how long a path has to stand before it is used again: its routes come later than its
// address.
const riseTime = 50 * time.Millisecond

// Watcher follows paths until Close.
type Watcher struct {
	cfg     WatchConfig
	log     *slog.Logger
	stop    chan struct{} // closed by Close
	closing sync.Once
	stopped chan struct{} // closed when nothing is followed any more

	mu    sync.Mutex // guards what follows for others than the one goroutine that writes it
	paths []*watched
}

// watched is the state of a path.
type watched struct {
	Path
	// used: the host has the device, and the path stood on stands then.
	used   bool
	stands footing
	// since is from when on an unused path has stood on stands; zero if it does not stand.
	since time.Time
}

// Watch gives a host the devices of paths that somebody else has set up, and follows them from then
// on in the calling thread's network namespace: at once when a device or its uplink is switched off or
// vanishes, or an address of the uplink does, the device is taken from the host; it gets it again when
// all is back. No path that stands at all is no error: see Names.
//
// It changes nothing in the system and needs the privileges of opening the devices only.
func Watch(cfg WatchConfig) (*Watcher, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	w := &Watcher{cfg: cfg, log: cfg.Logger, stop: make(chan struct{}), stopped: make(chan struct{})}
	for _, p := range cfg.Paths {
		w.paths = append(w.paths, &watched{Path: p})
	}
	err = onThread(func(k *kernel, ready func(error)) error { return explain(w.run(k, ready)) })
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Names lists the devices that the host has now, in the order of WatchConfig.Paths.
func (w *Watcher) Names() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.paths {
		if p.used {
			names = append(names, p.Device)
		}
	}
	return names
}

// Close ends the watch. The host keeps the devices that it has. It returns nil.
func (w *Watcher) Close() error {
	w.closing.Do(func() { close(w.stop) })
	<-w.stopped
	return nil
}

// run gives the host what stands, says whether that worked, and follows the paths until Close.
func (w *Watcher) run(k *kernel, ready func(error)) error {
	defer close(w.stopped)
	c, err := subscribe()
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := w.look(k, 0); err != nil {
		return err
	}
	ready(nil)
	c.each(w.stop, func() (again time.Duration) {
		again, err := w.look(k, riseTime)
		if err != nil {
			w.log.Warn("uplink: a path cannot be used, to be tried again", slog.Any("error", err))
			return retryTime
		}
		return again
	})
	return nil
}

// look gives and takes what has changed. What does not stand for rise yet is to be looked at again,
// after the time that it returns, if that is not 0.
func (w *Watcher) look(k *kernel, rise time.Duration) (again time.Duration, err error) {
	snap, err := k.snapshot()
	if err != nil {
		return 0, err
	}
	now := time.Now()
	var errs []error
	for _, p := range w.paths {
		at, ok := p.footing(snap.links)
		if p.used {
			if ok && p.stands.holds(at) {
				continue
			}
			w.take(p)
		}
		switch {
		case !ok:
			p.since = time.Time{}
			continue
		case p.since.IsZero() || !p.stands.holds(at):
			p.since = now
		}
		p.stands = at
		if wait := rise - now.Sub(p.since); wait > 0 {
			again = max(again, wait)
			continue
		}
		errs = append(errs, w.give(p))
	}
	return again, errors.Join(errs...)
}

// give gives the host a path's device.
func (w *Watcher) give(p *watched) error {
	dev, err := w.cfg.Open(p.Device)
	if err != nil {
		return err
	}
	if err := w.cfg.Host.AddDevice(dev, p.stands.hosts...); err != nil {
		return fmt.Errorf("%s: %w", p.Device, errors.Join(err, dev.Close()))
	}
	w.set(p, true)
	w.log.Info("path up", slog.String("device", p.Device), slog.String("uplink", p.Uplink), slog.Any("addresses", p.stands.hosts))
	return nil
}

// take takes a path's device from the host.
func (w *Watcher) take(p *watched) {
	w.log.Info("path down", slog.String("device", p.Device), slog.String("uplink", p.Uplink))
	w.set(p, false)
	p.since = time.Time{}
	// A device that failed the host has given up already.
	if err := w.cfg.Host.RemoveDevice(p.Device); err != nil {
		w.log.Debug("uplink: host", slog.Any("error", err))
	}
}

func (w *Watcher) set(p *watched, used bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.used = used
}
