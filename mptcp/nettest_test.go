package mptcp

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

// 8684-1.1-02: TestNetConn runs the conformance suite for net.Conn, by either end, over one
// path, two paths, and plain TCP for each reason that makes a connection plain TCP: they
// serve an application as TCP does.
//
// The suite runs subtests, which the t of a bubble does not allow. Here t is that of the
// test outside: Run starts the subtest's goroutine, and all that it makes, in the world.
func TestNetConn(t *testing.T) {
	var (
		anything = simnet.StripMPTCP(nil)
		syns     = simnet.StripMPTCP(simnet.IsSYN)
		data     = simnet.StripMPTCP(simnet.HasPayload)
		acks     = simnet.StripMPTCP(func(b []byte) bool { return !simnet.IsSYN(b) && !simnet.HasPayload(b) })
	)
	small := Config{SendBuffer: 64 << 10, ReceiveBuffer: 64 << 10} // the suite fills them
	plain := small
	plain.DisableMPTCP = true
	for i, tc := range []struct {
		name           string
		paths          int
		client, server Config
		there, back    simnet.Middlebox // on the first path
		mptcp          bool
	}{
		{name: "one path", paths: 1, client: small, server: small, mptcp: true},
		{name: "two paths", paths: 2, client: small, server: small, mptcp: true},
		{name: "plain client", paths: 1, client: plain, server: small},
		{name: "plain server", paths: 1, client: small, server: plain},
		{name: "SYN stripped", paths: 1, client: small, server: small, there: syns},
		{name: "SYN/ACK stripped", paths: 1, client: small, server: small, back: syns},
		{name: "third packet stripped", paths: 1, client: small, server: small, there: acks},
		{name: "data stripped", paths: 1, client: small, server: small, there: data, back: data},
		{name: "all stripped", paths: 1, client: small, server: small, there: anything, back: anything},
	} {
		for _, swap := range []bool{false, true} {
			if raceEnabled && swap != (i%2 == 1) {
				continue // slow there: one end each
			}
			name := tc.name + map[bool]string{false: " by client", true: " by server"}[swap]
			t.Run(name, func(t *testing.T) {
				require.NoError(t, simnet.Run(simnet.Config{Seed: 1}, func(w *simnet.World) {
					p := newPair(t, w, setup{paths: tc.paths, client: &tc.client, server: &tc.server})
					if tc.there != nil {
						p.links[0].There.Through(tc.there)
					}
					if tc.back != nil {
						p.links[0].Back.Through(tc.back)
					}
					var ends []*Conn
					nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
						c, s := p.connect()
						ends = append(ends, c, s)
						stop = func() { c.Close(); s.Close() }
						if swap {
							return s, c, stop, nil
						}
						return c, s, stop, nil
					})
					time.Sleep(2 * time.Minute) // all are over
					for _, c := range ends {
						// Some subtests end before the peer knows what the path does.
						if i := c.Info(); i.BytesAcked+i.BytesReceived > 0 {
							require.Equal(t, tc.mptcp, i.MPTCP, c.dump())
						}
					}
				}))
			})
		}
	}
}
