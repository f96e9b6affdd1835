package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gomptcp/gomptcp/internal/script"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// 8684-3.1-03, -27
func TestServerAnswersWithItsVersionAndOneAlgorithm(t *testing.T) {
	for _, version := range []uint8{1, 2, 15} {
		Test(t, Options{}, func(t *testing.T, l *Lab) {
			l.Listen()
			p := l.Client(0)
			p.Send("SYN with all algorithms", SYN, Option(option.MPCapable{Form: option.CapableSyn, Version: version, Flags: 0x1f}))
			p.Want("version 1, HMAC-SHA256", SYN|ACK, Capable, CapableFlags(option.HMACSHA256))
		})
	}
}

// 8684-3.1-22, -23, -26, -28, -31, 8684-Q-14, 8684-Q-23, 8684-E-01
func TestServerAnswersPlainly(t *testing.T) {
	for name, with := range map[string]Part{
		"no option":        NoMPTCP,
		"flag B":           CapableFlags(0x41),
		"no algorithm":     CapableFlags(0x80),
		"other algorithm":  CapableFlags(0x10),
		"version 0":        Option(option.MPCapable{Form: option.CapableSyn, Version: 0, Flags: 1}),
		"SYN of version 0": Raw(0x1e, 12, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 7, 8),
		"form of an ACK":   Option(option.MPCapable{Form: option.CapableSynAck, Version: 1, Flags: 1}),
		"5 bytes":          Raw(0x1e, 5, 0x01, 0x01, 0),
		"3 bytes":          Raw(0x1e, 3, 0x01),
		"20 bytes":         Raw(append([]byte{0x1e, 20, 0x01, 0x01}, make([]byte, 16)...)...),
		"key as in v0":     Raw(append([]byte{0x1e, 12, 0x00, 0x01}, make([]byte, 8)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			Families(t, Options{}, func(t *testing.T, l *Lab) {
				accept := l.Listen()
				p := l.Client(0)
				p.Send("SYN", SYN, with)
				p.Want("plain SYN/ACK", SYN|ACK, NoMPTCP)
				p.Send("ACK", ACK)
				conn := accept.Result()
				l.Write(conn, "hello").Result()
				p.Want("plain data", ACK, Data("hello"), NoMPTCP)
				p.Send("plain data", Data("abc"))
				require.Equal(t, "abc", l.Read(conn, 3).Result())
				require.False(t, conn.Info().MPTCP)
			})
		})
	}
}

// 8684-3.1-32, 8684-3.7-01, 8684-Q-06
func TestThirdPacketDecides(t *testing.T) {
	for name, third := range map[string][]Part{
		"no option":        {ACK},
		"data and nothing": {Data("abc")},
		"data with DSS":    {Data("abc"), Map(1, 1, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, Options{}, func(t *testing.T, l *Lab) {
				accept := l.Listen()
				p := l.Client(0)
				p.Send("SYN", SYN, Capable)
				p.Want("SYN/ACK", SYN|ACK, Capable)
				p.Send("third packet without MP_CAPABLE", third...)
				conn := accept.Result()
				l.Write(conn, "hello").Result()
				p.Await("plain data", ACK, Data("hello"), NoMPTCP)
				require.False(t, conn.Info().MPTCP)
				p.Never("no option ever again", 3*second, With(option.SubtypeDSS))
			})
		})
	}
}

// 8684-3.1-17
func TestWrongEchoedKeyEndsMPTCP(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Send("SYN", SYN, Capable)
		p.Want("SYN/ACK", SYN|ACK, Capable)
		wrong := l.HostKey
		wrong[7] ^= 1
		p.Send("other key", ACK, Option(option.MPCapable{
			Form: option.CapableAck, Version: 1, Flags: option.HMACSHA256, SenderKey: l.PeerKey, ReceiverKey: wrong,
		}))
		conn := accept.Result()
		l.Write(conn, "hello").Result()
		p.Want("TCP from there on", ACK, Data("hello"), NoMPTCP)
		require.False(t, conn.Info().MPTCP)
	})
}

// 8684-3.1-13, 8684-W-20 to -23
func TestFirstDataIsAMapping(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Connect()
		p.Send("first data", Data("hello"), Capable)
		p.Want("acknowledged at both levels", ACK, AckNo(6), DataAck(6))
		require.Equal(t, "hello", l.Read(conn, 5).Result())
	})
}

