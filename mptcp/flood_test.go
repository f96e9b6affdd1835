package mptcp

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/subflow"
	"github.com/gomptcp/gomptcp/tun"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// maxHalfOpenSize is what a handshake that the peer has begun may take at most, in bytes: the
// subflow, for a new connection the connection, netstack's endpoint, and for a join to a port
// without listener a goroutine.
const maxHalfOpenSize = 16 << 10

// flooded is a host that is sent SYNs from false addresses.
type flooded struct {
	t    *testing.T
	host *Host
	dev  tun.Device
	n    int
}

func newFlooded(t *testing.T, w *simnet.World, cfg Config) *flooded {
	node := w.Host("flooded")
	cfg.Environment = node
	a, b := tun.Pipe(tun.PipeConfig{})
	h, err := NewHost(&cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close() })
	require.NoError(t, h.AddDevice(node.Attach(b), netip.MustParsePrefix("10.0.1.2/24")))
	l, err := h.Listen("tcp", ":443")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() { // takes what is answered
		pkts := []tun.Packet{{Head: make([]byte, tun.MaxPacketSize)}}
		for {
			pkts[0].Head = pkts[0].Head[:cap(pkts[0].Head)]
			if _, err := a.Read(pkts); err != nil {
				return
			}
		}
	}()
	return &flooded{t: t, host: h, dev: a}
}

// syn sends a SYN from one more address.
func (f *flooded) syn(port uint16, o option.Option) {
	f.t.Helper()
	f.n++
	opts := option.AppendMSS(nil, 1460)
	opts = option.AppendWindowScale(opts, 7)
	opts = option.AppendTimestamps(opts, 1, 0)
	opts = option.Pad(o.AppendTo(opts), 0)
	head := packet.AppendTCP(nil, &packet.Fields{
		Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16, byte(f.n >> 8), byte(f.n)}), 1024),
		Dst: netip.AddrPortFrom(netip.MustParseAddr("10.0.1.2"), port),
		Seq: uint32(f.n), Flags: packet.FlagSYN, Window: 65535, Options: opts,
	})
	require.NoError(f.t, f.dev.Write([]tun.Packet{{Head: head, Checksum: tun.ChecksumPartial}}))
}

// heap is what is in use, stacks of goroutines too, in bytes.
func heap() int {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// measure sends SYNs and returns what each of them takes, in bytes.
func (f *flooded) measure(w *waiting, port uint16, options ...option.Option) int {
	f.t.Helper()
	waiting := func() int {
		f.host.mu.Lock()
		defer f.host.mu.Unlock()
		return w.list.Len()
	}
	before := heap()
	for i, o := range options {
		f.syn(port, o)
		if i%64 == 63 { // the device's queue is not endless
			eventually(f.t, func() bool { return waiting() == i+1 }, "SYN %d", i)
		}
	}
	eventually(f.t, func() bool { return waiting() == len(options) }, "the last")
	return (heap() - before) / len(options)
}

// What a peer can make us hold with a SYN is small; MaxHalfOpen bounds how often.
func TestSizeOfHalfOpenConnections(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		f := newFlooded(t, w, Config{})
		capable := option.MPCapable{Form: option.CapableSyn, Version: 1, Flags: option.HMACSHA256}
		size := f.measure(&f.host.halfOpen, 443, slices.Repeat([]option.Option{capable}, 3000)...)
		t.Logf("a half-open connection takes %d bytes", size)
		require.Less(t, size, maxHalfOpenSize)
	})
}

// 8684-3.2-20: the same for joins, with a listener at their port and without.
func TestSizeOfHalfOpenJoins(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	for _, port := range []uint16{443, 9} {
		simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
			f := newFlooded(t, w, Config{})
			var joins []option.Option
			for range 3000 / maxHalfOpenJoins {
				c, err := f.host.register(pathmgr.Server)
				require.NoError(t, err)
				c.phase, c.shared.Mode = open, subflow.MPTCP
				join := option.JoinSyn{Token: c.shared.LocalKey.Token(), ID: 1}
				joins = append(joins, slices.Repeat([]option.Option{join}, maxHalfOpenJoins)...)
			}
			size := f.measure(&f.host.halfOpenJoins, port, joins...)
			t.Logf("a half-open join to port %d takes %d bytes", port, size)
			require.Less(t, size, maxHalfOpenSize)
			require.Zero(t, f.host.Counters()["JoinHalfOpenDrop"])
		})
	}
}

// Half-open joins of all connections together are bounded, too; the oldest makes room, whosever it is.
func TestHalfOpenJoinsOfAHost(t *testing.T) {
	simnet.Test(t, simnet.Config{}, func(t *testing.T, w *simnet.World) {
		f := newFlooded(t, w, Config{MaxHalfOpen: 20})
		var conns []*Conn
		for range 3 {
			c, err := f.host.register(pathmgr.Server)
			require.NoError(t, err)
			c.phase, c.shared.Mode = open, subflow.MPTCP
			conns = append(conns, c)
			for range 15 {
				f.syn(9, option.JoinSyn{Token: c.shared.LocalKey.Token(), ID: 1})
			}
		}
		eventually(t, func() bool { return f.host.Counters()["JoinHalfOpenDrop"] == 3*15-20 }, "25 have made room")
		for i, want := range []int{0, 5, 15} {
			eventually(t, func() bool {
				conns[i].mu.Lock()
				defer conns[i].mu.Unlock()
				return len(conns[i].subs) == want
			}, "connection %d keeps %d", i, want)
		}
		f.host.mu.Lock()
		defer f.host.mu.Unlock()
		require.Equal(t, 20, f.host.halfOpenJoins.list.Len())
		require.Len(t, f.host.flows, 20)
	})
}
