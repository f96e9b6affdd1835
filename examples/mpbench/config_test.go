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
)

func parse(line string) (*config, error) {
	return parseFlags(strings.Fields(line), nil, false, io.Discard)
}

// The command lines of the rig's scenarios.
func TestFlagsOfTheRig(t *testing.T) {
	cfg, err := parse("up -time 10s")
	require.NoError(t, err)
	require.Equal(t, request{Mode: "up", DurMs: 10000, Req: 1024, Resp: 1024}, cfg.request)
	require.Equal(t, "10.9.0.1:5001", cfg.address)
	require.Equal(t, time.Minute, cfg.timeout)
	require.True(t, cfg.json)
	require.Nil(t, cfg.host.Scheduler, "the intent's")
	require.Nil(t, cfg.host.PathManager)
	require.Equal(t, "bbr", cfg.host.Congestion().Name())
	require.Equal(t, []string{"tun-a", "tun-b"}, []string{cfg.paths[0].device, cfg.paths[1].device})
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.2.0.2/24"), netip.MustParsePrefix("fd02::2/64")}, cfg.paths[1].addrs)

	cfg, err = parse("down -size 40000000 -timeout 60s -nosum")
	require.NoError(t, err)
	require.Equal(t, mptcp.Balanced, cfg.host.Intent)
	require.Equal(t, request{Mode: "down", Bytes: 40000000, NoSum: true, Req: 1024, Resp: 1024}, cfg.request)

	cfg, err = parse("echo -req 65536 -resp 64 -count 100 -after-connect 200ms -interval 1ms")
	require.NoError(t, err)
	require.Equal(t, request{Mode: "echo", Req: 65536, Resp: 64}, cfg.request)
	require.Equal(t, 100, cfg.count)
	require.Equal(t, 200*time.Millisecond, cfg.afterConnect)
	require.Equal(t, time.Millisecond, cfg.interval)
}

func TestFlagsFromTheEnvironmentComeFirst(t *testing.T) {
	cfg, err := parseFlags(strings.Fields("up -size 5 -pm none"), strings.Fields("-pm fullmesh -scheduler minrtt -intent handover"), true, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "none", cfg.host.PathManager().Name())
	require.Equal(t, "minrtt", cfg.host.Scheduler().Name())
	require.Equal(t, mptcp.Handover, cfg.host.Intent)
	require.False(t, cfg.json, "somebody reads along")
}

func TestFlagsOfPaths(t *testing.T) {
	cfg, err := parse("down -dev a=10.1.1.2/24,b=10.2.1.2/24,fd00:2::2/64 -via b=wlan0 -local [fd00:2::2] -addr [fd00:9::1]:5001 -mptcp=false")
	require.NoError(t, err)
	require.Equal(t, []path{
		{"b", []netip.Prefix{netip.MustParsePrefix("10.2.1.2/24"), netip.MustParsePrefix("fd00:2::2/64")}, "wlan0"},
		{"a", []netip.Prefix{netip.MustParsePrefix("10.1.1.2/24")}, ""},
	}, cfg.paths)
	require.True(t, cfg.host.DisableMPTCP)

	cfg, err = parse("up -uplinks eth0,wl*")
	require.NoError(t, err)
	require.Equal(t, []string{"eth0", "wl*"}, cfg.uplinks)
	require.Empty(t, cfg.paths)

	cfg, err = parse("serve")
	require.NoError(t, err)
	require.Equal(t, "tun-s", cfg.paths[0].device)
	require.Equal(t, ":5001", cfg.address)
}

// A wrong command line is answered with what is wrong and what to write instead.
func TestFlagErrors(t *testing.T) {
	for line, want := range map[string]string{
		"":                               "up, down, echo or serve",
		"-time 1s":                       "up, down, echo or serve",
		"sideways":                       "sideways",
		"up now":                         "nothing is expected",
		"up -time 1s -size 5":            "one of them",
		"up -time -1s":                   "negative",
		"up -timeout -1s":                "negative",
		"up -nonsense":                   "nonsense",
		"echo -req 7":                    "must be from 8",
		"echo -resp 100000000":           "must be from 8",
		"echo -count 0":                  "positive",
		"up -cc reno":                    "bbr",
		"up -scheduler best":             "minrtt",
		"up -pm best":                    "default",
		"up -intent best":                "handover, interactive",
		"up -dev tun0":                   "want NAME=ADDR/LEN",
		"up -dev =10.1.1.2/24":           "want NAME=ADDR/LEN",
		"up -dev tun0=10.1.1.2":          "no address with prefix length",
		"up -dev a=10.1.1.2/24,a=::1/64": "named twice",
		"up -via tun-c=la":               "a device of -dev",
		"up -via tun-a":                  "want DEV=INTERFACE",
		"up -local 10.3.0.2":             "no device of -dev",
		"up -local here":                 "-local",
		"up -uplinks auto -via tun-a=la": "leave out",
		"serve -uplinks auto":            "for clients",
	} {
		_, err := parse(line)
		require.ErrorContains(t, err, want, line)
	}
}

func TestHelpShowsEveryFlag(t *testing.T) {
	var out bytes.Buffer
	_, err := parseFlags([]string{"-h"}, nil, true, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, want := range []string{"mpbench serve -dev mp0", "-addr", "-time", "-size", "-req", "-resp", "-count", "-interval", "-timeout", "-after-connect",
		"-nosum", "-dev", "-via", "-uplinks", "-watch", "-local", "-mptcp", "-cc", "-intent", "-scheduler", "-pm", "-json"} {
		require.Contains(t, out.String(), want)
	}
}
