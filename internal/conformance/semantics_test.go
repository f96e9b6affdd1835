package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
	"github.com/gomptcp/gomptcp/tun/simnet"
)

// 8684-3.3-01, 8684-3.1-22, -25, 8684-3.2-06, 8684-3.6-04, 8684-W-01: reserved bits are 0 in all that a
// host sends in a connection's life.
func TestReservedBitsAreZero(t *testing.T) {
	seen := map[option.Subtype]int{}
	var wrong []string
	record := func(e simnet.Event) {
		s, ok := packet.ParseTCP(e.Packet)
		if !ok || e.Kind != simnet.Entered {
			return
		}
		for o := s.Options(); len(o) >= 2; {
			if o[0] <= 1 {
				o = o[1:]
				continue
			}
			one := o[:o[1]]
			if o = o[o[1]:]; one[0] != 30 {
				continue
			}
			subtype := option.Subtype(one[2] >> 4)
			seen[subtype]++
			if reserved(subtype, one) != 0 {
				wrong = append(wrong, subtype.String())
			}
		}
	}
	for _, checksum := range []bool{false, true} {
		simnet.Test(t, simnet.Config{Seed: 9, Deadline: time.Hour, Record: record}, func(t *testing.T, w *simnet.World) {
			tr := newTransfer(t, w, checksum, [2]option.Key{{1}, {2}}, nil)
			for _, c := range tr.ends {
				_, err := c.Write(make([]byte, 300_000))
				require.NoError(t, err)
			}
			time.Sleep(5 * time.Second)
			require.NoError(t, tr.ends[0].Abort())
			time.Sleep(time.Second)
		})
	}
	require.Empty(t, wrong)
	for _, s := range []option.Subtype{option.SubtypeCapable, option.SubtypeJoin, option.SubtypeDSS, option.SubtypeFastClose} {
		require.Positive(t, seen[s], s)
	}
}

// reserved is what an option has in bits that nobody may use.
func reserved(t option.Subtype, o []byte) byte {
	switch t {
	case option.SubtypeCapable:
		return o[2]&0x0f&^1 | o[3]&0x7e // version 1; B, C and D to G
	case option.SubtypeJoin:
		if len(o) == 24 {
			return o[2]&0x0f | o[3]
		}
		return o[2] & 0x0e
	case option.SubtypeDSS:
		return o[2]&0x0f | o[3]&0xe0
	case option.SubtypeAddAddr, option.SubtypePrio, option.SubtypeReset:
		return o[2] & 0x0e
	case option.SubtypeRemoveAddr:
		return o[2] & 0x0f
	case option.SubtypeFail, option.SubtypeFastClose:
		return o[2]&0x0f | o[3]
	}
	return 0xff
}

// 8684-3.3.2-06: the host's DATA_ACK is on every segment; one that comes only when it advances
// is as good.
func TestDataAckOnlyWhenItAdvances(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		l.Join(1, 1)
		first.Send("data without DATA_ACK", Data("abc"), Map(2, 2, 3))
		first.Await("acknowledged", ACK, AckNo(5), DataAck(5))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		for i := range 3 {
			l.Write(conn, "hello").Result()
			first.Await("data, with DATA_ACK", ACK, Data("hello"), Map(1+5*i, uint32(1+5*i), 5), DataAck(5))
		}
		first.Send("all acknowledged at once", ACK, DataAck(16))
		first.Send("an ACK without news and without DATA_ACK", ACK)
		l.Sleep(second)
		require.EqualValues(t, 15, conn.Info().BytesAcked)
		require.True(t, conn.Info().MPTCP)
		first.Forget()
		first.Never("nothing is sent again", second, SomeData)
	})
}

