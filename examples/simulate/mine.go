package main

import (
	"time"

	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/scheduler"
)

// soonest is a packet scheduler: bytes go where they are likely to arrive first, and wait
// for that path if it is full. The library's Earliest began like this.
type soonest struct{}

func (soonest) Name() string { return "soonest" }

func (soonest) Pick(req scheduler.Request, paths []scheduler.Path, picked []int) []int {
	best, soonest := -1, 0.0
	for i, p := range paths {
		if req.Reinjection && p.ID == req.ReinjectionOf || p.Stale && len(paths) > 1 {
			continue
		}
		rate := max(p.DeliveryRate, float64(p.Cwnd)/max(p.SRTT.Seconds(), 0.001), 1)
		arrives := p.SRTT.Seconds()/2 + float64(p.InFlight+p.Unsent+p.MSS)/rate
		if best < 0 || arrives < soonest {
			best, soonest = i, arrives
		}
	}
	if best < 0 || paths[best].Room == 0 {
		return picked // wait
	}
	return append(picked, best)
}

// frugal is a path manager: further subflows are opened when a connection is a second old.
type frugal struct{ initial pathmgr.Established }

func (*frugal) Name() string { return "frugal" }

func (f *frugal) Handle(now time.Time, ev pathmgr.Event) (do []pathmgr.Action) {
	switch ev := ev.(type) {
	case pathmgr.Established:
		f.initial = ev
		if ev.Role == pathmgr.Client {
			do = append(do, pathmgr.WakeAt{At: now.Add(time.Second)})
		}
	case pathmgr.Timer:
		for _, local := range f.initial.Locals {
			if local != f.initial.Local.Addr() {
				do = append(do, pathmgr.Open{Local: local, Remote: f.initial.Remote})
			}
		}
	}
	return do
}
