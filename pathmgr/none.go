package pathmgr

import "time"

// None returns a manager that never does anything: the connection has the subflows that the
// peer opens.
func None() Manager { return idle("none") }

// Manual returns the manager for programs that manage paths themselves: it does nothing. The program
// hears of everything by Conn.NextEvent and acts by Conn.AddSubflow, RemoveSubflow, SetBackup, Announce
// and Withdraw.
func Manual() Manager { return idle("manual") }

// idle is a manager that does nothing; the string is its name.
type idle string

func (i idle) Name() string { return string(i) }

func (idle) Handle(time.Time, Event) []Action { return nil }