// 8684-3.3.1-03: other bytes for a data sequence number that was delivered already are dropped.
func TestFirstBytesWin(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		p.Send("bytes", Data("abc"), Map(2, 1, 3))
		p.Await("taken", ACK, DataAck(5))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		first.Send("others in their place, and new ones", Data("XYZdef"), Map(2, 2, 6))
		first.Await("taken", ACK, AckNo(8), DataAck(8))
		require.Equal(t, "def", l.Read(conn, 3).Result())
	})
}

// 8684-C-02: DATA_ACKs from any subflow count, and the DATA_ACK is the same on every one.
func TestDataAckBelongsToTheConnection(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		first.Send("data here", Data("abc"), Map(2, 2, 3))
		first.Await("acknowledged", ACK, DataAck(5))
		p.Send("data there", Data("def"), Map(5, 1, 3))
		p.Await("all acknowledged there", ACK, AckNo(4), DataAck(8))
		first.Send("an old copy", Seq(2), Data("abc"), Map(2, 2, 3))
		first.Await("all acknowledged here", ACK, AckNo(5), DataAck(8))
		l.Write(conn, "hello").Result()
		first.Await("data", ACK, Data("hello"), Map(1, 1, 5))
		p.Send("DATA_ACK on the other subflow", ACK, DataAck(6))
		l.Sleep(2 * Delay)
		require.EqualValues(t, 5, conn.Info().BytesAcked)
	})
}

// 8684-3.3.4-04: what comes behind a hole of its subflow is kept and reported by SACK there, and
// is not lost by what happens elsewhere; DATA_ACK waits for it.
func TestSACKIsPerSubflow(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		p := l.Join(1, 1)
		p.Send("behind a hole of the subflow", Seq(4), Data("def"), Map(5, 4, 3))
		s := p.Await("a duplicate ACK", ACK, AckNo(1), DataAck(2))
		blocks, n := s.Options.SACK()
		require.Equal(t, 1, n)
		require.Equal(t, p.Wire(4), blocks[0].Left)
		require.Equal(t, p.Wire(7), blocks[0].Right)
		first.Send("other data meanwhile", Data("abc"), Map(2, 2, 3))
		s = first.Await("acknowledged, as far as it goes", ACK, AckNo(5), DataAck(5))
		_, n = s.Options.SACK()
		require.Zero(t, n)
		p.Send("the hole, with old bytes", Seq(1), Data("abc"), Map(2, 1, 3))
		p.Await("all of both levels", ACK, AckNo(7), DataAck(8))
		require.Equal(t, "abcdef", l.Read(conn, 6).Result())
	})
}

// 8684-6-04, 8684-1.1-01: segments are cut into pieces that all have the option of the whole,
// and on one path the pieces merged again, also of two mappings, with the option of the first.
func TestSegmentsAreCutAndMerged(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		simnet.Test(t, simnet.Config{Seed: 10, Deadline: time.Hour}, func(t *testing.T, w *simnet.World) {
			links := 0
			tr := newTransfer(t, w, checksum, [2]option.Key{{1}, {2}}, func(l *simnet.Link) {
				for _, d := range []*simnet.Direction{l.There, l.Back} {
					d.Through(simnet.SplitSegments(400))
					if links == 1 {
						d.Through(simnet.CoalesceSegments(1200, 5*time.Millisecond))
					}
				}
				links++
			})
			tr.run(t, 1_000_000)
			tr.requireBothPaths(t)
		})
	}
}

// 8684-4-03, 8684-3.3.5-02, 8684-Q-17: of the windows of two subflows the larger one is that of the connection,
// and each one bounds its own subflow.
func TestLargestWindowCounts(t *testing.T) {
	Test(t, twoPaths, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		first := l.Client(0)
		first.Window = 1000
		first.Send("SYN", SYN, Capable)
		first.Want("SYN/ACK", SYN|ACK, Capable)
		first.Send("third packet", ACK, Capable)
		conn := accept.Result()
		first.Send("first data", Data("x"), Capable)
		first.Want("accepted", ACK, AckNo(2), DataAck(2))
		p := l.Join(1, 1)
		p.Send("a larger window", ACK, Win(5000), DataAck(1))
		first.Send("the smaller one again, later", ACK, DataAck(1))
		l.Sleep(2 * Delay)
		l.Write(conn, strings.Repeat("w", 20_000)).Result()
		l.Sleep(second / 10)
		bytes := func(p *Peer) (end uint32) {
			for _, s := range p.Arrived() {
				end = max(end, s.Seq+uint32(len(s.Payload)))
			}
			return end - 1
		}
		here, there := bytes(first), bytes(p)
		require.LessOrEqual(t, here, uint32(1000))
		require.LessOrEqual(t, here+there, uint32(5000))
		require.Greater(t, here+there, uint32(3000))
	})
}

