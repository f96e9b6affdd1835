//go:build linux

package interop

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/mptcp"
)

// failRows are those of mptcp_join.sh in which a path changes payload, and mends TCP's
// checksum.
var failRows = []row{
	// Both ends send MP_FAIL: who gets one answers with one. Whether an infinite mapping is sent
	// depends on what is left to send.
	{
		number: 76, name: "infinite map, the library's data changed", host: checksums, meddle: corrupt(30, ToKernel, initialSubflow),
		serves: withWhatever(counts{"DataCsumErr": 1, "MPFailTx": 1, "MPFailRx": 1}),
		dials:  withWhatever(counts{"DataCsumErr": 1, "MPFailTx": 1, "MPFailRx": 1}),
		ours:   counts{"MPFailRx": 1, "MPFailTx": 1, "InfiniteMapTx": some}, lone: infinite, fallsBack: true, run: damaged,
	},
	{
		number: 76, name: "infinite map, the kernel's data changed", host: checksums, meddle: corrupt(30, ToLibrary, initialSubflow),
		serves: withWhatever(counts{"MPFailRx": 1, "MPFailTx": 1}), dials: withWhatever(counts{"MPFailRx": 1, "MPFailTx": 1}),
		ours: counts{"DataCsumErr": 1, "MPFailTx": 1, "MPFailRx": 1}, lone: infinite, fallsBack: true, run: damaged,
	},
	{
		number: 77, name: "MP_FAIL MP_RST, the library's data changed", host: checksumsAndJoin, meddle: corrupt(3, ToKernel, joinedSubflow),
		paths: 2, resets: true, kernel: kernelJoins(1), run: transferJoined,
		serves: counts{"DataCsumErr": 1, "MPFailTx": 1, "MPRstTx": 1, "MPJoinAckRx": 1},
		dials:  counts{"DataCsumErr": 1, "MPFailTx": 1, "MPRstTx": 1, "MPJoinSynAckRx": 1},
	},
	{
		number: 77, name: "MP_FAIL MP_RST, the kernel's data changed", host: checksumsAndJoin, meddle: corrupt(3, ToLibrary, joinedSubflow),
		paths: 2, resets: true, kernel: kernelJoins(1), run: transferJoined,
		serves: counts{"MPFailRx": some, "MPRstRx": some, "MPJoinAckRx": 1}, dials: counts{"MPFailRx": some, "MPRstRx": some, "MPJoinSynAckRx": 1},
		ours: counts{"DataCsumErr": 1, "MPFailTx": some, "MPRstTx": some}, lone: []string{"MPRstTx", "MPFailTx"},
	},
}

var infinite = []string{"InfiniteMapTx", "InfiniteMapRx"}

// withWhatever adds counters of an infinite mapping that may have any value.
func withWhatever(c counts) counts {
	for _, name := range append(infinite, "DssFallback") {
		c[name] = whatever
	}
	return c
}

func checksums(_ Role, cfg *mptcp.Config) {
	cfg.Checksum = true
}

func checksumsAndJoin(role Role, cfg *mptcp.Config) {
	cfg.Checksum = true
	joins(1)(role, cfg)
}

func initialSubflow(t packet.TCP) bool { return !joinedSubflow(t) }

// joinedSubflow: one of the addresses is not that of the first path.
func joinedSubflow(t packet.TCP) bool {
	for _, a := range []netip.AddrPort{t.Src(), t.Dst()} {
		addr := a.Addr()
		for _, f := range []Family{IPv4, IPv6} {
			for i := 1; i < maxPaths; i++ {
				if addr == f.Library[i] || addr == f.Kernel[i] {
					return true
				}
			}
		}
	}
	return false
}

// corrupt changes one byte of payload, in the nth full segment that goes one way.
func corrupt(nth int, way Way, of match) func(Role) Meddler {
	const full = 1000
	return func(Role) Meddler {
		seen := 0
		return func(w Way, t packet.TCP, _ []byte) bool {
			if w == way && of(t) && t.PayloadLen() > full {
				if seen++; seen == nth {
					t.Payload()[full/2] ^= 1
				}
			}
			return true
		}
	}
}

// damaged transfers what the path changes: one byte differs, as it would with plain TCP, in
// one direction.
func damaged(t testing.TB, s *scene) {
	library, kernel := s.Connect(t, true)
	sent := make([]byte, rowBytes(t))
	rand.NewChaCha8([32]byte{76}).Read(sent)
	errs := make(chan error, 2)
	differ := make(chan int, 2)
	for _, ends := range [][2]Conn{{library, kernel}, {kernel, library}} {
		go func() {
			ends[0].Write(sent)
			ends[0].CloseWrite()
		}()
		go func() {
			got, err := io.ReadAll(ends[1])
			n := max(len(sent)-len(got), 0)
			for i := range min(len(got), len(sent)) {
				if got[i] != sent[i] {
					n++
				}
			}
			differ <- n
			errs <- err
		}()
	}
	require.NoError(t, receive(t, errs))
	require.NoError(t, receive(t, errs))
	require.LessOrEqual(t, <-differ+<-differ, 1, "bytes that differ")
	require.Equal(t, s.row.fallsBack, library.Info().FallbackReason != "", "%+v", library.Info())
	require.NoError(t, library.Close())
	require.NoError(t, kernel.Close())
}
