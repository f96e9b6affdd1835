package simnet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/tun/simnet"
)

func TestAnHourOfIdling(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		n := 0
		w.Every(time.Minute, func() { n++ })
		time.Sleep(time.Hour + time.Second)
		require.Equal(t, 60, n)
	})
}
