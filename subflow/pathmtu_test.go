package subflow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/packet"
)

// tooBig is what a router says about the segment of ours at offset.
func (p *script) tooBig(mtu, offset, length int) bool {
	return p.f.TooBig(p.now, &packet.TooBig{MTU: mtu, Src: p.f.Local, Dst: p.f.Remote, Seq: uint32(ourISS + 1 + offset), Len: length})
}

// What did not fit is sent again in shorter segments: with the mapping that it had, and
// without a loss for the congestion controller.
func TestTooBigMakesSegmentsShorter(t *testing.T) {
	for _, gso := range []bool{false, true} {
		p := opened(t, setup{gso: gso})
		p.shared.MIB = new(mib.Set)
		mss := p.f.MSS()
		before := p.placeAll(5 * mss)
		p.ack(0, mss, p.dataAck(mss))
		require.True(t, p.tooBig(1000, 2*mss, 1500))
		require.EqualValues(t, 1, p.shared.MIB.Snapshot()["PathMTULowered"])
		require.Equal(t, 1000, p.f.PathMTU())
		require.Equal(t, mss-500, p.f.MSS())
		var out []sent
		for range 20 { // the pacer has its say
			out = append(out, p.run()...)
			p.wait(time.Millisecond)
		}
		at, old := ourISS+1+2*mss, before[0]
		for _, s := range out {
			require.EqualValues(t, at, s.TCP.Seq(), "from what was quoted on, nothing before")
			head := len(s.Header())
			longest := len(s.payload)
			if s.gso > 0 {
				longest = s.gso
			}
			require.LessOrEqual(t, head+longest, 1000)
			was, _ := old.DSS()
			is, _ := s.DSS()
			require.Equal(t, []any{was.DSN, was.SSN, was.Len}, []any{is.DSN, is.SSN, is.Len})
			at += len(s.payload)
		}
		require.EqualValues(t, ourISS+1+5*mss, at)
		require.Zero(t, p.f.Sender().Snapshot().Lost)

		require.False(t, p.tooBig(1000, 3*mss, 1500), "known")
		require.True(t, p.tooBig(10, 3*mss, 1500), "the least that is believed")
		require.Equal(t, minPathMTU4, p.f.PathMTU())
	}
}

// A message that quotes what is not in flight, or what would have fitted, is forged, or too old to
// be of use (RFC 5927 section 7.1).
func TestTooBigIsChecked(t *testing.T) {
	p := opened(t, setup{})
	p.shared.MIB = new(mib.Set)
	mss := p.f.MSS()
	require.False(t, p.tooBig(1000, 0, 1500), "nothing is in flight")
	p.placeAll(3 * mss)
	p.ack(0, mss, p.dataAck(mss))
	for _, at := range []int{-1, 0, mss - 1, 3 * mss, 1 << 30} {
		require.False(t, p.tooBig(1000, at, 1500), at)
	}
	require.False(t, p.tooBig(1000, mss, 1000), "would have fitted")
	require.EqualValues(t, 7, p.shared.MIB.Snapshot()["OutOfWindowIcmps"])
	require.False(t, p.tooBig(1500, mss, 65000), "not less than the link's own")
	require.Equal(t, 1500, p.f.PathMTU())
	require.Empty(t, p.run())
	p.f.Close()
	require.False(t, p.tooBig(1000, mss, 1500))
}

// IPv6 guarantees 1280 bytes (RFC 8201 section 4); after ten minutes the link's MTU is tried
// again.
func TestPathMTUEnds(t *testing.T) {
	p := opened(t, setup{ipv6: true})
	mss := p.f.MSS()
	p.placeAll(2 * mss)
	require.True(t, p.tooBig(600, 0, 1500))
	require.Equal(t, 1280, p.f.PathMTU())
	p.run()
	p.wait(pathMTULife - 10*time.Second)
	p.ack(0, 2*mss, p.dataAck(2*mss))
	require.Equal(t, 1280, p.f.PathMTU())
	p.placeAll(mss)
	p.wait(10 * time.Second)
	p.ack(0, 3*mss, p.dataAck(3*mss))
	require.Equal(t, 1500, p.f.PathMTU())
}

// placeAll is place until all has left, whatever the pacer says.
func (p *script) placeAll(n int) []sent {
	p.t.Helper()
	from := len(p.wire.out)
	p.place(n)
	for p.f.Sender().Unsent() > 0 {
		p.wait(time.Millisecond)
		p.run()
	}
	return p.wire.out[from:]
}

// timeouts lets retransmission timeouts pass until a segment of at most size bytes of
// payload leaves, and returns it.
func (p *script) timeouts(size int) sent {
	p.t.Helper()
	for range 10 {
		p.wait(time.Minute)
		for _, s := range p.run() {
			if len(s.payload) <= size {
				return s
			}
		}
	}
	p.t.Fatal("no shorter segment")
	return sent{}
}

// Where long segments vanish without a word, shorter ones are tried, and kept when only
// they get through for the second time (RFC 4821 section 7.5).
func TestBlackHole(t *testing.T) {
	p := opened(t, setup{})
	mss := p.f.MSS()
	short := mss - 1500 + trialMTU
	p.place(10 * mss)
	first := p.timeouts(short)
	require.Len(t, first.payload, short)
	p.ack(0, short, p.dataAck(short))
	require.Equal(t, 1500, p.f.PathMTU(), "the path may have come back")
	require.Zero(t, p.owner.pathMTUs)
	acked := short
	for range 2 { // the first one is the rest of the segment that was cut
		acked += len(p.timeouts(short).payload)
		p.ack(0, acked, p.dataAck(acked))
	}
	require.Equal(t, trialMTU, p.f.PathMTU())
	require.Equal(t, 1, p.owner.pathMTUs)
}

// A path that was down for a while is not taken for a black hole.
func TestOutageIsNoBlackHole(t *testing.T) {
	p := opened(t, setup{})
	mss := p.f.MSS()
	short := mss - 1500 + trialMTU
	for round := range 3 {
		start, end := round*4*mss, (round+1)*4*mss
		p.placeAll(mss) // the window may be no larger
		p.place(3 * mss)
		p.timeouts(short)
		p.ack(0, start+short, p.dataAck(start+short))
		require.Equal(t, 1500, p.f.PathMTU())
		for range 100 { // and now long ones get through
			p.wait(20 * time.Millisecond)
			p.run()
			sent := int(p.f.Sender().BytesSent())
			p.ack(0, sent, p.dataAck(sent))
		}
		require.EqualValues(t, end, p.f.Sender().BytesAcked())
	}
	require.Zero(t, p.owner.pathMTUs)
}

// When even the first length of the trial is too long the least is tried.
func TestSmallBlackHole(t *testing.T) {
	p := opened(t, setup{})
	mss := p.f.MSS()
	least := mss - 1500 + minPathMTU4
	p.place(2 * mss)
	require.Len(t, p.timeouts(least).payload, least)
}
