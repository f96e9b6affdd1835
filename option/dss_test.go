package option

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// 8684-W-06, 8684-W-07, 8684-W-24, 8684-W-25: the DSS of the vectors.
func TestDSSWire(t *testing.T) {
	const ackB = 0x535beea38e087c8e
	for _, c := range []struct {
		name, wire string
		want       DSS
	}{
		{"T-C2 AM", "1e1420058e087c8fd29d6f78000000060006ca1a", DSS{HasAck: true, Ack: 0x8e087c8f,
			HasMap: true, DSN: 0xd29d6f78, SSN: 6, Len: 6, HasChecksum: true, Checksum: 0xca1a}},
		{"T-C2 AaMm", "1e1c200f535beea38e087c8ff5a101d3d29d6f78000000060006ca1a", DSS{HasAck: true, Ack64: true, Ack: ackB + 1,
			HasMap: true, DSN64: true, DSN: 0xf5a101d3d29d6f78, SSN: 6, Len: 6, HasChecksum: true, Checksum: 0xca1a}},
		{"T-C3 MmF", "1e14201cf5a101d3d29d6f7e0000000c0004fee4", DSS{HasMap: true, DSN64: true, DataFin: true,
			DSN: 0xf5a101d3d29d6f7e, SSN: 12, Len: 4, HasChecksum: true, Checksum: 0xfee4}},
		{"T-C4 AaMmF", "1e1c201f535beea38e087c8ff5a101d3d29d6f81000000000001c66a", DSS{HasAck: true, Ack64: true, Ack: ackB + 1,
			HasMap: true, DSN64: true, DataFin: true, DSN: 0xf5a101d3d29d6f81, Len: 1, HasChecksum: true, Checksum: 0xc66a}},
		{"INF at T-C2", "1e14200cf5a101d3d29d6f780000000600000000", DSS{HasMap: true, DSN64: true,
			DSN: 0xf5a101d3d29d6f78, SSN: 6, HasChecksum: true}},
		{"T-O1 DATA_FIN", "1e18201dd856bdc571b173195d0d98ed0000000000012539", DSS{HasAck: true, Ack: 0xd856bdc5,
			HasMap: true, DSN64: true, DataFin: true, DSN: 0x71b173195d0d98ed, Len: 1, HasChecksum: true, Checksum: 0x2539}},
		{"empty", "1e042000", DSS{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			requireWire(t, c.wire, ackFlags, c.want)
			set := Parse(unhex(t, c.wire), ackFlags)
			got, ok := set.DSS()
			require.True(t, ok)
			require.Equal(t, c.want, got)
		})
	}
}

// 8684-W-07: every row of the table of offsets, with the values at their places.
func TestDSSLayouts(t *testing.T) {
	const ack, dsn, tail = "a1a2a3a4", "d1d2d3d4", "51525354 1112"
	for _, c := range []struct {
		flags  byte
		fields string
		want   DSS
	}{
		{0x01, ack, DSS{HasAck: true, Ack: 0xa1a2a3a4}},
		{0x03, "b1b2b3b4" + ack, DSS{HasAck: true, Ack64: true, Ack: 0xb1b2b3b4a1a2a3a4}},
		{0x04, dsn + tail, DSS{HasMap: true, DSN: 0xd1d2d3d4}},
		{0x0c, "e1e2e3e4" + dsn + tail, DSS{HasMap: true, DSN64: true, DSN: 0xe1e2e3e4d1d2d3d4}},
		{0x05, ack + dsn + tail, DSS{HasAck: true, Ack: 0xa1a2a3a4, HasMap: true, DSN: 0xd1d2d3d4}},
		{0x0d, ack + "e1e2e3e4" + dsn + tail, DSS{HasAck: true, Ack: 0xa1a2a3a4,
			HasMap: true, DSN64: true, DSN: 0xe1e2e3e4d1d2d3d4}},
		{0x07, "b1b2b3b4" + ack + dsn + tail, DSS{HasAck: true, Ack64: true, Ack: 0xb1b2b3b4a1a2a3a4,
			HasMap: true, DSN: 0xd1d2d3d4}},
		{0x0f, "b1b2b3b4" + ack + "e1e2e3e4" + dsn + tail, DSS{HasAck: true, Ack64: true, Ack: 0xb1b2b3b4a1a2a3a4,
			HasMap: true, DSN64: true, DSN: 0xe1e2e3e4d1d2d3d4}},
	} {
		want := c.want
		if want.HasMap {
			want.SSN, want.Len = 0x51525354, 0x1112
		}
		wire := func(flags byte, fields string) string {
			body := unhex(t, fields)
			return fmt.Sprintf("1e%02x20%02x%x", 4+len(body), flags, body)
		}
		requireWire(t, wire(c.flags, c.fields), ackFlags, want)
		if !want.HasMap {
			continue
		}
		want.DataFin = true
		requireWire(t, wire(c.flags|0x10, c.fields), ackFlags, want)
		want.HasChecksum, want.Checksum = true, 0xc1c2
		requireWire(t, wire(c.flags|0x10, c.fields+"c1c2"), ackFlags, want)
		want.DataFin = false
		requireWire(t, wire(c.flags, c.fields+"c1c2"), ackFlags, want)
	}
}

