package tun

// Open opens the best packet device that the operating system has: OpenLinux on
// Linux, OpenPortable elsewhere.
func Open(name string) (Device, error) {
	d, err := OpenLinux(name)
	if err != nil {
		return nil, err
	}
	return d, nil
}
