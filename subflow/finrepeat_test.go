package subflow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
)

// RFC 9293 section 3.8.1: a FIN is repeated after the sender's timeout, with growing pauses, until it is acknowledged: the
// endpoint may wait for minutes. A repetition by the endpoint counts.
func TestFINIsRepeated(t *testing.T) {
	p := opened(t, setup{})
	fin := p.one(packet.FlagFIN|packet.FlagACK, ourISS+1, peerISS+1)
	rto := p.f.sender.rtt.rto()
	require.Equal(t, p.now.Add(rto), p.f.Wake())
	tick := func() []sent {
		n := len(p.wire.out)
		p.f.Tick(p.now)
		return p.wire.out[n:]
	}
	p.wait(rto - time.Millisecond)
	require.Empty(t, tick())
	p.wait(time.Millisecond)
	again := tick()
	require.Len(t, again, 1)
	require.True(t, again[0].has(packet.FlagFIN|packet.FlagACK))
	require.Equal(t, fin.Seq(), again[0].Seq())

	require.Equal(t, p.now.Add(2*rto), p.f.Wake(), "twice as long")
	p.wait(rto)
	p.endpoint(packet.FlagFIN|packet.FlagACK, ourISS+1, peerISS+1)
	require.Equal(t, p.now.Add(2*rto), p.f.Wake(), "since the endpoint has sent it")

	p.in(seg{flags: packet.FlagACK, seq: peerISS + 1, ack: fin.Seq() + 1, window: peerWindow})
	require.Zero(t, p.f.Wake())
	p.wait(time.Hour)
	require.Empty(t, tick())
}

// A peer that answers no FIN is gone. That takes some minutes.
func TestFINIsGivenUp(t *testing.T) {
	p := opened(t, setup{})
	began := p.now
	p.one(packet.FlagFIN|packet.FlagACK, ourISS+1, peerISS+1)
	for p.owner.resets == nil {
		require.Less(t, p.now.Sub(began), 15*time.Minute)
		p.now = p.f.Wake()
		p.f.Tick(p.now)
	}
	require.Greater(t, p.now.Sub(began), 5*time.Minute)
}

// Data that is not acknowledged is repeated itself: a FIN behind it waits.
func TestFINIsNotRepeatedBeforeData(t *testing.T) {
	p := opened(t, setup{})
	p.place(100)
	p.one(packet.FlagFIN|packet.FlagACK, ourISS+1, peerISS+1)
	require.Zero(t, p.f.Wake())
	p.ack(0, 100, p.dataAck(100))
	require.NotZero(t, p.f.Wake())
}

// An ACK that has overtaken the peer's FIN looks to the endpoint as if nothing was missing: a closed one
// would reset for data that nobody reads.
func TestACKThatOvertakesIsShownInOrder(t *testing.T) {
	p := opened(t, setup{})
	p.one(packet.FlagFIN|packet.FlagACK, ourISS+1, peerISS+1)
	early := p.ack(1, 1)
	require.NotNil(t, early)
	require.EqualValues(t, peerISS+1, early.Seq())
	require.EqualValues(t, ourISS+2, early.Ack())
}

// 8684-3.2-16: on a path of less than a millisecond the answer to a repeated SYN has the timestamp of the third
// packet, too. It is not the fourth.
func TestFourthPacketWithinAMillisecond(t *testing.T) {
	for _, apart := range []time.Duration{0, 2 * time.Millisecond} {
		p := newScript(t, setup{kind: Join})
		p.syn()
		p.wait(apart)
		require.NotNil(t, p.in(seg{
			flags: packet.FlagSYN | packet.FlagACK, seq: peerISS, ack: ourISS + 1, window: peerWindow,
			opts: []option.Option{p.joinSynAck()},
		}))
		third := p.acks(0)
		ts, ok := third.Timestamps()
		require.True(t, ok)
		require.Equal(t, apart == 0, ts.Val == ourClock)
		p.f.EndpointUp()
		p.ack(0, 0) // echoes the timestamp of the SYN
		require.Equal(t, PreEstablished, p.f.State())
		p.ack(0, 0, p.dataAck(0))
		require.Equal(t, Established, p.f.State())
	}
}
