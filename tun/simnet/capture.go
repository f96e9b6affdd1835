package simnet

import (
	"io"

	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/pcap"
)

// Capture writes what enters and what arrives at ends of links, as their nodes see it and
// with virtual timestamps, to out in the pcapng format, an interface for each end. stop ends
// it and returns the first error; it has to be called before Run returns.
func (w *World) Capture(out io.Writer, ends ...*End) (stop func() error, err error) {
	c, err := pcap.NewWriter(out, pcap.Options{Now: w.Now})
	if err != nil {
		return nil, err
	}
	taps := make([]tun.Device, len(ends))
	for i, e := range ends {
		if taps[i], err = c.Wrap(blackHole{name: e.name, mtu: e.mtu}); err != nil {
			return nil, err
		}
	}
	for i, e := range ends {
		tap := func(b []byte) { _ = taps[i].Write([]tun.Packet{{Head: b}}) } // the error is the Writer's to tell
		e.out.tap(func(k Kind, b []byte) {
			if k == Entered {
				tap(b)
			}
		})
		e.out.opposite.tap(func(k Kind, b []byte) {
			if k == Arrived {
				tap(b)
			}
		})
	}
	return c.Close, nil
}

// tap adds somebody who is told what happens to packets.
func (d *Direction) tap(f func(k Kind, b []byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taps = append(d.taps, f)
}

// blackHole is a device that a capture can be told to watch.
type blackHole struct {
	name string
	mtu  int
}

func (h blackHole) Name() string                 { return h.name }
func (h blackHole) MTU() int                     { return h.mtu }
func (blackHole) Features() tun.Features         { return tun.Features{} }
func (blackHole) Read([]tun.Packet) (int, error) { return 0, tun.ErrClosed }
func (blackHole) Write([]tun.Packet) error       { return nil }
func (blackHole) Close() error                   { return nil }
