//go:build linux

package interop

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// capable are the counters of the kernel after a good handshake.
var (
	capableServer = counts{"MPCapableSYNRX": 1, "MPCapableACKRX": 1, "MPCapableFallbackACK": 0}
	capableClient = counts{"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1, "MPCapableFallbackSYNACK": 0}
)

// connectRows are those of mptcp_connect.sh and diag.sh.
var connectRows = []row{
	{number: 1, name: "basic", serves: capableServer, dials: capableClient},
	{
		number: 2, name: "MPTCP with a peer of plain TCP", plainPeer: true, fallsBack: true,
		serves: counts{"MPCapableSYNRX": 0, "MPCapableACKRX": 0}, dials: counts{"MPCapableSYNTX": 0},
		// The kernel's listener counts no MP_CAPABLE: it is no MPTCP socket.
		lone: []string{"MPCapableSYNTX"},
		run:  plainPeer,
	},

	// Row 3: a middlebox removes the option.
	{
		number: 3, name: "option removed from the SYN", meddle: strip(fromClient, isSYN), fallsBack: true,
		serves: counts{"MPCapableSYNRX": 0}, dials: counts{"MPCapableSYNTX": 1, "MPCapableFallbackSYNACK": 1},
		lone: []string{"MPCapableSYNTX", "MPCapableSYNRX"},
	},
	{
		number: 3, name: "option removed from the SYN-ACK", meddle: strip(fromServer, isSYN), fallsBack: true,
		serves: counts{"MPCapableSYNRX": 1, "MPCapableFallbackACK": 1}, dials: counts{"MPCapableSYNTX": 1, "MPCapableFallbackSYNACK": 1},
	},
	{
		number: 3, name: "option removed from the third ACK", meddle: strip(fromClient, isThirdACK), fallsBack: true,
		serves: counts{"MPCapableSYNRX": 1, "MPCapableFallbackACK": 1}, dials: counts{"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1, "MPCapableDataFallback": 1},
		lone: []string{"InfiniteMapTx"}, run: clientFirst,
	},
	{
		number: 3, name: "option removed from all but the SYNs", meddle: stripAllBut(isSYN), fallsBack: true,
		serves: counts{"MPCapableSYNRX": 1, "MPCapableFallbackACK": 1}, dials: counts{"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1, "MPCapableDataFallback": 1},
		lone: []string{"InfiniteMapTx"}, run: clientFirst,
	},
	{
		number: 3, name: "option removed from the first data", meddle: stripFirstData, fallsBack: true,
		serves: counts{"MPCapableSYNRX": 1, "MPCapableACKRX": 1, "DssFallback": 1}, dials: counts{"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1, "MPCapableDataFallback": 1},
		lone: []string{"InfiniteMapTx"}, run: clientFirst,
	},

	// Row 4: checksums, by who asks for them: the kernel and the library.
	checksumRow(false, false), checksumRow(false, true), checksumRow(true, false), checksumRow(true, true),

	{number: 5, name: "half close by the library", serves: capableServer, dials: capableClient, run: halfClose(libraryFirst)},
	{number: 5, name: "half close by the kernel", serves: capableServer, dials: capableClient, run: halfClose(kernelFirst)},

	{number: 86, name: "poll", serves: capableServer, dials: capableClient, run: inMode(pollMode)},
	{number: 86, name: "mmap", serves: capableServer, dials: capableClient, run: inMode(mmapMode)},
	{number: 86, name: "sendfile", serves: capableServer, dials: capableClient, run: inMode(sendfileMode)},
	{number: 86, name: "splice", serves: capableServer, dials: capableClient, run: inMode(spliceMode)},
	{number: 86, name: "disconnect", dials: counts{"MPCapableSYNTX": 3, "MPCapableSYNACKRX": 3}, run: disconnect},

	{
		number: 87, name: "diag", paths: 2, run: diag,
		serves: counts{"MPCapableSYNRX": 1, "MPJoinAckRx": 1}, dials: counts{"MPCapableSYNTX": 1, "MPJoinSynAckRx": 1},
		kernel: kernelJoins(1),
	},
}

// match picks segments.
type match func(t packet.TCP) bool

// side picks those of one end.
type side func(role Role, way Way) bool

func fromClient(role Role, way Way) bool { return (role == Client) == (way == ToKernel) }
func fromServer(role Role, way Way) bool { return !fromClient(role, way) }

func isSYN(t packet.TCP) bool      { return t.Flags()&packet.FlagSYN != 0 }
func isThirdACK(t packet.TCP) bool { return !isSYN(t) && hasCapable(t) && t.PayloadLen() == 0 }

func hasCapable(t packet.TCP) bool {
	for _, o := range mptcpOptions(t) {
		if subtype(o) == byte(option.SubtypeCapable) {
			return true
		}
	}
	return false
}

// strip removes MPTCP from the segments of one end that match.
func strip(from side, m match) func(Role) Meddler {
	return func(role Role) Meddler {
		return func(way Way, t packet.TCP, _ []byte) bool {
			if from(role, way) && m(t) {
				stripMPTCP(t)
			}
			return true
		}
	}
}

// stripAllBut removes MPTCP from all segments but those that match.
func stripAllBut(m match) func(Role) Meddler {
	return func(Role) Meddler {
		return func(_ Way, t packet.TCP, _ []byte) bool {
			if !m(t) {
				stripMPTCP(t)
			}
			return true
		}
	}
}

// stripFirstData removes MPTCP from all of the client's segments from the first with
// payload on.
func stripFirstData(role Role) Meddler {
	begun := false
	return func(way Way, t packet.TCP, _ []byte) bool {
		if fromClient(role, way) {
			if begun = begun || t.PayloadLen() > 0; begun {
				stripMPTCP(t)
			}
		}
		return true
	}
}

// clientFirst is a transfer in which the client has spoken and been heard before both send:
// a server that has sent a mapping already may not fall back any more.
func clientFirst(t testing.TB, s *scene) {
	library, kernel := s.Connect(t, true)
	client, server := Conn(library), Conn(kernel)
	if s.Role == Server {
		client, server = server, client
	}
	hello := []byte("the client speaks first")
	_, err := client.Write(hello)
	require.NoError(t, err)
	got := make([]byte, len(hello))
	_, err = io.ReadFull(server, got)
	require.NoError(t, err)
	require.Equal(t, hello, got)
	s.exchangeAndClose(t, library, kernel, nil)
}

// plainPeer transfers and sees that nothing but a SYN has MPTCP options.
func plainPeer(t testing.TB, s *scene) {
	transfer(t, s)
	for name, v := range s.ours() {
		if name != "MPCapableSYNTX" && name != "MPCapableFallbackSYNACK" {
			require.Zero(t, v, name)
		}
	}
}

// checksumRow asks for checksums on either side.
func checksumRow(kernel, library bool) row {
	bit := func(b bool) string { return map[bool]string{false: "0", true: "1"}[b] }
	used := kernel || library
	return row{
		number: 4, name: fmt.Sprintf("checksum_tests %s %s", bit(kernel), bit(library)),
		serves: capableServer, dials: capableClient,
		host:   func(_ Role, cfg *mptcp.Config) { cfg.Checksum = library },
		kernel: func(t testing.TB, l *Lab) { l.Peer.Sysctl(t, "net/mptcp/checksum_enabled", bit(kernel)) },
		meddle: checksumWatch(used),
	}
}

// checksumWatch drops mappings that have a checksum or have none, against what is in use, so
// that the transfer fails.
func checksumWatch(used bool) func(Role) Meddler {
	return func(Role) Meddler {
		return func(_ Way, t packet.TCP, _ []byte) bool {
			set := option.Parse(t.Options(), t.Flags())
			dss, ok := set.DSS()
			return !ok || !dss.HasMap || dss.HasChecksum == used
		}
	}
}

// halfClose has one end send and end its stream, and the other answer only when it has seen
// that end.
func halfClose(first func(library, kernel Conn) [2]Conn) func(t testing.TB, s *scene) {
	return func(t testing.TB, s *scene) {
		library, kernel := s.Connect(t, true)
		data := make([]byte, 1e6)
		rand.NewChaCha8([32]byte{5}).Read(data)
		ends := first(library, kernel)
		for range 2 {
			go func(c Conn) {
				c.Write(data)
				c.CloseWrite()
			}(ends[0])
			got, err := io.ReadAll(ends[1])
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got), "%d bytes of %d", len(got), len(data))
			ends[0], ends[1] = ends[1], ends[0]
		}
		require.NoError(t, library.Close())
		require.NoError(t, kernel.Close())
		require.NoError(t, library.Wait(short(t)))
	}
}

func libraryFirst(library, kernel Conn) [2]Conn { return [2]Conn{library, kernel} }
func kernelFirst(library, kernel Conn) [2]Conn  { return [2]Conn{kernel, library} }

// inMode transfers with a peer that uses certain system calls.
func inMode(mode func(t testing.TB, c Conn) Conn) func(testing.TB, *scene) {
	return func(t testing.TB, s *scene) {
		library, kernel := s.Connect(t, true)
		s.exchangeAndClose(t, library, mode(t, kernel), nil)
	}
}

// disconnect has the kernel's client use one socket for three connections, one after the
// other (mptcp_connect -I 3).
func disconnect(t testing.TB, s *scene) {
	address := fmt.Sprintf("%v:%d", s.Family.Library[0], port)
	if s.Family.bits == 64 {
		address = fmt.Sprintf("[%v]:%d", s.Family.Library[0], port)
	}
	listener, err := s.Host.Listen("tcp", address)
	require.NoError(t, err)
	defer listener.Close()
	socket := s.Peer.socket(t, s.Family)
	for range 3 {
		accepted := acceptOne(listener)
		require.NoError(t, socket.Connect(s.Family.Library[0]))
		library := wait(t, short(t), accepted).(*mptcp.Conn)
		up, down := &Flow{Bytes: rowBytes(t)}, &Flow{Bytes: rowBytes(t)}
		require.NoError(t, Exchange(library, socket, up, down, patience))
		require.NoError(t, library.Wait(short(t)))
		require.NoError(t, library.Close())
		// The kernel sends MP_FASTCLOSE when it is not done yet.
		s.requireGone(t)
		require.Eventually(t, func() bool { return strings.HasPrefix(s.Peer.ss(t, "-HMan"), "UNCONN") }, patience, 5*time.Millisecond)
		require.NoError(t, socket.Disconnect())
	}
}

// diag compares what ss tells with the library's Info.
func diag(t testing.TB, s *scene) {
	library, kernel := s.Connect(t, true)
	data := []byte("x")
	for _, ends := range [][2]Conn{{library, kernel}, {kernel, library}} {
		_, err := ends[0].Write(data)
		require.NoError(t, err)
		_, err = io.ReadFull(ends[1], data)
		require.NoError(t, err)
	}
	info := library.Info()
	connection := s.Peer.ss(t, "-HMin")
	require.Contains(t, connection, fmt.Sprintf("token:%x", info.RemoteToken))
	require.NotContains(t, connection, "fallback")
	require.Contains(t, connection, "remote_key")
	// A subflow that the kernel opened with MP_JOIN has the token that it sent, all others
	// have that of the kernel's own end.
	s.await(t)
	subflow := s.Peer.ss(t, "-Htin")
	require.Contains(t, subflow, fmt.Sprintf("/%04x(id:0)", info.RemoteToken))
	if s.Role == Server {
		require.Contains(t, subflow, fmt.Sprintf("token:%04x(id:0)/", info.LocalToken))
	}
	require.False(t, strings.Contains(subflow, "fallback"), subflow)
	s.exchangeAndClose(t, library, kernel, nil)
}

// ss runs ss(8).
func (ns *Namespace) ss(t testing.TB, flags string) string {
	out, err := exec.Command("ip", "netns", "exec", ns.name, "ss", flags).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
