package mptcp

import (
	"fmt"

	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
)

// ConnConfig is what single connections have otherwise than Config says. A zero field, as a nil
// *ConnConfig, means the host's.
type ConnConfig struct {
	// Intent, unless it is Balanced, replaces both the host's scheduler and the host's path manager, however
	// those were chosen.
	Intent Intent
	// PathManager makes the path manager.
	PathManager pathmgr.Factory
	// Scheduler makes the packet scheduler.
	Scheduler scheduler.Factory
}

// check returns an error that names the field that is out of range.
func (cfg *ConnConfig) check() error {
	if cfg != nil && cfg.Intent >= intents {
		return fmt.Errorf("mptcp: ConnConfig.Intent is %d, not one of %v", cfg.Intent, IntentNames())
	}
	return nil
}

// configure gives the connection policies of its own. c.mu is held.
func (c *Conn) configure(cfg *ConnConfig) {
	if cfg == nil {
		return
	}
	intent := c.host.cfg.Intent
	if cfg.Intent != Balanced {
		intent = cfg.Intent
		c.sched, c.pm = cfg.Intent.Scheduler()(), cfg.Intent.PathManager()()
	}
	if cfg.PathManager != nil {
		c.pm = cfg.PathManager()
	}
	if cfg.Scheduler != nil {
		c.sched = cfg.Scheduler()
	}
	c.steers(intent)
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
