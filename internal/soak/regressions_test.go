package soak

import (
	"fmt"
	"testing"
)

// regressions are seeds that have found something. A change of how scenarios are made
// gives them another meaning: then they are just seeds.
var regressions = []struct {
	seed uint64
	what string
}{
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

func TestRegressions(t *testing.T) {
	for _, r := range regressions {
		t.Run(fmt.Sprintf("%d %s", r.seed, r.what), func(t *testing.T) { check(t, r.seed) })
	}
}
