package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// measure does what is left to do.
func measure(ctx context.Context, o options) error {
	runs, err := load(o.out)
	if err != nil {
		return err
	}
	tasks := newResults(runs).todo(o.reps, o.only)
	if len(tasks) == 0 {
		fmt.Printf("%s has all of it already\n", o.out)
		return nil
	}
	if err := o.ready(); err != nil {
		return err
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	fmt.Printf("%d calls of rigrun, about %v\n", len(tasks), estimate(tasks))
	for i, t := range tasks {
		fmt.Printf("%s  repetition %d, %s, %s (%d of %d, about %v left)\n",
			time.Now().Format("15:04:05"), t.rep+1, t.variants[0].scenario, t.name, i+1, len(tasks), estimate(tasks[i:]))
		if err := l.do(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// ready says what lacks.
func (o options) ready() error {
	if _, err := os.Stat(filepath.Join(o.rig, "topo.sh")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the rig is not in %s: it is the laboratory's emulator of links (topo.sh, linkem, rigrun), and no part of this module; "+
			"say where it is with RIG=directory (make) or -rig directory", o.rig)
	} else if err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return errors.New("the rig is for Linux; -table shows what was measured there")
	}
	if os.Geteuid() != 0 {
		return errors.New("measuring takes root, for network namespaces and devices; -table does not")
	}
	return nil
}

// lab is the rig, built.
type lab struct {
	options
	dir   string // temporary
	stamp stamp
}

// newLab builds the rig's programs and ours.
func newLab(ctx context.Context, o options) (*lab, error) {
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, dir: dir, stamp: newStamp(ctx)}
	if l.rig, err = filepath.Abs(o.rig); err == nil {
		err = l.build(ctx)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) close() { os.RemoveAll(l.dir) }

// build makes two directories of programs: plain ones, and those that rigrun finds first.
func (l *lab) build(ctx context.Context) error {
	plain, first := filepath.Join(l.dir, "plain"), filepath.Join(l.dir, "first")
	if err := errors.Join(os.Mkdir(plain, 0o755), os.Mkdir(first, 0o755)); err != nil {
		return err
	}
	for _, b := range []struct{ in, to, what string }{
		{l.rig, plain + "/", "./linkem ./mpbench ./rigrun"},
		{"", filepath.Join(plain, "library"), "github.com/gomptcp/gomptcp/examples/mpbench"},
	} {
		cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", b.to}, strings.Fields(b.what)...)...)
		cmd.Dir = b.in
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
		}
	}
	// A session has a nice value, too; see asSession. There is none without that feature.
	nice := fmt.Sprintf("#!/bin/sh\n[ ! -w /proc/self/autogroup ] || echo %[1]d >/proc/self/autogroup\nexec nice -n %[1]d \"$@\"\n", l.nice)
	if err := os.WriteFile(filepath.Join(l.dir, "nice"), []byte(nice), 0o755); err != nil {
		return err
	}
	// rigrun begins each call with the same seed of the links' chances: repetitions would be the same.
	for name, program := range map[string]string{"mpbench": "mpbench", "library": "library"} {
		script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = serve ] || linkem ctl '%s' \"reset * $SEED\" >&2 || exit 1\nexec '%s' \"$@\"\n",
			filepath.Join(os.TempDir(), "linkem-"+l.prefix+".sock"), filepath.Join(plain, program))
		if err := os.WriteFile(filepath.Join(first, name), []byte(script), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// do calls rigrun and keeps what it stored.
func (l *lab) do(ctx context.Context, t task) error {
	stored := filepath.Join(l.dir, "runs.jsonl")
	if err := os.WriteFile(stored, nil, 0o644); err != nil {
		return err
	}
	var names []string
	for _, v := range t.variants {
		names = append(names, regexp.QuoteMeta(v.key()))
	}
	client := "mpbench"
	if t.library {
		client = "library"
	}
	cmd := exec.CommandContext(ctx, filepath.Join(l.dir, "nice"), filepath.Join(l.dir, "plain", "rigrun"), "-pfx", l.prefix, "-reps", "1", "-only", "^("+strings.Join(names, "|")+")$",
		"-out", stored, "-client", client, "-label", t.label, "-cc", t.cc, "-topo", filepath.Join(l.rig, "topo.sh"))
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(l.dir, "first")+":"+filepath.Join(l.dir, "plain")+":"+os.Getenv("PATH"),
		fmt.Sprint("SEED=", t.rep+1), "MPBENCH_ARGS="+t.args)
	cmd.Stderr = os.Stderr
	// When it is interrupted it leaves everything behind.
	asSession(cmd)
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		l.takeDown()
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted; what was measured is in %s, and the same command goes on from there", l.out)
		}
		return fmt.Errorf("%v: %w", cmd.Args, err)
	}
	return l.keep(stored, t)
}

// keep stores what rigrun did, if it did all of it: else this is another rigrun than we know.
func (l *lab) keep(stored string, t task) error {
	runs, err := load(stored)
	if err != nil {
		return err
	}
	done := newResults(runs)
	for _, v := range t.variants {
		if done.reps(v, t.contender) != 1 {
			return fmt.Errorf("rigrun knows no %q as this program does", v.key())
		}
	}
	return keep(stored, l.out, l.stamp)
}

// takeDown removes the namespaces.
func (l *lab) takeDown() {
	cmd := exec.Command(filepath.Join(l.rig, "topo.sh"), "down")
	cmd.Env = append(os.Environ(), "PFX="+l.prefix)
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "compare: %v: %v: %s\n", cmd.Args, err, out)
	}
}
