package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
)

// display shows how the transfer goes: one line that is redrawn on a terminal, plain
// lines elsewhere. Its methods may be called concurrently.
type display struct {
	out      io.Writer
	terminal bool

	mu      sync.Mutex
	conn    *mptcp.Conn
	size    int64
	cfg     *config
	began   time.Time
	last    time.Time
	acked   map[string]uint64 // by device, at the time last
	stopped chan struct{}     // closed by stop; nil while not started
	done    sync.WaitGroup
}

func newDisplay(out io.Writer, terminal bool) *display {
	return &display{out: out, terminal: terminal}
}

// start says what is going to happen and begins to show the progress of conn.
func (d *display) start(conn *mptcp.Conn, size int64, cfg *config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn, d.size, d.cfg = conn, size, cfg
	d.began = time.Now()
	d.last, d.acked = d.began, map[string]uint64{}
	for _, p := range cfg.paths {
		fmt.Fprintf(d.out, "path %-5s %4g Mbit/s, %v one way\n", p.name, p.rate, p.delay)
	}
	fmt.Fprintf(d.out, "sending %.1f MB over one connection; cut: %v\n", float64(size)/1e6, cfg.cut)

	interval := time.Second
	if d.terminal {
		interval = 200 * time.Millisecond
	}
	stopped := make(chan struct{})
	d.stopped = stopped
	d.done.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-stopped:
				return
			case now := <-tick.C:
				d.progress(now)
			}
		}
	})
}

// stop ends the progress. It may be called again.
func (d *display) stop() {
	d.mu.Lock()
	if d.stopped == nil {
		d.mu.Unlock()
		return
	}
	close(d.stopped)
	d.stopped = nil
	d.mu.Unlock()
	d.done.Wait()
	if d.terminal {
		fmt.Fprint(d.out, clearLine)
	}
}

// clearLine moves to the start of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

// event prints a line among the progress.
func (d *display) event(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.terminal {
		fmt.Fprint(d.out, clearLine)
	}
	fmt.Fprintf(d.out, "%5.1f s  %s\n", time.Since(d.began).Seconds(), text)
}

// progress shows the rate of each path since the last time.
func (d *display) progress(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	info := d.conn.Info()
	acked := ackedByDevice(info)
	seconds := now.Sub(d.last).Seconds()
	var line strings.Builder
	fmt.Fprintf(&line, "%5.1f s ", now.Sub(d.began).Seconds())
	for _, p := range d.cfg.paths {
		rate := float64(acked[p.name]-d.acked[p.name]) * 8 / 1e6 / seconds
		fmt.Fprintf(&line, "  %s %5.1f Mbit/s", p.name, rate)
		if d.terminal {
			fmt.Fprintf(&line, " %s", bar(rate/p.rate, 12))
		}
	}
	fmt.Fprintf(&line, "   %5.1f of %.1f MB", float64(info.BytesAcked)/1e6, float64(d.size)/1e6)
	d.last, d.acked = now, acked
	if d.terminal {
		fmt.Fprint(d.out, clearLine+line.String())
	} else {
		fmt.Fprintln(d.out, line.String())
	}
}

// bar draws a part of 1, width characters wide.
func bar(part float64, width int) string {
	full := min(max(int(part*float64(width)+0.5), 0), width)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// ackedByDevice sums the acknowledged bytes of the subflows of each device: after a cut
// a path may have several.
func ackedByDevice(info mptcp.Info) map[string]uint64 {
	acked := map[string]uint64{}
	for _, s := range info.Subflows {
		acked[s.Device] += s.BytesAcked
	}
	return acked
}

// summary prints what came out.
func (d *display) summary(cfg *config, r *result) {
	rate := float64(r.got.bytes) * 8 / 1e6 / r.took.Seconds()
	fmt.Fprintf(d.out, "\n%.1f MB in %.1f s: %.1f Mbit/s\n", float64(r.got.bytes)/1e6, r.took.Seconds(), rate)
	acked := ackedByDevice(r.info)
	for _, p := range cfg.paths {
		fmt.Fprintf(d.out, "  over %-5s     %5.1f MB\n", p.name, float64(acked[p.name])/1e6)
	}
	fmt.Fprintf(d.out, "  sent again     %5.1f MB that the dead path held\n", float64(r.info.BytesReinjected)/1e6)
	fmt.Fprintf(d.out, "  longest stall  %5d ms\n", r.got.longestStall.Milliseconds())
	fmt.Fprintf(d.out, "  sha256 sent     %x\n", r.sent)
	fmt.Fprintf(d.out, "  sha256 received %x\n", r.got.sum)
	for _, s := range r.info.Subflows {
		fmt.Fprintf(d.out, "  subflow %d on %-5s %s, %d retransmissions\n", s.ID, s.Device, s.State, s.Retransmits)
	}
}
