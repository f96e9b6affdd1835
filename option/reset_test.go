package option

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-W-13
func TestReset(t *testing.T) {
	requireWire(t, "1e048001", rstFlags, Reset{Reason: ReasonMPTCP})
	requireWire(t, "1e048104", rstFlags, Reset{Transient: true, Reason: ReasonOutstanding})
	requireWire(t, "1e0480ff", FlagRST, Reset{Reason: 0xff})
	requireLengths(t, rstFlags, []byte{0x80}, 4)
	require.Nil(t, one(unhex(t, "1e048001"), ackFlags), "only a RST carries it")
}
