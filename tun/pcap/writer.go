// Package pcap captures what packet devices carry into a file that Wireshark,
// tcpdump and tshark read.
//
// A Writer is one capture; any number of devices can be wrapped to write to it,
// each shown as an interface of its own. What is captured are raw IP packets
// without a link header.
package pcap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/gomptcp/gomptcp/tun"
)

// Options say how a Writer writes. The zero value works.
type Options struct {
	// Classic writes the old pcap format, microseconds and one interface for all
	// devices, for tools that do not read pcapng.
	Classic bool
	// Split writes the packets that a super-segment stands for instead of the
	// super-segment.
	Split bool
	// Now tells the time of the packets, of a simulated network for example. Default:
	// time.Now.
	Now func() time.Time
}

// errClosed is what comes of using a Writer that has been closed.
var errClosed = errors.New("pcap: capture closed")

// Writer writes one capture. It is safe for concurrent use. An error in writing ends
// the capture and never disturbs the traffic; Flush and Close return it.
type Writer struct {
	opts Options
	file io.Closer // closed by Close; nil when the destination is the caller's

	mu      sync.Mutex
	err     error // the first; nothing is written after it
	out     *bufio.Writer
	ng      *pcapgo.NgWriter // nil until the first interface, and in the classic format
	classic *pcapgo.Writer
	scratch []byte
}

// NewWriter returns a capture that goes to w, which is not closed with it.
func NewWriter(w io.Writer, opts Options) (*Writer, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	c := &Writer{
		opts:    opts,
		out:     bufio.NewWriterSize(w, 1<<16),
		scratch: make([]byte, tun.MaxPacketSize),
	}
	if opts.Classic {
		c.classic = pcapgo.NewWriter(c.out)
		if err := c.classic.WriteFileHeader(tun.MaxPacketSize, layers.LinkTypeRaw); err != nil {
			return nil, fmt.Errorf("pcap: write file header: %w", err)
		}
	}
	return c, nil
}

// Create makes the file, or empties it, and returns a capture that goes to it. A name
// that ends in ".pcap" gets the classic format whatever opts says.
func Create(name string, opts Options) (*Writer, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	opts.Classic = opts.Classic || filepath.Ext(name) == ".pcap"
	c, err := NewWriter(f, opts)
	if err != nil {
		f.Close()
		return nil, err
	}
	c.file = f
	return c, nil
}

// Flush writes out what is buffered.
func (c *Writer) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	if errors.Is(c.err, errClosed) {
		return nil
	}
	return c.err
}

func (c *Writer) flush() {
	if c.err == nil && c.ng != nil {
		c.err = c.ng.Flush()
	}
	if c.err == nil {
		c.err = c.out.Flush()
	}
}

// Close writes out what is buffered and ends the capture. Wrapped devices go on
// without it.
func (c *Writer) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.err, errClosed) {
		return nil
	}
	c.flush()
	err := c.err
	c.err = errClosed
	if c.file != nil {
		err = errors.Join(err, c.file.Close())
	}
	return err
}

// addInterface names a new interface in the file and returns its index.
func (c *Writer) addInterface(name string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if c.opts.Classic {
		return 0, nil
	}
	intf := pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeRaw, OS: runtime.GOOS, TimestampResolution: 9}
	if c.ng != nil {
		return c.ng.AddInterface(intf)
	}
	ng, err := pcapgo.NewNgWriterInterface(c.out, intf, pcapgo.NgWriterOptions{
		SectionInfo: pcapgo.NgSectionInfo{Hardware: runtime.GOARCH, OS: runtime.GOOS, Application: "gomptcp"},
	})
	if err != nil {
		return 0, err
	}
	c.ng = ng
	return 0, nil
}

// capture writes the packets as of now.
func (c *Writer) capture(intf int, pkts []tun.Packet) {
	now := c.opts.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range pkts {
		if c.err != nil {
			return
		}
		c.capturePacket(now, intf, &pkts[i])
	}
}

func (c *Writer) capturePacket(now time.Time, intf int, p *tun.Packet) {
	write := func(b []byte) error {
		c.err = c.write(now, intf, b)
		return c.err
	}
	whole := *p
	if !c.opts.Split {
		whole.GSOSize = 0
	}
	if tun.Packetize(c.scratch, &whole, write) != nil && c.err == nil {
		// A super-segment that cannot be split is written as far as it is clear.
		_ = write(p.Head)
	}
}

func (c *Writer) write(now time.Time, intf int, b []byte) error {
	ci := gopacket.CaptureInfo{Timestamp: now, CaptureLength: len(b), Length: len(b), InterfaceIndex: intf}
	if c.classic != nil {
		return c.classic.WritePacket(ci, b)
	}
	return c.ng.WritePacket(ci, b)
}
