//go:build linux

package tun

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// linuxReader is the state of Read, which one goroutine calls at a time. It is
// kept between calls so that reading allocates nothing.
type linuxReader struct {
	d    *Linux
	poll func(fd uintptr) (done bool) // fill, bound once

	hdr  [vnetHdrLen]byte
	iov  [2][]byte
	pkts []Packet // the call's
	n    int      // of them filled
	err  error
}

func (r *linuxReader) init(d *Linux) {
	r.d = d
	r.poll = r.fill
}

// Read implements Device. It waits for one packet and takes what else is there.
func (d *Linux) Read(pkts []Packet) (int, error) {
	if len(pkts) == 0 {
		return 0, nil
	}
	r := &d.reader
	r.pkts, r.n, r.err = pkts, 0, nil
	err := d.raw.Read(r.poll)
	r.pkts, r.iov = nil, [2][]byte{}
	switch {
	case r.n > 0:
		return r.n, nil // an error shows again next time
	case err == nil:
		err = r.err
	default:
		// While an interface goes it is in error for Go's poller, which says "not pollable", and a
		// read may still say that there is nothing.
		err = fmt.Errorf("%w: %w", unix.ENODEV, err)
	}
	if d.gone(err) {
		return 0, d.closedError(err)
	}
	return 0, fmt.Errorf("tun: read from %s: %w", d.name, err)
}

// fill reads packets until there are no more, or no room. It asks to be called
// again when there was none.
func (r *linuxReader) fill(fd uintptr) (done bool) {
	for r.n < len(r.pkts) {
		p := &r.pkts[r.n]
		n, err := r.readv(int(fd), p)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return r.n > 0
		case err != nil:
			r.err = err
			return true
		case n <= r.d.hdrLen:
			continue
		}
		readVnetHdr(&r.hdr, p)
		p.Head, p.Payload = p.Head[:n-r.d.hdrLen], nil
		r.n++
	}
	return true
}

func (r *linuxReader) readv(fd int, p *Packet) (int, error) {
	if r.d.hdrLen == 0 {
		return unix.Read(fd, p.Head)
	}
	r.iov = [2][]byte{r.hdr[:], p.Head}
	return unix.Readv(fd, r.iov[:])
}

// linuxWriter is the state of one Write; they are used again.
type linuxWriter struct {
	d       *Linux
	control func(fd uintptr) // send, bound once

	hdr     [vnetHdrLen]byte
	iov     [][]byte
	scratch []byte // for what the kernel does not do
	pkts    []Packet
	err     error // of a device that is gone
}

var linuxWriters = sync.Pool{New: func() any {
	w := &linuxWriter{}
	w.control = w.send
	return w
}}

// Write implements Device.
func (d *Linux) Write(pkts []Packet) error {
	w := linuxWriters.Get().(*linuxWriter)
	w.d, w.pkts, w.err = d, pkts, nil
	err := d.raw.Control(w.control)
	if err == nil {
		err = w.err
	}
	w.d, w.pkts, w.err = nil, nil, nil
	clear(w.iov)
	linuxWriters.Put(w)
	if err != nil {
		return d.closedError(err)
	}
	return nil
}

func (w *linuxWriter) send(fd uintptr) {
	for i := range w.pkts {
		p := &w.pkts[i]
		var err error
		if p.GSOSize > 0 && !w.d.features.GSO || p.Checksum == ChecksumPartial && !w.d.features.Checksum {
			err = w.sendInSoftware(int(fd), p)
		} else {
			err = w.sendPacket(int(fd), p)
		}
		if err == nil {
			continue
		}
		if w.d.gone(err) {
			w.err = err
			return
		}
		w.d.drops.Add(1)
	}
}

// sendInSoftware does what the kernel refused to do.
func (w *linuxWriter) sendInSoftware(fd int, p *Packet) error {
	if w.scratch == nil {
		w.scratch = make([]byte, MaxPacketSize)
	}
	return Packetize(w.scratch, p, func(b []byte) error {
		return w.sendPacket(fd, &Packet{Head: b})
	})
}

func (w *linuxWriter) sendPacket(fd int, p *Packet) error {
	w.iov = w.iov[:0]
	if w.d.hdrLen > 0 {
		putVnetHdr(&w.hdr, p)
		w.iov = append(w.iov, w.hdr[:])
	}
	w.iov = append(w.iov, p.Head)
	w.iov = append(w.iov, p.Payload...)
	for {
		_, err := unix.Writev(fd, w.iov)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
