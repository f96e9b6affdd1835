package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/scheduler"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

var (
	seedFlag = flag.Uint64("seed", 0, "the seed that TestSeed runs; 0: none")
	soakFlag = flag.Duration("soak", 0, "for how long TestSoak goes on; 0: not at all")
	fromFlag = flag.Uint64("from", 0, "the seed that TestSoak begins with; 0: one of the clock")
	// See harsh_test.go.
	harshFlag     = flag.Bool("harsh", false, "TestSeed and TestSoak play on worse networks")
	schedulerFlag = flag.String("scheduler", "", "the scheduler of both sides in TestSeed and TestSoak; none: what the seed says")
	managerFlag   = flag.String("manager", "", "the path manager of both sides in TestSeed and TestSoak; none: the default one")
)

// deadline is the virtual time in which every scenario has come to its end.
const deadline = 30 * time.Minute

// run plays a scenario and says what went wrong.
func run(s *scenario) (err error) {
	var played error
	defer func() {
		if p := recover(); p != nil {
			stacks := make([]byte, 1<<16) // of all: goroutines that were left behind are to blame, too
			err = errors.Join(played, fmt.Errorf("panic: %v\n%s", p, stacks[:runtime.Stack(stacks, true)]))
		}
	}()
	judges := newJudges(s)
	stuck := simnet.Run(simnet.Config{Seed: s.seed, Deadline: deadline, Record: judges.record}, func(w *simnet.World) {
		played = s.play(w)
	})
	errs := []error{stuck, played}
	for _, f := range judges.verdict() {
		errs = append(errs, errors.New(f.String()))
	}
	return errors.Join(errs...)
}

func (s *scenario) play(w *simnet.World) error {
	n, err := s.build(w)
	if err != nil {
		return err
	}
	for range s.conns {
		pair, err := n.connect()
		if err != nil {
			return err
		}
		n.pairs = append(n.pairs, pair)
	}
	n.schedule()
	errs := make([]error, len(s.conns))
	busy := starter{w: w}
	for i, t := range s.conns {
		busy.start(func() { errs[i] = n.transfer(t, n.pairs[i], i) })
	}
	busy.wait()
	for i := range n.pairs {
		errs = append(errs, n.mode(n.pairs[i], i))
	}
	if left := n.leftovers(); left != "" {
		errs = append(errs, fmt.Errorf("connections are left:\n%s", left))
	}
	return errors.Join(errs...)
}

// connect opens a connection. On the worst of the networks that takes several attempts,
// as it does in life.
func (n *network) connect() (pair [2]*mptcp.Conn, err error) {
	l, err := n.hosts[1].Listen("tcp", ":443")
	if err != nil {
		return pair, err
	}
	defer l.Close()
	const attempts = 5
	for range attempts {
		pair[0], err = n.hosts[0].Dial(context.Background(), "tcp", netip.AddrPortFrom(n.server(), 443).String())
		if err == nil {
			break
		}
	}
	if err != nil {
		return pair, fmt.Errorf("dial: %w", err)
	}
	if pair[1], err = l.AcceptMPTCP(); err != nil {
		return pair, fmt.Errorf("accept: %w", err)
	}
	return pair, nil
}

// mode checks that a connection whose options were taken from it is plain TCP, and that
// one that nobody touched is not.
func (n *network) mode(pair [2]*mptcp.Conn, number int) error {
	first := n.scenario.paths[0].box
	gaveUp := gaveUpMPTCP(pair[0].Info().FallbackReason)
	for i, c := range pair {
		info := c.Info()
		stripped := first == stripSYN || first == stripAnswer || first == stripAllWays || first == stripThere || first == stripBack
		if stripped && info.MPTCP {
			return fmt.Errorf("connection %d, side %d: MPTCP though %s", number, i, first)
		}
		orderlyEnd := n.conns[number].ending == orderly
		if first == noBox && orderlyEnd && !info.MPTCP && !gaveUp {
			return fmt.Errorf("connection %d, side %d: fell back: %s", number, i, info.FallbackReason)
		}
	}
	return nil
}

// check fails the test if a scenario does.
func check(t *testing.T, s *scenario) {
	t.Helper()
	if err := run(s); err != nil {
		t.Errorf("go test ./internal/soak -run 'TestSeed$' -seed %d -harsh=%v -scheduler=%s -manager=%s\n%v\n%v", s.seed, s.harsh, s.both, s.manager, s, err)
	}
}

// flagged is the scenario of a seed that the flags ask for.
func flagged(seed uint64) *scenario {
	s := newScenario(seed)
	if *harshFlag {
		s = harshScenario(seed)
	}
	s.useScheduler(*schedulerFlag)
	s.useManager(*managerFlag)
	return s
}

// TestSeed plays one seed again.
func TestSeed(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("no -seed")
	}
	t.Log(flagged(*seedFlag))
	check(t, flagged(*seedFlag))
}

// 8684-6-03, 8684-3.3.1-01, -16: TestSeeds plays seeds that are the same in every run. Package tracecheck judges
// all that was sent: bytes and mappings never change, and what is DATA_ACKed was received.
func TestSeeds(t *testing.T) { playSeeds(t, newScenario) }

// TestHarshSeeds is TestSeeds on worse networks.
func TestHarshSeeds(t *testing.T) { playSeeds(t, harshScenario) }

// TestSchedulers plays seeds with each of the schedulers that the seeds' own dice do not know.
func TestSchedulers(t *testing.T) {
	names := scheduler.Names()
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for k := range 8 {
				s := newScenario(uint64(5000 + i + k*len(names)))
				s.useScheduler(name)
				check(t, s)
			}
		})
	}
}

// TestPathManagers plays seeds with each of the path managers that use all paths there are.
func TestPathManagers(t *testing.T) {
	for i, name := range []string{"backup", "fullmesh"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for k := range 8 {
				s := newScenario(uint64(6000 + i + 2*k))
				s.useManager(name)
				check(t, s)
			}
		})
	}
}

func playSeeds(t *testing.T, scenarioOf func(seed uint64) *scenario) {
	n := uint64(300)
	switch {
	case raceDetector:
		n = 20
	case testing.Short():
		n = 60
	}
	const workers = 4
	for k := range uint64(workers) {
		t.Run(fmt.Sprintf("worker %d", k), func(t *testing.T) {
			t.Parallel()
			for seed := k + 1; seed <= n; seed += workers {
				check(t, scenarioOf(seed))
			}
		})
	}
}

// TestSoak plays new seeds until its time is over or one fails. Each is told before it
// is played, so that the last one told is to blame for a crash.
func TestSoak(t *testing.T) {
	if *soakFlag == 0 {
		t.Skip("no -soak")
	}
	first := *fromFlag
	if first == 0 {
		first = uint64(time.Now().Unix()) * 1e6
	}
	seed := first
	for end := time.Now().Add(*soakFlag); time.Now().Before(end) && !t.Failed(); seed++ {
		fmt.Fprintf(os.Stderr, "\rseed %d", seed)
		check(t, flagged(seed))
	}
	fmt.Fprintf(os.Stderr, "\n%d seeds from %d on\n", seed-first, first)
}
