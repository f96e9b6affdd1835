package option

import "testing"

// 8684-W-12: MP_FASTCLOSE to B, on an ACK and on a RST.
func TestFastClose(t *testing.T) {
	requireWire(t, "1e0c70001112131415161718", ackFlags, FastClose{ReceiverKey: keyB})
	requireWire(t, "1e0c70001112131415161718", rstFlags, FastClose{ReceiverKey: keyB})
	requireLengths(t, ackFlags, []byte{0x70}, 12)
}
