package mptcp

import (
	"fmt"
	"io"
	"strings"

	"github.com/gomptcp/gomptcp/internal/clock"
)

// member is a host as its environment sees it.
type member struct{ h *Host }

var _ clock.Member = member{}

// Pause implements clock.Member.
func (m member) Pause() { m.h.stack.Pause() }

// Resume implements clock.Member.
func (m member) Resume() { m.h.stack.Resume() }

// Activity implements clock.Member.
func (m member) Activity() uint64 { return m.h.stack.SegmentsReceived() }

// Close implements clock.Member.
func (m member) Close() error { return m.h.Close() }

// Leftovers implements clock.Member.
func (m member) Leftovers() string { return m.h.leftovers() }

// Dump implements clock.Member.
func (m member) Dump(w io.Writer) {
	m.h.mu.RLock()
	conns := m.h.connList()
	m.h.mu.RUnlock()
	for _, c := range conns {
		info := c.Info()
		fmt.Fprintf(w, "%v: mptcp %v, sent %d, received %d bytes\n", c, info.MPTCP, info.BytesAcked, info.BytesReceived)
		c.mu.Lock()
		fmt.Fprintf(w, "  %d bytes to be placed, %d placed, window %d, %d to be placed again, next time %v\n",
			c.tx.buf.End().Sub(c.tx.next), c.tx.next.Sub(c.shared.SndUna), c.tx.edge.Sub(c.tx.next), len(c.tx.reinject), c.timerAt)
		c.mu.Unlock()
		for _, s := range info.Subflows {
			fmt.Fprintf(w, "  subflow %d on %s, %v - %v: %s %s, cwnd %d, in flight %d, rtt %v, retransmits %d\n",
				s.ID, s.Device, s.Local, s.Remote, s.State, s.Reason, s.Cwnd, s.InFlight, s.SRTT, s.Retransmits)
		}
	}
}

// leftovers tells what the host holds, but for devices and listeners; nothing gives "".
func (h *Host) leftovers() string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var held []string
	for _, x := range []struct {
		n    int
		what string
	}{
		{len(h.conns), "connections"}, {len(h.tokens), "tokens"}, {len(h.flows), "TCP connections"},
		{h.halfOpen.list.Len(), "half-open connections"}, {h.halfOpenJoins.list.Len(), "half-open joins"}, {h.blocks.InUse(), "blocks of send buffers"},
	} {
		if x.n != 0 {
			held = append(held, fmt.Sprint(x.n, " ", x.what))
		}
	}
	return strings.Join(held, ", ")
}
