package main

import (
	"bytes"
	"flag"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
)

func TestParseFlags(t *testing.T) {
	cfg, err := parseFlags(strings.Fields("-l -dev wifi=10.1.1.2/24,fd00:1::2/64 -dev lte=10.1.2.2/24 -scheduler roundrobin "+
		"-pathmgr none -intent handover -checksum -pcap c.pcapng -stats s.json -timeout 30s fd00:1::2 5001"), io.Discard)
	require.NoError(t, err)
	require.True(t, cfg.listen)
	require.Equal(t, "[fd00:1::2]:5001", cfg.address)
	require.Equal(t, []deviceFlag{
		{"wifi", []netip.Prefix{netip.MustParsePrefix("10.1.1.2/24"), netip.MustParsePrefix("fd00:1::2/64")}},
		{"lte", []netip.Prefix{netip.MustParsePrefix("10.1.2.2/24")}},
	}, cfg.devices)
	require.Equal(t, mptcp.Handover, cfg.intent)
	require.Equal(t, "roundrobin", cfg.sched().Name())
	require.Equal(t, "none", cfg.pathmgr().Name())
	require.True(t, cfg.checksum)
	require.Empty(t, cfg.uplinks)
	require.Equal(t, "c.pcapng", cfg.pcap)
	require.Equal(t, "s.json", cfg.stats)
	require.Equal(t, 30*time.Second, cfg.timeout)
}

func TestParseFlagsDefaults(t *testing.T) {
	cfg, err := parseFlags(strings.Fields("-dev tun0=10.1.1.2/24 10.9.0.1 5001"), io.Discard)
	require.NoError(t, err)
	require.False(t, cfg.listen)
	require.False(t, cfg.checksum)
	require.Nil(t, cfg.sched, "the intent's")
	require.Nil(t, cfg.pathmgr)
	require.Equal(t, mptcp.Balanced, cfg.intent)
	require.Zero(t, cfg.timeout)
}

func TestParseFlagsUplinks(t *testing.T) {
	cfg, err := parseFlags(strings.Fields("-uplinks eth0,wl* -uplinks usb0 -dry-run example.org 5001"), io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"eth0", "wl*", "usb0"}, cfg.uplinks)
	require.True(t, cfg.dryRun)
	require.Empty(t, cfg.devices)
	require.Nil(t, cfg.pathmgr)
	require.EqualValues(t, 5001, cfg.port)

	cfg, err = parseFlags(strings.Fields("-l -uplinks auto 0.0.0.0 5001"), io.Discard)
	require.NoError(t, err)
	require.Equal(t, "none", cfg.pathmgr().Name(), "the devices' addresses are private")
}

// What `ip mptcp` sets for the kernel, flags set here.
func TestParseFlagsOfEndpoints(t *testing.T) {
	for _, name := range pathmgr.Names() {
		cfg, err := parseFlags(strings.Fields("-dev tun0=10.1.1.2/24 -pathmgr "+name+" 10.9.0.1 5001"), io.Discard)
		require.NoError(t, err)
		require.Equal(t, name, cfg.pathmgr().Name())
	}
	cfg, err := parseFlags([]string{
		"-dev", "tun0=10.1.1.2/24", "-pathmgr", "endpoints", "-endpoint", "10.1.2.2 subflow backup", "-limits", "subflows 1", "10.9.0.1", "5001",
	}, io.Discard)
	require.NoError(t, err)
	local, remote := netip.MustParseAddr("10.1.2.2"), netip.MustParseAddrPort("10.9.0.1:5001")
	require.Equal(t, []pathmgr.Action{pathmgr.Open{Local: local, Remote: remote, Backup: true, LocalID: 1}},
		cfg.pathmgr().Handle(time.Now(), pathmgr.Established{
			ID: 1, Local: netip.MustParseAddrPort("10.1.1.2:1"), Remote: remote, Locals: []netip.Addr{local},
		}))
}

// A wrong command line is answered with what is wrong and what to write instead.
func TestParseFlagsErrors(t *testing.T) {
	const dev = "-dev tun0=10.1.1.2/24 "
	for args, want := range map[string]string{
		dev + "10.9.0.1":                       "want HOST and PORT",
		dev + "10.9.0.1 1 2":                   "want HOST and PORT",
		"10.9.0.1 5001":                        "no -dev",
		dev + "-dry-run 10.9.0.1 5001":         "about -uplinks",
		"-dev tun0 10.9.0.1 5001":              "want NAME=ADDR/LEN",
		"-dev =10.1.1.2/24 10.9.0.1 5001":      "want NAME=ADDR/LEN",
		"-dev tun0=10.1.1.2 10.9.0.1 5001":     "no address with prefix length",
		dev + dev + "10.9.0.1 5001":            "named twice",
		dev + "-intent best 10.9.0.1 5001":     "handover, interactive",
		dev + "-scheduler best 10.9.0.1 5001":  "minrtt, redundant",
		dev + "-pathmgr best 10.9.0.1 5001":    "default, endpoints",
		dev + "-limits subflows 10.9.0.1 5001": "-pathmgr endpoints",
		dev + "-endpoint 10.1 10.9.0.1 5001":   "10.1",
		dev + "-timeout -1s 10.9.0.1 5001":     "must not be negative",
		dev + "-nonsense 10.9.0.1 5001":        "nonsense",
		dev + "10.9.0.1 nonesuch":              "PORT",
	} {
		_, err := parseFlags(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
}

func TestHelpShowsAnExampleAndEveryFlag(t *testing.T) {
	var out bytes.Buffer
	_, err := parseFlags([]string{"-h"}, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, want := range []string{"mpcat -dev wifi=10.1.1.2/24 -dev lte=10.1.2.2/24 10.9.0.1 5001 <file",
		"-l", "-dev NAME=ADDR/LEN", "-intent", "-scheduler", "-pathmgr", "-endpoint", "-limits", "mpcat -uplinks auto example.org 5001 <file", "-uplinks UPLINKS", "-dry-run", "-checksum", "-pcap FILE", "-stats FILE", "-timeout"} {
		require.Contains(t, out.String(), want)
	}
}
