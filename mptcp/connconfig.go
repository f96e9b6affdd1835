package mptcp

import (
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
)

// ConnConfig is what single connections have otherwise than Config says. A nil field, as a nil
// *ConnConfig, means the host's.
type ConnConfig struct {
	// PathManager makes the path manager.
	PathManager pathmgr.Factory
	// Scheduler makes the packet scheduler.
	Scheduler scheduler.Factory
}

// configure gives the connection policies of its own. c.mu is held.
func (c *Conn) configure(cfg *ConnConfig) {
	if cfg != nil && cfg.PathManager != nil {
		c.pm = cfg.PathManager()
	}
	if cfg != nil && cfg.Scheduler != nil {
		c.sched = cfg.Scheduler()
	}
}

// watchPolicy has the path manager told when its policy changes, if it wants that. c.mu is held.
func (c *Conn) watchPolicy() {
	if w, ok := c.pm.(pathmgr.Watcher); ok {
		c.unwatch = w.Watch(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.logf("path manager's policy has changed", nil)
			c.tell(pathmgr.Changed{})
			c.service(c.host.clock.Now())
		})
	}
}
