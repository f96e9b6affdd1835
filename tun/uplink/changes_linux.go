package uplink

import (
	"errors"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// settleTime is how long a change waits for others that come with it.
	settleTime = 5 * time.Millisecond
	// restTime is the least time between two looks at a system that changes all the time.
	restTime = 20 * time.Millisecond
	// retryTime is when a set-up that failed is tried again, if nothing changes before.
	retryTime = time.Second
)

// changes are those of the links, addresses and routes of a network namespace.
type changes struct {
	events *nl.NetlinkSocket
	some   chan struct{} // there was one; holds one
	closed chan struct{}
}

// subscribe notes changes in the calling thread's network namespace until close is called.
func subscribe() (*changes, error) {
	events, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, err
	}
	c := &changes{events: events, some: make(chan struct{}, 1), closed: make(chan struct{})}
	go c.receive()
	return c, nil
}

func (c *changes) close() {
	close(c.closed)
	c.events.Close()
}

// receive says that something has changed. What, the next snapshot tells: so nothing is missed
// when the kernel drops notifications (ENOBUFS).
func (c *changes) receive() {
	for {
		_, _, err := c.events.Receive()
		select {
		case <-c.closed:
			return
		case c.some <- struct{}{}:
		default:
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// each calls look after changes, until stop is closed, and again after the time that look has
// returned, if that is not 0.
func (c *changes) each(stop <-chan struct{}, look func() (again time.Duration)) {
	timer := time.NewTimer(0)
	timer.Stop()
	looked := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-c.some:
			time.Sleep(max(settleTime, restTime-time.Since(looked)))
			select {
			case <-c.some:
			default:
			}
		case <-timer.C:
		}
		if again := look(); again > 0 {
			timer.Reset(again)
		}
		looked = time.Now()
	}
}
