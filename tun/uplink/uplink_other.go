//go:build !linux

package uplink

// Uplinks are the uplinks in use; there are none on this system.
type Uplinks struct{}

// New returns ErrUnsupported, or what is wrong with the config.
func New(cfg Config) (*Uplinks, error) {
	if _, err := cfg.check(); err != nil {
		return nil, err
	}
	return nil, ErrUnsupported
}

// Names returns nothing.
func (*Uplinks) Names() []string { return nil }

// Close does nothing.
func (*Uplinks) Close() error { return nil }

// Cleanup returns ErrUnsupported.
func Cleanup() (undone []string, err error) { return nil, ErrUnsupported }
