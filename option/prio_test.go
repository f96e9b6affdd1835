package option

import "testing"

// 8684-W-10: no Address ID, unlike in version 0.
func TestPrio(t *testing.T) {
	requireWire(t, "1e0351", ackFlags, Prio{Backup: true})
	requireWire(t, "1e0350", ackFlags, Prio{})
	requireLengths(t, ackFlags, []byte{0x51}, 3)
}
