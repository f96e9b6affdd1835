package pcap

import (
	"io"

	"github.com/gomptcp/gomptcp/tun"
)

// Device is a device whose packets, both ways, are captured.
type Device struct {
	tun.Device
	c    *Writer
	intf int
}

var _ tun.Device = (*Device)(nil)

// Wrap returns dev with a tap into the capture, as an interface of dev's name.
// Closing the result closes dev and flushes the capture.
func (c *Writer) Wrap(dev tun.Device) (*Device, error) {
	intf, err := c.addInterface(dev.Name())
	if err != nil {
		return nil, err
	}
	return &Device{Device: dev, c: c, intf: intf}, nil
}

// Wrap captures one device into w, in the pcapng format. See Writer for more.
func Wrap(dev tun.Device, w io.Writer) (*Device, error) {
	c, err := NewWriter(w, Options{})
	if err != nil {
		return nil, err
	}
	return c.Wrap(dev)
}

// Read implements tun.Device.
func (d *Device) Read(pkts []tun.Packet) (int, error) {
	n, err := d.Device.Read(pkts)
	d.c.capture(d.intf, pkts[:n])
	return n, err
}

// Write implements tun.Device.
func (d *Device) Write(pkts []tun.Packet) error {
	d.c.capture(d.intf, pkts)
	return d.Device.Write(pkts)
}

// Close implements tun.Device.
func (d *Device) Close() error {
	err := d.Device.Close()
	_ = d.c.Flush() // the capture's own error is the Writer's to tell
	return err
}
