//go:build linux

package bench

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/gomptcp/gomptcp/internal/interop"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/stretchr/testify/require"
)

func TestZZStall(t *testing.T) {
	interop.Require(t)
	ns := startPeer(t)
	for i := range 20 {
		c, data, stop := connectTUN(t, ns, oneSubflow)
		done := make(chan error, 1)
		start := time.Now()
		go func() { done <- job{Warm: warm, Bytes: 2 << 30}.run(c, func() {}, func() {}) }()
		last := int64(-1)
	loop:
		for {
			select {
			case err := <-done:
				require.NoError(t, err)
				break loop
			case <-time.After(100 * time.Millisecond):
				if d := data.Load(); d == last || time.Since(start) > 3*time.Second {
					in := c.(*mptcp.Conn).Info()
					fmt.Printf("%d %v data %d %+v\n", i, time.Since(start), d, in)
				} else {
					last = d
				}
			}
		}
		fmt.Println(i, time.Since(start))
		if time.Since(start) > 3*time.Second {
			ns.Do(func() error {
				out, _ := exec.Command("nstat", "-asz").CombinedOutput()
				fmt.Println(string(out))
				return nil
			})
			stop()
			break
		}
		stop()
	}
}
