package mptcp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun"
)

func TestTransferOverOnePath(t *testing.T) {
	onPair(t, setup{paths: 1}, func(t *testing.T, p *pair) {
		c, s := p.connect()
		stream(t, c, s, 1<<20, 1)
		stream(t, s, c, 1<<20, 2)
		closeBoth(t, c, s)
		require.True(t, c.Info().MPTCP)
		require.True(t, s.Info().MPTCP)
	})
}

func TestTransferBothWaysAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name  string
		setup setup
		mptcp bool
	}{
		{"two paths", setup{paths: 2}, true},
		{"two paths with checksums", setup{paths: 2, client: &Config{Checksum: true}}, true},
		{"two paths that pass super-segments", setup{paths: 2, pipe: &tun.PipeConfig{}}, true},
		{"two paths that pass super-segments, with checksums", setup{paths: 2, pipe: &tun.PipeConfig{}, client: &Config{Checksum: true}}, true},
		{"two paths without offload", setup{paths: 2, pipe: &tun.PipeConfig{NoGSO: true, NoChecksum: true}}, true},
		{"plain client", setup{paths: 2, client: &Config{DisableMPTCP: true}}, false},
		{"plain server", setup{paths: 2, server: &Config{DisableMPTCP: true}}, false},
		{"plain client, super-segments", setup{paths: 2, pipe: &tun.PipeConfig{}, client: &Config{DisableMPTCP: true}}, false},
		{"small windows", setup{paths: 2, client: &Config{ReceiveBuffer: 8 << 10}, server: &Config{ReceiveBuffer: 64 << 10}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onPair(t, tc.setup, func(t *testing.T, p *pair) {
				const n = 1 << 20
				c, s := p.connect()
				exchange(t, c, s, n)
				closeBoth(t, c, s)
				info := c.Info()
				require.Equal(t, tc.mptcp, info.MPTCP, info.FallbackReason)
				require.Equal(t, tc.mptcp, s.Info().MPTCP)
				require.EqualValues(t, n, info.BytesAcked)
				require.EqualValues(t, n, info.BytesReceived)
				if tc.mptcp {
					require.Len(t, info.Subflows, tc.setup.paths)
				} else {
					require.Len(t, info.Subflows, 1)
				}
			})
		})
	}
}
