//go:build !linux

package uplink

// Watcher follows paths; there are none on this system.
type Watcher struct{}

// Watch returns ErrUnsupported, or what is wrong with the config.
func Watch(cfg WatchConfig) (*Watcher, error) {
	if _, err := cfg.check(); err != nil {
		return nil, err
	}
	return nil, ErrUnsupported
}

// Names returns nothing.
func (*Watcher) Names() []string { return nil }

// Close does nothing.
func (*Watcher) Close() error { return nil }