// 8684-W-07, 8684-Q-20, 8684-Q-22, 8684-Q-23: for every flags byte, which
// lengths are good.
func TestDSSLengths(t *testing.T) {
	for flags := range 0x100 {
		good := map[int][]int{
			0x00: {4}, 0x02: {4}, 0x08: {4}, 0x0a: {4},
			0x01: {8}, 0x09: {8}, 0x03: {12}, 0x0b: {12},
			0x04: {14, 16}, 0x06: {14, 16}, 0x0c: {18, 20}, 0x0e: {18, 20},
			0x05: {18, 20}, 0x0d: {22, 24}, 0x07: {22, 24}, 0x0f: {26, 28},
		}[flags&0x0f]
		requireLengths(t, ackFlags, []byte{0x20, byte(flags)}, good...)
	}
}

// 8684-Q-20, 8684-W-07: what qualifies an absent part is ignored.
func TestDSSFlagsWithoutTheirPart(t *testing.T) {
	require.Equal(t, DSS{}, one(unhex(t, "1e042002"), ackFlags), "a without A")
	require.Equal(t, DSS{}, one(unhex(t, "1e042008"), ackFlags), "m without M")
	require.Equal(t, DSS{HasAck: true, Ack: 7}, one(unhex(t, "1e08201100000007"), ackFlags), "F without M")
}

// The fields of an absent part are not written.
func TestDSSIgnoresFieldsOfAbsentParts(t *testing.T) {
	d := DSS{Ack64: true, Ack: 1, DSN64: true, DataFin: true, HasChecksum: true, DSN: 2, SSN: 3, Len: 4, Checksum: 5}
	require.Equal(t, unhex(t, "1e042000"), d.AppendTo(nil))
	require.Equal(t, 4, d.Size())
}

// 8684-3.3.1-12: of the 4-byte forms only the low half travels.
func TestDSSLowHalves(t *testing.T) {
	d := DSS{HasAck: true, Ack: 0x535beea38e087c8f, HasMap: true, DSN: 0xf5a101d3d29d6f78}
	require.Equal(t, unhex(t, "1e122005 8e087c8f d29d6f78 00000000 0000"), d.AppendTo(nil))
}

// 8684-3.3.1-13, 8684-3.3.1-15: T-K7's neighbourhood, where the low half wraps.
func TestDSSWiden(t *testing.T) {
	const before, after = seq.DSN(0x9e10c70cffffffcf), seq.DSN(0x9e10c70d00000010)
	low := DSS{Ack: uint64(after.Low()), DSN: uint64(before.Low())}
	require.Equal(t, after, low.WideAck(before))
	require.Equal(t, before, low.WideDSN(after), "an old value does not step the upper half back and forth")
	full := DSS{Ack64: true, Ack: 5, DSN64: true, DSN: 6}
	require.Equal(t, seq.DSN(5), full.WideAck(before))
	require.Equal(t, seq.DSN(6), full.WideDSN(before))
}

// 8684-W-25
func TestDSSInfinite(t *testing.T) {
	require.True(t, DSS{HasMap: true}.Infinite())
	require.False(t, DSS{HasMap: true, Len: 1}.Infinite())
	require.False(t, DSS{HasAck: true}.Infinite())
}

func BenchmarkParseDSS(b *testing.B) {
	area := DSS{HasAck: true, HasMap: true, Len: 1400}.AppendTo(AppendTimestamps(nil, 1, 2))
	b.ReportAllocs()
	for b.Loop() {
		set := Parse(area, ackFlags)
		if _, ok := set.DSS(); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkAppendDSS(b *testing.B) {
	d := DSS{HasAck: true, Ack: 1, HasMap: true, DSN: 2, SSN: 3, Len: 1400}
	var buf [MaxOptions]byte
	b.ReportAllocs()
	for b.Loop() {
		d.AppendTo(buf[:0])
	}
}
