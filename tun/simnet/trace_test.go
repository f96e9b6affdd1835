package simnet_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

func TestMahimahiTrace(t *testing.T) {
	trace, err := simnet.ReadMahimahi(strings.NewReader("2\n3\n3\n10\n"))
	require.NoError(t, err)
	require.Equal(t, ms(10), trace.Period())
	require.EqualValues(t, 4*1500*8*100, trace.Rate())
	onLine(t, simnet.Shape{}, func(t *testing.T, l *line) {
		l.link.There.Follow(trace)
		l.send(6, 1500)
		sleep(ms(100))
		require.Equal(t, []time.Duration{ms(2), ms(3), ms(3), ms(10), ms(12), ms(13)}, l.times())
		l.got = nil
		l.send(4, 600) // two fit, and half of the third: the rest goes with the next chance
		sleep(ms(100))
		require.Equal(t, []time.Duration{ms(100), ms(100), ms(102), ms(102)}, l.times())
		l.got = nil
		l.write(segment(0, 1500))
		sleep(ms(1))
		l.link.There.Follow(nil)
		l.write(segment(1, 1500))
		sleep(ms(1))
		require.Len(t, l.got, 2)
	})
	for _, bad := range []string{"", "0\n", "5\n4\n", "x\n", "-1\n"} {
		_, err := simnet.ReadMahimahi(strings.NewReader(bad))
		require.Error(t, err, bad)
	}
}

func TestFollowRates(t *testing.T) {
	onLine(t, simnet.Shape{Queue: simnet.Queue{Packets: 1000}}, func(t *testing.T, l *line) {
		stop := l.link.There.FollowRates([]simnet.RateStep{{For: ms(100), Rate: simnet.Mbps}, {For: ms(50), Rate: simnet.Stalled}})
		l.send(30, 1250) // 10 ms each
		sleep(time.Second)
		require.Equal(t, ms(100), l.got[9].at)
		require.Equal(t, ms(160), l.got[10].at)
		require.Equal(t, ms(250), l.got[19].at)
		require.Equal(t, ms(310), l.got[20].at)
		stop()
		rate := l.link.There.Shape().Rate
		sleep(time.Second)
		require.Equal(t, rate, l.link.There.Shape().Rate)
		require.Panics(t, func() { l.link.There.FollowRates(nil) })
	})
}
