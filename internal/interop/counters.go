//go:build linux

package interop

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Counters are the kernel's MPTCP counters of a namespace (MPTcpExt in
// /proc/net/netstat) by their names.
type Counters map[string]int64

// Counters reads the namespace's counters. They begin at 0 with the namespace.
func (ns *Namespace) Counters(t testing.TB) Counters {
	t.Helper()
	var text []byte
	require.NoError(t, ns.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/netstat")
		return err
	}))
	c, err := parseCounters(text)
	require.NoError(t, err)
	return c
}

// parseCounters reads the two MPTcpExt lines, the names and the values.
func parseCounters(netstat []byte) (Counters, error) {
	var lines [][]string
	for line := range bytes.Lines(netstat) {
		if f := strings.Fields(string(line)); len(f) > 0 && f[0] == "MPTcpExt:" {
			lines = append(lines, f[1:])
		}
	}
	if len(lines) != 2 || len(lines[0]) != len(lines[1]) {
		return nil, fmt.Errorf("no MPTcpExt counters in /proc/net/netstat: %q", lines)
	}
	c := Counters{}
	for i, name := range lines[0] {
		v, err := strconv.ParseInt(lines[1][i], 10, 64)
		if err != nil {
			return nil, err
		}
		c[name] = v
	}
	return c, nil
}

// Get returns one counter. It fails the test when this kernel has none of that name, so
// that a mistyped name does not pass for 0.
func (c Counters) Get(t testing.TB, name string) int64 {
	t.Helper()
	v, ok := c[name]
	require.True(t, ok, "the kernel has no counter %s", name)
	return v
}

// RequireAll fails the test unless each named counter has the wanted value.
func (c Counters) RequireAll(t testing.TB, want map[string]int64) {
	t.Helper()
	for name, v := range want {
		require.Equal(t, v, c.Get(t, name), "%s; all that moved: %s", name, c)
	}
}

// neverCounters are those that stay 0 as long as both ends follow the protocol. Not
// every kernel has all of them.
var neverCounters = []string{
	"MPCapableFallbackACK", "MPCapableFallbackSYNACK", "MPCapableDataFallback", "MPFallbackTokenInit",
	"DssFallback", "FallbackFailed", "MD5SigFallback", "SimultConnectFallback", "Blackhole",
	"MPJoinNoTokenFound", "MPJoinAckHMacFailure", "MPJoinSynAckHMacFailure",
	"DSSNotMatching", "DSSCorruptionFallback", "DSSCorruptionReset", "DSSNoMatchTCP", "DataCsumErr",
	"InfiniteMapTx", "InfiniteMapRx", "MPFailTx", "MPFailRx",
	"MPFastcloseTx", "MPFastcloseRx",
}

// resetCounters count the resets of single subflows.
var resetCounters = []string{"MPRstTx", "MPRstRx"}

// RequireClean fails the test when a counter of misbehaviour moved: fallback, HMAC
// failures, bad mappings or checksums, fast close.
func (c Counters) RequireClean(t testing.TB) {
	t.Helper()
	c.requireZero(t, neverCounters)
}

// RequireNoReset fails the test when a subflow was reset by either end.
func (c Counters) RequireNoReset(t testing.TB) {
	t.Helper()
	c.requireZero(t, resetCounters)
}

func (c Counters) requireZero(t testing.TB, names []string) {
	t.Helper()
	for _, name := range names {
		require.Zero(t, c[name], "%s; all that moved: %s", name, c)
	}
}

// String lists the counters that are not 0.
func (c Counters) String() string {
	var moved []string
	for name, v := range c {
		if v != 0 {
			moved = append(moved, fmt.Sprintf("%s=%d", name, v))
		}
	}
	return strings.Join(slices.Sorted(slices.Values(moved)), " ")
}
