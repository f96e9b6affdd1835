package main

import (
	"os/exec"
	"syscall"
)

// asGroup gives a program that is about to start, and what it starts, a group, all of which is told to end
// when its context does.
func asGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
