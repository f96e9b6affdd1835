package option

import "testing"

// 8684-W-11: MP_FAIL for T-C2.
func TestFail(t *testing.T) {
	requireWire(t, "1e0c6000f5a101d3d29d6f78", ackFlags, Fail{DSN: 0xf5a101d3d29d6f78})
	requireWire(t, "1e0c6000f5a101d3d29d6f78", rstFlags, Fail{DSN: 0xf5a101d3d29d6f78})
	requireLengths(t, ackFlags, []byte{0x60}, 12)
}