// 8684-2.1-01, 8684-Q-06: the third packet is lost, the first data comes in its place.
func TestFirstDataStandsForThirdPacket(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		Test(t, Options{PeerChecksum: checksum}, func(t *testing.T, l *Lab) {
			accept := l.Listen()
			p := l.Client(0)
			p.Send("SYN", SYN, Capable)
			p.Want("SYN/ACK", SYN|ACK, Capable)
			p.Send("first data with keys", Data("hello"), Capable)
			p.Await("accepted", ACK, AckNo(6), DataAck(6))
			conn := accept.Result()
			require.Equal(t, "hello", l.Read(conn, 5).Result())
			require.True(t, conn.Info().MPTCP)
		})
	}
}

// 8684-3.1-14, -15, 8684-2.1-01
func TestServerSendsFirst(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		p, conn := l.Connect()
		l.Write(conn, "welcome").Result()
		p.Want("data acknowledges MP_CAPABLE", ACK, Data("welcome"), Map(1, 1, 7), DataAck(1))
		p.Send("first data crosses it", Data("hello"), AckNo(1), Capable)
		p.Await("accepted", ACK, DataAck(6))
		p.Send("acknowledged", ACK, DataAck(8))
		require.Equal(t, "hello", l.Read(conn, 5).Result())
		p.Never("all has been confirmed", 3*second, SomeData)
	})
}

// 8684-3.1-16, 8684-1.1-01: segmentation offload copies the option on every piece.
func TestMappingCopiedOnPieces(t *testing.T) {
	for _, order := range []string{"in order", "reversed", "doubled"} {
		t.Run(order, func(t *testing.T) {
			Test(t, Options{PeerChecksum: true}, func(t *testing.T, l *Lab) {
				p, conn := l.Connect()
				one, two := strings.Repeat("1", 999), strings.Repeat("2", 1001)
				capable := Option(option.MPCapable{
					Form: option.CapableDataChecksum, Version: 1, Flags: option.HMACSHA256 | option.ChecksumRequired, SenderKey: l.PeerKey, ReceiverKey: l.HostKey,
					DataLen: 2000, Checksum: option.DSSChecksum(uint64(l.PeerDSN(1)), 1, 2000, option.SumBytes([]byte(one+two))),
				})
				pieces := [][]Part{{Seq(1), Data(one), capable}, {Seq(1000), Data(two), capable}}
				switch order {
				case "reversed":
					pieces[0], pieces[1] = pieces[1], pieces[0]
				case "doubled":
					pieces = append(pieces, pieces...)
				}
				for _, piece := range pieces {
					p.Send("piece", piece...)
				}
				require.Equal(t, one+two, l.Read(conn, 2000).Result())
				p.Await("acknowledged", ACK, AckNo(2001), DataAck(2001))
				p.Send("goes on", Seq(2001), Data("x"), Map(2001, 2001, 1))
				require.Equal(t, "x", l.Read(conn, 1).Result())
			})
		})
	}
}

// 8684-3.1-31
func TestMPTCPTurnedOff(t *testing.T) {
	Test(t, Options{Config: mptcp.Config{DisableMPTCP: true}}, func(t *testing.T, l *Lab) {
		l.Listen()
		p := l.Client(0)
		p.Send("SYN", SYN, Capable)
		p.Want("plain SYN/ACK", SYN|ACK, NoMPTCP)
	})
}

// 8684-3.1-08: a token in use is not given again; 8684-3.1-07: keys differ.
func TestKeysDiffer(t *testing.T) {
	Test(t, Options{}, func(t *testing.T, l *Lab) {
		l.Listen()
		seen := map[option.Key]bool{}
		for range 100 {
			p := l.Client(0)
			p.Send("SYN", SYN, Capable)
			l.HostKey = option.Key{}
			p.Want("SYN/ACK", SYN|ACK, Capable)
			require.False(t, seen[l.HostKey])
			seen[l.HostKey] = true
		}
	})
}

// A client whose third packet was lost and that has nothing to say probes the server, with a number
// before that of the third packet (RFC 9293 sections 3.8.4 and 3.10.7.4): it is answered, but
// does not complete the handshake.
func TestServerAnswersAProbeBeforeTheThirdPacket(t *testing.T) {
	Families(t, Options{}, func(t *testing.T, l *Lab) {
		accept := l.Listen()
		p := l.Client(0)
		p.Send("SYN", SYN, Capable)
		p.Want("SYN/ACK", SYN|ACK, Capable)
		p.Inject("probe, after a third packet that was lost", ACK, Seq(0), AckNo(1), Capable)
		p.Want("answer", ACK, Len(0), Seq(1), AckNo(1), NoMPTCP)
		accept.NotDone("before the third packet")
		p.Send("third packet", ACK, Capable)
		require.True(t, accept.Result().Info().MPTCP)
	})
}
