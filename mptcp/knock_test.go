package mptcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/pathmgr"
)

// A join that was begun while another subflow was left is tried as often as one that is begun later, when that
// is lost.
func TestJoinIsHurriedWhenNothingIsLeft(t *testing.T) {
	onRouted(t, pathmgr.Default, pathmgr.None, func(t *testing.T, r *routed, c, s *Conn) {
		r.remove(0, 1)
		time.Sleep(time.Second)
		r.links[0][1].Down()
		r.add(0, 1) // its join stays unanswered
		time.Sleep(8 * time.Second)
		require.Len(t, subflows(c), 1)
		r.remove(0, 0)
		time.Sleep(time.Second)
		r.links[0][1].Up()
		time.Sleep(300 * time.Millisecond)
		require.Len(t, subflows(c), 1)
		exchange(t, c, s, 100_000)
	})
}

// The longer a path has been silent, the rarer are the SYNs.
func TestKnockPause(t *testing.T) {
	for silent, want := range map[time.Duration]time.Duration{
		0: 200 * time.Millisecond, time.Second: 200 * time.Millisecond, 5 * time.Second: 500 * time.Millisecond,
		time.Minute: 6 * time.Second, time.Hour: 10 * time.Second,
	} {
		require.Equal(t, want, knockPause(silent))
	}
}
