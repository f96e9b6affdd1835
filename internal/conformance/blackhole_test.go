package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// plainOnly dials a peer that answers only SYNs without the option, of which tries come with
// it, and returns the connection.
func plainOnly(l *Lab, tries int) *mptcp.Conn {
	l.T().Helper()
	dial := l.Dial()
	var p *Peer
	for i := range tries {
		if i == 0 {
			p = l.Opened("SYN with option", SYN, Capable)
			continue
		}
		p.Want("SYN with option", SYN, Capable)
	}
	if p == nil {
		p = l.Opened("SYN without option at once", SYN, NoMPTCP)
	} else {
		p.Await("SYN without option", SYN, NoMPTCP)
	}
	p.Send("plain SYN/ACK", SYN|ACK)
	p.Await("plain ACK", ACK, Len(0), NoMPTCP)
	conn := dial.Result()
	require.False(l.T(), conn.Info().MPTCP)
	require.NoError(l.T(), conn.Abort())
	return conn
}

// 8684-3.1-33, 8684-3.9.3-01, 8684-6-01: a path that swallows MP_CAPABLE is remembered, for a time
// that grows until MPTCP gets through.
func TestBlackholeIsRemembered(t *testing.T) {
	Families(t, Options{Deadline: 100 * time.Hour}, func(t *testing.T, l *Lab) {
		conn := plainOnly(l, 3)
		require.Contains(t, conn.Info().FallbackReason, "unanswered")
		conn = plainOnly(l, 0)
		require.Contains(t, conn.Info().FallbackReason, "not tried")
		l.Sleep(59 * time.Minute)
		plainOnly(l, 0)
		l.Sleep(time.Minute)
		plainOnly(l, 3) // MPTCP is tried again, in vain
		l.Sleep(119 * time.Minute)
		plainOnly(l, 0)
		l.Sleep(time.Minute)
		for range 2 { // the path is good now, and stays so
			l.HostKey = option.Key{}
			p, conn := l.Accept()
			p.Confirm()
			require.NoError(t, conn.Abort())
		}
		n := l.Host.Counters()
		require.EqualValues(t, 2, n["Blackhole"])
		require.EqualValues(t, 2, n["MPCapableSYNTXDrop"])
		require.EqualValues(t, 3, n["MPCapableSYNTXDisabled"])
		require.EqualValues(t, 4, n["MPCapableSYNTX"])
		require.EqualValues(t, 2, n["MPCapableSYNACKRX"])
	})
}

// The number of SYNs with the option, and no memory.
func TestBlackholeSettings(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{MPCapableSYNs: 1, BlackholeTimeout: -1}}, func(t *testing.T, l *Lab) {
		plainOnly(l, 1)
		plainOnly(l, 1)
	})
	Test(t, Options{Config: mptcp.Config{MPCapableSYNs: -1, DialTimeout: 50 * time.Second}}, func(t *testing.T, l *Lab) {
		l.Dial()
		p := l.Opened("SYN with option", SYN, Capable)
		l.Sleep(40 * time.Second)
		for _, s := range p.Arrived() {
			_, capable := s.Options.Capable()
			require.True(t, capable, s)
		}
	})
}

// A peer that is not there at all, and one that answers SYNs with the option plainly, say nothing
// of the path.
func TestNoBlackhole(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{DialTimeout: 20 * time.Second}}, func(t *testing.T, l *Lab) {
		dial := l.Dial()
		l.Opened("SYN", SYN, Capable)
		l.Sleep(15 * time.Second)
		require.ErrorContains(t, dial.Err(), "deadline")
		dial = l.Dial()
		p := l.Opened("MPTCP is tried again", SYN, Capable)
		p.Send("plain SYN/ACK", SYN|ACK)
		dial.Result()
		l.Dial()
		l.Opened("and again", SYN, Capable)
		require.Zero(t, l.Host.Counters()["Blackhole"])
		require.EqualValues(t, 1, l.Host.Counters()["MPCapableFallbackSYNACK"])
	})
}
