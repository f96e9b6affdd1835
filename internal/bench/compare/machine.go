package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// newStamp describes this machine and the library as it is.
func newStamp(ctx context.Context) stamp {
	return stamp{
		Machine: fmt.Sprintf("Linux %s, %s, %d cores, %s", output(ctx, "uname", "-r"), processor(), runtime.NumCPU(), runtime.Version()),
		Commit:  output(ctx, "git", "describe", "--always", "--dirty"),
	}
}

// output is the first line of what a program prints, or "unknown".
func output(ctx context.Context, name string, args ...string) string {
	b, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// processor is its model.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(b)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}

// sorted are the keys of a set, but for the empty one.
func sorted(set map[string]bool) (all []string) {
	for k := range set {
		if k != "" {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}
