package mptcp

import (
	"fmt"
	"io"

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

// Dump implements clock.Member.
func (m member) Dump(w io.Writer) {
	m.h.mu.RLock()
	conns := m.h.connList()
	m.h.mu.RUnlock()
	for _, c := range conns {
		info := c.Info()
		fmt.Fprintf(w, "%v: mptcp %v, sent %d, received %d bytes\n", c, info.MPTCP, info.BytesSent, info.BytesReceived)
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
