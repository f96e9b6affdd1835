package pathmgr

import "time"

// None returns a manager that never does anything: the connection has the subflows that the
// program or the peer opens.
func None() Manager { return none{} }

type none struct{}

func (none) Name() string { return "none" }

func (none) Handle(time.Time, Event) []Action { return nil }
