//go:build linux

package interop

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/tun"
)

// flipper is a device that changes one byte of payload on its way to or from the kernel. TCP's
// checksum is filled in later, so that only the DSS checksum tells.
type flipper struct {
	tun.Device
	toKernel bool
	after    int // bytes of payload that pass before
	mu       sync.Mutex
	passed   int
	flipped  bool
}

// due counts n bytes of payload and reports whether one of them is to be changed.
func (f *flipper) due(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed += n
	if n == 0 || f.flipped || f.passed <= f.after {
		return false
	}
	f.flipped = true
	return true
}

func (f *flipper) Read(pkts []tun.Packet) (int, error) {
	n, err := f.Device.Read(pkts)
	if f.toKernel {
		return n, err
	}
	for _, p := range pkts[:n] {
		if t, ok := packet.ParseTCP(p.Head); ok {
			if body := p.Head[t.HeaderLen():min(t.TotalLen(), len(p.Head))]; f.due(len(body)) {
				body[len(body)/2] ^= 0x55
			}
		}
	}
	return n, err
}

func (f *flipper) Write(pkts []tun.Packet) error {
	for i := range pkts {
		body := bytes.Join(pkts[i].Payload, nil)
		if f.toKernel && f.due(len(body)) {
			body[len(body)/2] ^= 0x55
			pkts[i].Payload = [][]byte{body}
		}
	}
	return f.Device.Write(pkts)
}

// A byte changes on the only path, and the checksum tells: both ends go over to plain TCP by
// MP_FAIL and infinite mappings, and the transfer goes on (RFC 8684 section 3.7, 8684-3.7-09,
// -10, -11).
func TestChecksumFailsOnTheOnlyPath(t *testing.T) {
	for _, sender := range []string{"library", "kernel"} {
		t.Run(sender+" sends", func(t *testing.T) {
			each(t, func(t testing.TB, cfg LabConfig) {
				box := &flipper{toKernel: sender == "library", after: 1 << 20}
				cfg.Paths, cfg.Host.Checksum, cfg.Host.PathManager = 1, true, pathmgr.None
				cfg.Wrap = func(_ testing.TB, dev tun.Device) tun.Device {
					box.Device = dev
					return box
				}
				lab := NewLab(t, cfg)
				library, kernel := lab.Connect(t, true)
				from, to := Conn(library), Conn(kernel)
				want := map[string]int64{"MPFailTx": 1, "MPFailRx": 1, "DataCsumErr": 1, "InfiniteMapRx": 1}
				if sender == "kernel" {
					from, to = to, from
					want = map[string]int64{"MPFailTx": 1, "MPFailRx": 1, "InfiniteMapTx": 1}
				}
				requireOneFlip(t, from, to, 8<<20)
				require.False(t, library.Info().MPTCP)
				counters := lab.Peer.Counters(t)
				counters.RequireAll(t, want)
				counters.RequireNoReset(t)
				closeAll(t, library, kernel)
			})
		})
	}
}

func closeAll(t testing.TB, library *mptcp.Conn, kernel *net.TCPConn) {
	require.NoError(t, library.Close())
	require.NoError(t, kernel.Close())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, library.Wait(ctx), "all was confirmed")
}

// requireOneFlip sends size bytes, then the end, and wants all of them with one changed.
func requireOneFlip(t testing.TB, from, to Conn, size int) {
	t.Helper()
	wrong, got := 0, 0
	read := make(chan error, 1)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := to.Read(buf)
			for _, b := range buf[:n] {
				if b != byte(got)^byte(got>>8)^byte(got>>16) {
					wrong++
				}
				got++
			}
			if err != nil {
				if err == io.EOF {
					err = nil
				}
				read <- err
				return
			}
		}
	}()
	buf := make([]byte, size)
	for i := range buf {
		buf[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	deadline := time.Now().Add(patience)
	require.NoError(t, from.SetDeadline(deadline))
	require.NoError(t, to.SetDeadline(deadline))
	for len(buf) > 0 {
		n, err := from.Write(buf[:min(len(buf), 64<<10)])
		require.NoError(t, err)
		buf = buf[n:]
		time.Sleep(time.Millisecond)
	}
	require.NoError(t, from.CloseWrite())
	require.NoError(t, <-read)
	require.Equal(t, size, got)
	require.Equal(t, 1, wrong)
}
