//go:build linux

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseCounters(t *testing.T) {
	c, err := parseCounters([]byte("TcpExt: A B\nTcpExt: 7 8\nMPTcpExt: MPCapableSYNRX MPJoinSynRx\nMPTcpExt: 1 0\n"))
	require.NoError(t, err)
	require.Equal(t, Counters{"MPCapableSYNRX": 1, "MPJoinSynRx": 0}, c)
	require.Equal(t, "MPCapableSYNRX=1", c.String())

	for _, text := range []string{"", "MPTcpExt: A B\n", "MPTcpExt: A B\nMPTcpExt: 1\n", "MPTcpExt: A\nMPTcpExt: x\n"} {
		_, err := parseCounters([]byte(text))
		require.Error(t, err, "%q", text)
	}
}
