package endpoints

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/pathmgr"
)

// What is read is what is shown.
func TestParse(t *testing.T) {
	for s, want := range map[string]pathmgr.Endpoint{
		"10.1.0.1": {Addr: ip("10.1.0.1")},
		"10.1.0.1 id 3 subflow backup fullmesh": {
			Addr: ip("10.1.0.1"), ID: 3, Flags: pathmgr.FlagSubflow | pathmgr.FlagBackup | pathmgr.FlagFullmesh,
		},
		"2001:db8::1 id 255 port 8443 signal maps fd00::1": {
			Addr: ip("2001:db8::1"), ID: 255, Port: 8443, Flags: pathmgr.FlagSignal, Maps: ip("fd00::1"),
		},
		"10.1.0.1 id 1 subflow dev wlan0": {Addr: ip("10.1.0.1"), ID: 1, Device: "wlan0", Flags: pathmgr.FlagSubflow},
		"10.1.0.1 laminar":                {Addr: ip("10.1.0.1"), Flags: pathmgr.FlagLaminar},
	} {
		ep, err := Parse(s)
		require.NoError(t, err)
		require.Equal(t, want, ep)
		require.Equal(t, s, ep.String())
	}
	for _, s := range []string{
		"", "10.1", "10.1.0.1 id", "10.1.0.1 id 256 subflow", "10.1.0.1 port 70000 signal", "10.1.0.1 better", "10.1.0.1 better 3",
		"10.1.0.1 port 1 subflow", "10.1.0.1 signal maps x", "10.1.0.1 subflow dev",
	} {
		_, err := Parse(s)
		require.Error(t, err, s)
	}
}

func TestParseLimits(t *testing.T) {
	for s, want := range map[string]pathmgr.Limits{
		"":                               {Subflows: 2},
		"subflows 5":                     {Subflows: 5},
		"add_addr_accepted 3":            {Subflows: 2, AddAddrAccepted: 3},
		"subflows 0 add_addr_accepted 1": {AddAddrAccepted: 1},
	} {
		l, err := ParseLimits(s, pathmgr.DefaultLimits)
		require.NoError(t, err)
		require.Equal(t, want, l)
	}
	for _, s := range []string{"subflows", "subflows x", "subflows 64", "subflows -1", "more 3", "subflows 1 add_addr_accepted"} {
		_, err := ParseLimits(s, pathmgr.DefaultLimits)
		require.Error(t, err, s)
	}
}