// 8684-4-04: what was announced on one connection says nothing to another with the same peer.
func TestAddressesBelongToOneConnection(t *testing.T) {
	Test(t, Options{Config: meshed.Config}, func(t *testing.T, l *Lab) {
		p, conn := l.Accept()
		p.Confirm()
		p.Send("another address", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, 5, peerAt(l, 1, 0))))
		l.Opened("join", SYN, Join)

		l.HostKey = option.Key{}
		other, _ := l.Accept()
		other.Confirm()
		l.NotOpened("it knows nothing of that address", 10*second)
		require.Len(t, conn.Info().Subflows, 2)
	})
}

// 8684-4-05: the application sees the addresses of the initial subflow, also when that is gone.
func TestAddressesOfTheConnection(t *testing.T) {
	Families(t, twoPaths, func(t *testing.T, l *Lab) {
		first, conn := connected(l)
		peer, host := first.Addrs()
		p := l.Join(1, 1)
		first.Send("RST", RST|ACK)
		l.Sleep(2 * Delay)
		p.Send("data goes on", Data("abc"), Map(2, 1, 3))
		require.Equal(t, "abc", l.Read(conn, 3).Result())
		require.Equal(t, "closed", conn.Info().Subflows[0].State)
		require.Equal(t, host.String(), conn.LocalAddr().String())
		require.Equal(t, peer.String(), conn.RemoteAddr().String())
	})
}

// 8684-B-02, -04: the host takes no data from a SYN; the client maps it anew from the first data
// sequence number on.
func TestDataInSYNIsNotTaken(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Send("SYN with data", Seq(0), SYN, Capable, SYNData("early"))
		p.Want("only the SYN is acknowledged", SYN|ACK, AckNo(1), Capable)
		p.Send("third packet", Seq(1), ACK, Capable)
		p.Send("the data again", Seq(1), Data("early"), Capable)
		p.Await("accepted", ACK, AckNo(6), DataAck(6))
		conn := accept.Result()
		require.Equal(t, "early", l.Read(conn, 5).Result())
		require.True(t, conn.Info().MPTCP)
	})
}

// 8684-3.3.1-07: urgent data of the peer is data like any other.
func TestUrgentData(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := connected(l)
		p.Send("urgent", Flags(0x20), Data("now"), Map(2, 2, 3))
		p.Await("acknowledged", ACK, AckNo(5), DataAck(5))
		require.Equal(t, "now", l.Read(conn, 3).Result())
	})
}

// 8684-3.9.2-02: a client opens no more subflows than Config.MaxSubflows, whatever is announced.
func TestSubflowsAreLimited(t *testing.T) {
	cfg := mptcp.Config{PathManager: meshed.Config.PathManager, MaxSubflows: 3}
	Test(t, Options{Config: cfg}, func(t *testing.T, l *Lab) {
		p, _ := l.Accept()
		p.Confirm()
		for id := range 6 {
			p.Send("address", ACK, Option(option.NewAddAddr(l.PeerKey, l.HostKey, option.AddrID(id+1), peerAt(l, id+1, 0))))
		}
		l.Opened("join", SYN, Join)
		l.Opened("join", SYN, Join)
		l.NotOpened("no third one", 10*second)
	})
}
