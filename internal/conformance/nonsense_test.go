package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.4.2-05, 8684-3.8-03, 8684-7-01, 8684-Q-20, -22, -23
func TestNonsenseIsIgnored(t *testing.T) {
	for name, with := range map[string]Part{
		"REMOVE_ADDR of an unknown ID": Option(option.NewRemoveAddr(200, 3)),
		"unknown subtype":              Raw(0x1e, 4, 0x90, 0),
		"private subtype":              Raw(0x1e, 4, 0xf0, 0),
		"DSS of a wrong length":        Raw(0x1e, 5, 0x20, 0x01, 0),
		"DSS that says nothing":        Raw(0x1e, 4, 0x20, 0x02),
		"MP_CAPABLE out of place":      Raw(0x1e, 12, 0x01, 0x01, 1, 2, 3, 4, 5, 6, 7, 8),
		"MP_JOIN out of place":         Raw(0x1e, 12, 0x10, 0x01, 1, 2, 3, 4, 5, 6, 7, 8),
		"option without an end":        Raw(0x1e, 40, 0x20, 0x01),
		"length 0":                     Raw(0x1e, 0, 1, 1),
		"DATA_ACK of the future":       DataAck(1_000_000),
		"DATA_ACK of the past":         DataAck(-1_000_000),
		"DATA_FIN without mapping":     Raw(0x1e, 4, 0x20, 0x10),
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, Options{}, func(t *testing.T, l *Lab) {
				p, conn := connected(l)
				p.Send("nonsense", ACK, with)
				p.Never("no reset", second, RST|ACK)
				require.Zero(t, conn.Info().BytesAcked)
				carriesOn(l, p, conn)
			})
		})
	}
}
