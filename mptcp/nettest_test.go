package mptcp

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/gomptcp/gomptcp/tun"
)

// 8684-1.1-02: TestNetConn runs the conformance suite for net.Conn over one path, two paths
// and plain TCP in each role: they serve an application as TCP does.
func TestNetConn(t *testing.T) {
	for _, tc := range []struct {
		name           string
		paths          int
		client, server *Config
	}{
		{"one path", 1, nil, nil},
		{"two paths", 2, nil, nil},
		{"plain client", 1, &Config{DisableMPTCP: true}, nil},
		{"plain server", 1, nil, &Config{DisableMPTCP: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				p := newPair(t, tc.paths, tun.PipeConfig{}, tc.client, tc.server)
				a, b := p.connect()
				return a, b, func() { a.Close(); b.Close() }, nil
			})
		})
	}
}
