package option

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-W-19, 8684-3.3.1-06: T-C1..T-C6, T-O1.
func TestDSSChecksum(t *testing.T) {
	for _, c := range []struct {
		name, header, payload string
		want                  uint16
	}{
		{"T-C1", "f5a101d3d29d6f730000000100050000", "68656c6c6f", 0x82a1},
		{"T-C2", "f5a101d3d29d6f780000000600060000", "20776f726c64", 0xca1a},
		{"T-C3", "f5a101d3d29d6f7e0000000c00040000", "627965", 0xfee4},
		{"T-C4", "f5a101d3d29d6f810000000000010000", "", 0xc66a},
		{"T-C5", "f5a101d3d29d6f730000000100020000", "c676", 0x0000},
		{"T-C6", "fffffffffffffffeffffffff00070000", "01020304050607", 0xefed},
		{"T-O1 data", "71b173195d0d98e80000000100050000", "68656c6c6f", 0xe166},
		{"T-O1 DATA_FIN", "71b173195d0d98ed0000000000010000", "", 0x2539},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := unhex(t, c.header)
			dsn, ssn, dll := binary.BigEndian.Uint64(h), binary.BigEndian.Uint32(h[8:]), binary.BigEndian.Uint16(h[12:])
			payload := unhex(t, c.payload)
			require.Equal(t, c.want, DSSChecksum(dsn, ssn, dll, SumBytes(payload)))
			require.True(t, VerifyDSSChecksum(dsn, ssn, dll, SumBytes(payload), c.want))

			for i := range 8 * len(payload) {
				bad := append([]byte(nil), payload...)
				bad[i/8] ^= 1 << (i % 8)
				require.False(t, VerifyDSSChecksum(dsn, ssn, dll, SumBytes(bad), c.want), "bit %d", i)
			}
			require.False(t, VerifyDSSChecksum(dsn^1, ssn, dll, SumBytes(payload), c.want))
			require.False(t, VerifyDSSChecksum(dsn, ssn^1, dll, SumBytes(payload), c.want))
			require.False(t, VerifyDSSChecksum(dsn, ssn, dll^1, SumBytes(payload), c.want))
		})
	}
}

// A sender that writes the other zero of ones' complement is understood.
func TestVerifyDSSChecksumBothZeros(t *testing.T) {
	for _, field := range []uint16{0x0000, 0xffff} {
		require.True(t, VerifyDSSChecksum(0xf5a101d3d29d6f73, 1, 2, SumBytes([]byte{0xc6, 0x76}), field))
	}
}

// plainSum is the definition of the sum: 16-bit words, carries folded, zero pad.
func plainSum(b []byte) Sum {
	var acc uint64
	for i, v := range b {
		acc += uint64(v) << (8 * (1 - i%2))
	}
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return Sum(acc)
}

// All lengths around the strides, random bytes and those that carry most.
func TestSumBytes(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for n := range 200 {
		b := make([]byte, n)
		require.Zero(t, SumBytes(b))
		for range 20 {
			random.Read(b)
			require.Equal(t, plainSum(b), SumBytes(b), "%x", b)
		}
		for i := range b {
			b[i] = 0xff
		}
		require.Equal(t, plainSum(b), SumBytes(b), "%d bytes of ff", n)
	}
}

// 8684-W-19: a mapping that spans segments of any lengths has the sum of the
// whole, in whatever order its pieces are summed.
func TestSumOfPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		b := make([]byte, random.IntN(300))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		cut1 := random.IntN(len(b) + 1)
		cut2 := cut1 + random.IntN(len(b)-cut1+1)
		var forward Sum
		forward = forward.AddBytes(b[:cut1], 0)
		forward = forward.AddBytes(b[cut1:cut2], cut1)
		forward = forward.AddBytes(b[cut2:], cut2)
		require.Equal(t, plainSum(b), forward)

		var back Sum
		back = back.Add(SumBytes(b[cut2:]), cut2)
		back = back.Add(SumBytes(b[cut1:cut2]), cut1)
		back = back.Add(SumBytes(b[:cut1]), 0)
		require.Equal(t, plainSum(b), back)
	}
}

func BenchmarkSumBytes(b *testing.B) {
	for _, n := range []int{64, 1460, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				SumBytes(buf)
			}
		})
	}
}
