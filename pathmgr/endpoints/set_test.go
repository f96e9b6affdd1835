package endpoints

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/pathmgr"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestEndpointsThatAreWrong(t *testing.T) {
	set := New()
	_, limits := set.Show()
	require.Equal(t, pathmgr.Limits{Subflows: 2}, limits)
	for _, e := range []pathmgr.Endpoint{
		{},
		{Addr: ip("0.0.0.0"), Flags: pathmgr.FlagSubflow},
		{Addr: ip("224.0.0.1"), Flags: pathmgr.FlagSubflow},
		{Addr: ip("fe80::1%eth0"), Flags: pathmgr.FlagSubflow},
		{Addr: ip("10.0.0.1"), Flags: pathmgr.FlagSignal | pathmgr.FlagFullmesh},
		{Addr: ip("10.0.0.1"), Flags: pathmgr.FlagSubflow, Port: 1},
		{Addr: ip("10.0.0.1"), Flags: pathmgr.FlagSubflow, Maps: ip("10.0.0.2")},
		{Addr: ip("10.0.0.1"), Flags: pathmgr.FlagSignal, Maps: ip("fd00::2")},
	} {
		_, err := set.Add(e)
		require.Error(t, err, "%+v", e)
	}
	id, err := set.Add(pathmgr.Endpoint{Addr: ip("::ffff:10.0.0.1"), Flags: pathmgr.FlagSubflow})
	require.NoError(t, err)
	require.EqualValues(t, 1, id)
	_, err = set.Add(pathmgr.Endpoint{Addr: ip("10.0.0.1"), Flags: pathmgr.FlagSignal})
	require.ErrorContains(t, err, "already")
	_, err = set.Add(pathmgr.Endpoint{Addr: ip("10.0.0.2"), ID: 1})
	require.ErrorContains(t, err, "ID 1")
	id, err = set.Add(pathmgr.Endpoint{Addr: ip("10.0.0.2")})
	require.NoError(t, err)
	require.EqualValues(t, 2, id)
	require.Error(t, set.Remove(9))
	require.Error(t, set.Change(9, 0))
	require.Error(t, set.Change(1, pathmgr.FlagSignal|pathmgr.FlagFullmesh))
	require.Error(t, set.SetLimits(pathmgr.Limits{Subflows: 64}))
	require.Error(t, set.SetLimits(pathmgr.Limits{AddAddrAccepted: -1}))
	for i := range 253 {
		_, err = set.Add(pathmgr.Endpoint{Addr: netip.AddrFrom4([4]byte{10, 1, 0, byte(i)})})
		require.NoError(t, err)
	}
	_, err = set.Add(pathmgr.Endpoint{Addr: ip("10.0.0.3")})
	require.ErrorContains(t, err, "255")
	list, _ := set.Show()
	require.Len(t, list, 255)
}

// Changes, looks and connections that come and go at once.
func TestConcurrentChanges(t *testing.T) {
	set := New()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				id, err := set.Add(pathmgr.Endpoint{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Flags: pathmgr.FlagSubflow})
				assert.NoError(t, err)
				stop := set.Watch(func() { set.Show() })
				assert.NoError(t, set.Change(id, pathmgr.FlagSignal))
				stop()
				assert.NoError(t, set.Remove(id))
			}
		})
	}
	wg.Wait()
	list, _ := set.Show()
	require.Empty(t, list)
}

// Nobody is told of a change that was refused, nor after the end.
func TestWatchEnds(t *testing.T) {
	set := New()
	n := 0
	stop := set.Manager().(pathmgr.Watcher).Watch(func() { n++ })
	require.Error(t, set.Remove(1))
	require.Zero(t, n)
	require.NoError(t, set.SetLimits(pathmgr.Limits{}))
	require.Equal(t, 1, n)
	stop()
	set.Flush()
	require.Equal(t, 1, n)
	require.Empty(t, set.pokes)
}
