package soak

import (
	"fmt"
	"testing"
)

// regression is a seed that has found something. A change of how scenarios are made gives
// it another meaning: then it is just a seed.
type regression struct {
	seed uint64
	what string
}

// oldRegressions are of oldScenario.
var oldRegressions = []regression{
	// The read position of a join was fixed before the peer's SYN/ACK had told where its
	// numbers start, when a Read looked for bytes at that moment: what came on this subflow
	// could not be read, and the connection stood still.
	{64, "bytes of a join that cannot be read"},
	{70, "bytes of a join that cannot be read"},
	{85, "bytes of a join that cannot be read"},
	{96, "bytes of a join that cannot be read"},
	// When the whole rest of a flight was lost, so that no SACK block ever came, one segment
	// was sent again in each round trip, though SACK had been agreed on: silence about the
	// rest says that it is lost, too.
	{233, "a lost tail is repaired one segment at a time"},
	// The opener of a join took the answer to its repeated SYN for the fourth packet and
	// sent data. The third packet got lost, was not sent again, and the peer reset the subflow.
	{2536, "data on a join before its third packet has come"},
}

// regressions are of newScenario.
var regressions = []regression{
	// Once Config.FastCloseByACK had made an abort wait for the peer's RST, timers of what is no
	// longer served were due all the time.
	{67, "a timer that is always due while a fast close is waited for"},
	// A subflow went stale, what it held was to be sent elsewhere, and the only other one died. The
	// bytes waited for another subflow for ever, and what the dead one had held waited behind them.
	{249, "reinjections that wait for another subflow where there is none"},
	// The peer's host was gone without a word. With several paths there was always a join
	// being tried, which counted as a subflow, so that Config.BreakTimeout never began.
	{602, "joins to a peer that is gone keep a connection alive for ever"},
	// The next byte had been passed over on one subflow, since it had come on another one first, but half of the
	// mapping there had yet to come. Read found the byte in it again, and looked no further.
	{40727, "a Read that looks for a byte where it was passed over"},
}

// harshRegressions are of harshScenario.
var harshRegressions = []regression{
	// The third packet was lost, and a client with nothing to say probed the silent server, which
	// waited for the third packet and did not answer: the client gave up a good path.
	{2478, "a probe that meets a half-open connection"},
	{2644, "a probe that meets a half-open connection"},
	// The client had its last DATA_ACK under way when its device went away. It waited for the server to come for
	// it; servers open no subflows.
	{3457, "a client that does not come back for the server's last confirmation"},
	// An ACK overtook the FIN before it. The closed endpoint took the gap for data, and reset.
	{7414, "a reset because an ACK has overtaken a FIN"},
	// The endpoint waited for 39 s before it repeated a lost FIN: its SYN had been repeated, and that was the round
	// trip that it had measured.
	{11053, "a lost FIN that is not repeated"},
	// A client asked by a FIN whether its silent server speaks MPTCP at all. It did, and the only subflow was closed.
	{13356, "a lone FIN that costs the only subflow"},
	// A client's devices failed and came back. Its server counted the subflows that had been there, and refused the new
	// ones for good.
	{5527, "a join refused by a limit that is not tried again"},
	// The answer to a SYN that came twice was taken for the fourth packet: it echoed the millisecond in which the
	// third one was sent, too.
	{15906, "data on a join before its third packet has come"},
	// All links went down when a FIN had been sent behind data. A closing subflow was never given up.
	{31392, "data on a closing subflow to a peer that is gone"},
}

func TestRegressions(t *testing.T) {
	for _, r := range oldRegressions {
		t.Run(fmt.Sprintf("%d %s", r.seed, r.what), func(t *testing.T) { check(t, oldScenario(r.seed)) })
	}
	for _, r := range regressions {
		t.Run(fmt.Sprintf("%d %s", r.seed, r.what), func(t *testing.T) { check(t, newScenario(r.seed)) })
	}
	for _, r := range harshRegressions {
		t.Run(fmt.Sprintf("harsh %d %s", r.seed, r.what), func(t *testing.T) { check(t, harshScenario(r.seed)) })
	}
}
