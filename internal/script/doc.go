// Package script is a peer for tests that does what no honest peer does: it owns the far
// ends of simulated links, has no TCP of its own, and sends and expects single segments in
// virtual time, against an mptcp.Host as client or as server.
//
// A script reads as sentences:
//
//	script.Test(t, script.Options{}, func(t *testing.T, l *script.Lab) {
//		dial := l.Dial()
//		peer := l.Opened("SYN with MP_CAPABLE", script.SYN, script.Capable)
//		peer.Send("SYN/ACK with our key", script.SYN|script.ACK, script.Capable)
//		peer.Want("third ACK carries both keys", script.ACK, script.Capable, script.Len(0))
//		conn := dial.Result()
//
// Sequence numbers are relative: those of TCP to the initial one, so that the first byte
// has 1, and data sequence numbers to the IDSN, likewise. A segment is described by Parts,
// which say what to put into one that is sent and what to look for in one that is expected;
// what no Part mentions is chosen, or not looked at. Keys, nonces, HMACs and checksums are
// worked out by the peer, and checked.
//
// Calls that block are values (Call): start them, assert that they are not done, feed a
// packet, assert the result. When a test fails, the whole exchange is printed as a ladder.
//
// A Lab and what belongs to it is used by one goroutine, that of the test.
package script
