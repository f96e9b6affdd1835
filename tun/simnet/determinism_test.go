package simnet_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// busy is a run with a little of everything: two paths, loss, jitter, reordering, bytes
// both ways at once, two connections, a path that is cut and comes back, orderly closing.
func busy(t *testing.T, seed uint64) (trace []byte) {
	sum := sha256.New()
	var buf []byte
	var log bytes.Buffer
	cfg := simnet.Config{Seed: seed, Deadline: 10 * time.Minute, Record: func(e simnet.Event) {
		buf = e.AppendTo(buf[:0])
		sum.Write(buf)
		if *dumpTrace {
			fmt.Fprintf(&log, "%v %s %v %s\n", e.At, e.Direction.Name(), e.Kind, describe(e.Packet))
		}
	}}
	err := simnet.Run(cfg, func(w *simnet.World) {
		p := newPair(t, w, nil,
			simnet.Shape{Rate: 10 * simnet.Mbps, Delay: 10 * time.Millisecond, Loss: 0.01, Jitter: time.Millisecond},
			simnet.Shape{Rate: 5 * simnet.Mbps, Delay: 30 * time.Millisecond, Reorder: 0.02, ReorderBy: 5 * time.Millisecond, Duplicate: 0.01})
		w.At(200*time.Millisecond, p.links[1].Down)
		w.At(600*time.Millisecond, p.links[1].Up)
		c, s := p.connect(t)
		c2, s2 := p.connect(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			stream(t, s, c, 200<<10)
		}()
		done2 := make(chan struct{})
		go func() {
			defer close(done2)
			stream(t, s2, c2, 200<<10)
		}()
		stream(t, c, s, 400<<10)
		<-done
		<-done2
		require.NoError(t, c2.Abort())
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
		time.Sleep(2 * time.Second)
	})
	require.NoError(t, err)
	if *dumpTrace {
		writeTrace(t, log.Bytes())
	}
	return sum.Sum(nil)
}

// busySeed is one with which a timer that was always due once stopped the world.
const busySeed = 7

func TestSameSeedSameTrace(t *testing.T) {
	runs := 50
	if testing.Short() || raceDetector {
		runs = 10
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	want := busy(t, busySeed)
	for i := range runs {
		runtime.GOMAXPROCS(1 + i%8)
		require.Equal(t, want, busy(t, busySeed), "run %d", i)
	}
	require.NotEqual(t, want, busy(t, busySeed+1))
}

const childEnv = "SIMNET_TEST_CHILD"

// In another process maps, schedulers and hashes are different.
func TestSameTraceInAnotherProcess(t *testing.T) {
	const mark = "trace: "
	if os.Getenv(childEnv) != "" {
		fmt.Println(mark + hex.EncodeToString(busy(t, busySeed)))
		return
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(exe, "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), childEnv+"=1", "GOMAXPROCS=3")
	out, err := child.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), mark+hex.EncodeToString(busy(t, busySeed)))
}
