package main

import (
	"os/exec"
	"syscall"
)

// asSession gives a program that is about to start, and what it starts, a session of its own, all of which
// is told to end when its context does. Linux shares the processors out among sessions first, and a nice value
// counts only within one (sched_autogroup_enabled).
func asSession(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
