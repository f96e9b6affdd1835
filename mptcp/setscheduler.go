package mptcp

import (
	"log/slog"

	"github.com/gomptcp/gomptcp/scheduler"
)

// SetScheduler gives the connection a new packet scheduler, at any time and from any goroutine: the
// next bytes are placed by it, what was placed stays where it is. Nil means Config.Scheduler.
// The peer schedules what it sends by itself.
func (c *Conn) SetScheduler(f scheduler.Factory) {
	if f == nil {
		f = c.host.cfg.Scheduler
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sched = f()
	c.logf("new scheduler", nil, slog.String("name", c.sched.Name()))
	c.service(c.host.clock.Now()) // what the old one kept waiting may go now
}
