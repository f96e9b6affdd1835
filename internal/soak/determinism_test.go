package soak

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// traceOf is a hash of all that happened to packets in a scenario.
func traceOf(t *testing.T, seed uint64) string {
	sum := sha256.New()
	var buf []byte
	s := newScenario(seed)
	require.NoError(t, simnet.Run(simnet.Config{Seed: seed, Deadline: deadline, Record: func(e simnet.Event) {
		buf = e.AppendTo(buf[:0])
		sum.Write(buf)
	}}, func(w *simnet.World) {
		if err := s.play(w); err != nil {
			t.Error(err)
		}
	}))
	return fmt.Sprintf("seed %d: %x", seed, sum.Sum(nil))
}

// repeated are seeds in which something of everything happens.
func repeated() (seeds []uint64) {
	n := uint64(25)
	if raceDetector || testing.Short() {
		n = 6
	}
	for seed := range n {
		seeds = append(seeds, 1000+seed)
	}
	return seeds
}

const childEnv = "SOAK_TEST_CHILD"

// The same seed gives the same packets, however many processors there are and in another
// process too, where maps, schedulers and hashes are different.
func TestSeedsAreRepeatable(t *testing.T) {
	const mark = "trace of "
	if os.Getenv(childEnv) != "" {
		for _, seed := range repeated() {
			fmt.Println(mark + traceOf(t, seed))
		}
		return
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(exe, "-test.run=^"+t.Name()+"$", fmt.Sprintf("-test.short=%v", testing.Short()))
	child.Env = append(os.Environ(), childEnv+"=1", "GOMAXPROCS=3")
	out, err := child.CombinedOutput()
	require.NoError(t, err, string(out))

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for i, seed := range repeated() {
		runtime.GOMAXPROCS(1 + i%8)
		want := traceOf(t, seed)
		require.True(t, strings.Contains(string(out), mark+want), "seed %d in another process", seed)
		runtime.GOMAXPROCS(1 + (i+5)%8)
		require.Equal(t, want, traceOf(t, seed))
	}
}
