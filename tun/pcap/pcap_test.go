package pcap

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/tun"
)

// superSegment has n payload bytes in two pieces and a partial checksum.
func superSegment(n int) tun.Packet {
	head := packet.AppendTCP(nil, &packet.Fields{
		Src: netip.MustParseAddrPort("192.0.2.1:1000"), Dst: netip.MustParseAddrPort("192.0.2.2:2000"),
		Seq: 77, Flags: packet.FlagACK, PayloadLen: n,
	})
	payload := bytes.Repeat([]byte("payload"), n/7+1)[:n]
	return tun.Packet{
		Head: head, Payload: [][]byte{payload[:n/3], payload[n/3:]},
		GSOSize: 1000, Checksum: tun.ChecksumPartial,
	}
}

func read(t *testing.T, dev tun.Device) {
	t.Helper()
	_, err := dev.Read([]tun.Packet{{Head: make([]byte, tun.MaxPacketSize)}})
	require.NoError(t, err)
}

func TestCaptureOfTwoDevices(t *testing.T) {
	a, b := tun.Pipe(tun.PipeConfig{Names: [2]string{"wifi", "lte"}})
	var file bytes.Buffer
	c, err := NewWriter(&file, Options{})
	require.NoError(t, err)
	wa, err := c.Wrap(a)
	require.NoError(t, err)
	wb, err := c.Wrap(b)
	require.NoError(t, err)

	require.NoError(t, wa.Write([]tun.Packet{superSegment(5000)}))
	read(t, wb)
	require.Zero(t, file.Len(), "buffered")
	require.NoError(t, wb.Close())
	require.ErrorIs(t, wb.Write(nil), tun.ErrClosed)

	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for i, name := range []string{"wifi", "lte"} {
		b, ci, err := r.ReadPacketData()
		require.NoError(t, err)
		require.Equal(t, i, ci.InterfaceIndex)
		intf, err := r.Interface(i)
		require.NoError(t, err)
		require.Equal(t, name, intf.Name)
		require.Equal(t, layers.LinkTypeRaw, intf.LinkType)
		require.Len(t, b, 5040)
		require.True(t, packet.VerifyChecksum(b, nil), "the partial checksum is completed in the capture")
		p := gopacket.NewPacket(b, layers.LayerTypeIPv4, gopacket.Default)
		require.EqualValues(t, 5040, p.NetworkLayer().(*layers.IPv4).Length)
	}
	_, _, err = r.ReadPacketData()
	require.ErrorIs(t, err, io.EOF)
}

func TestClassicFileWithSplitSegments(t *testing.T) {
	a, b := tun.Pipe(tun.PipeConfig{})
	name := filepath.Join(t.TempDir(), "x.pcap")
	c, err := Create(name, Options{Split: true})
	require.NoError(t, err)
	w, err := c.Wrap(a)
	require.NoError(t, err)
	odd := tun.Packet{Head: []byte("not IP"), GSOSize: 3}
	require.NoError(t, w.Write([]tun.Packet{superSegment(2500), odd}))
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	require.NoError(t, w.Write([]tun.Packet{superSegment(1)}), "traffic goes on")
	read(t, b)

	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	require.NoError(t, err)
	require.Equal(t, layers.LinkTypeRaw, r.LinkType())
	for _, n := range []int{1040, 1040, 540, len(odd.Head)} {
		b, _, err := r.ReadPacketData()
		require.NoError(t, err)
		require.Len(t, b, n)
	}
	_, _, err = r.ReadPacketData()
	require.ErrorIs(t, err, io.EOF)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestFailedCaptureDoesNotDisturbTraffic(t *testing.T) {
	full := errors.New("disk full")
	a, b := tun.Pipe(tun.PipeConfig{})
	c, err := NewWriter(failingWriter{full}, Options{})
	require.NoError(t, err)
	w, err := c.Wrap(a)
	require.NoError(t, err)
	for range 10 {
		require.NoError(t, w.Write([]tun.Packet{superSegment(60000)}))
		read(t, b)
	}
	require.ErrorIs(t, c.Flush(), full)
	require.ErrorIs(t, c.Close(), full)
}

func TestConcurrentCapture(t *testing.T) {
	a, b := tun.Pipe(tun.PipeConfig{})
	var file bytes.Buffer
	c, err := NewWriter(&file, Options{})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for _, dev := range []tun.Device{a, b} {
		w, err := c.Wrap(dev)
		require.NoError(t, err)
		wg.Go(func() {
			for range 100 {
				_ = w.Write([]tun.Packet{superSegment(3000)})
			}
		})
	}
	wg.Wait()
	require.NoError(t, c.Close())
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for range 200 {
		b, _, err := r.ReadPacketData()
		require.NoError(t, err)
		require.True(t, packet.VerifyChecksum(b, nil))
	}
}
