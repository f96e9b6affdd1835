package mptcp

// act queues something that has to call an endpoint. c.mu is held.
func (c *Conn) act(f func()) {
	if len(c.actions) == 0 && !c.acting {
		c.host.noteActing(c, true)
	}
	c.actions = append(c.actions, f)
	if !c.actSpawned {
		c.actSpawned = true
		c.host.spawn(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.runActions()
			c.actSpawned = false
		})
	}
}

// runActions runs what is queued, in its order, unless somebody else does so already. c.mu is
// held, but not while they run.
func (c *Conn) runActions() {
	if c.acting {
		return
	}
	c.acting = true
	for len(c.actions) > 0 {
		list := c.actions
		c.actions = nil
		c.mu.Unlock()
		for _, f := range list {
			f()
		}
		c.mu.Lock()
	}
	c.acting = false
	c.host.noteActing(c, false)
	c.idle.Broadcast()
}

// settle returns when nothing is queued. It does not rely on the goroutine that was asked
// for: in an environment that has come to its end that never runs.
func (c *Conn) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.acting || len(c.actions) > 0 {
		if c.acting {
			c.idle.Wait()
		} else {
			c.runActions()
		}
	}
}

// noteActing keeps the connections that have something to do, those that have ended among
// them, so that Close finds them. The connection's lock is held.
func (h *Host) noteActing(c *Conn, acting bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if acting {
		h.acting[c] = struct{}{}
	} else {
		delete(h.acting, c)
	}
}

// settle returns when no connection has anything to do.
func (h *Host) settle() {
	for {
		h.mu.RLock()
		list := byNumber(h.acting)
		h.mu.RUnlock()
		if len(list) == 0 {
			return
		}
		for _, c := range list {
			c.settle()
		}
	}
}
