package option

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The options of a SYN, as they are sent and read back (RFC 9293, 7323, 2018).
func TestStandardOnSyn(t *testing.T) {
	area := AppendMSS(nil, 1460)
	area = AppendWindowScale(area, 9)
	area = AppendSACKPermitted(area)
	area = AppendTimestamps(area, 0x01020304, 0x05060708)
	require.Equal(t, unhex(t, "020405b4 01030309 01010402 0101080a 01020304 05060708"), area)

	set := Parse(area, synFlags)
	mss, ok := set.MSS()
	require.True(t, ok)
	require.Equal(t, uint16(1460), mss)
	shift, ok := set.WindowScale()
	require.True(t, ok)
	require.Equal(t, uint8(9), shift)
	require.True(t, set.SACKPermitted())
	ts, ok := set.Timestamps()
	require.True(t, ok)
	require.Equal(t, Timestamps{Val: 0x01020304, Ecr: 0x05060708}, ts)
	require.False(t, set.HasMPTCP())
}

// RFC 9293 section 3.7.1, RFC 7323 section 2.2: ignored unless on a SYN.
func TestHandshakeOptionsOffSyn(t *testing.T) {
	set := Parse(AppendSACKPermitted(AppendWindowScale(AppendMSS(nil, 1460), 9)), ackFlags)
	_, mss := set.MSS()
	_, shift := set.WindowScale()
	require.False(t, mss || shift || set.SACKPermitted())
}

// RFC 7323 section 2.3: a larger shift counts as 14.
func TestWindowScaleLimit(t *testing.T) {
	set := Parse(AppendWindowScale(nil, 255), synFlags)
	shift, ok := set.WindowScale()
	require.True(t, ok)
	require.Equal(t, uint8(MaxWindowScale), shift)
}

func TestSACK(t *testing.T) {
	blocks := []SACKBlock{{1, 2}, {0xfffffff0, 5}, {7, 8}, {9, 10}}
	for n := range len(blocks) + 1 {
		area := AppendSACK(nil, blocks[:n])
		require.Len(t, area, SACKSize(n))
		set := Parse(area, ackFlags)
		got, count := set.SACK()
		require.Equal(t, n, count)
		require.Equal(t, blocks[:n], append([]SACKBlock{}, got[:count]...))
	}
	require.Equal(t, unhex(t, "0101050a 00000001 00000002"), AppendSACK(nil, blocks[:1]))
	require.Panics(t, func() { AppendSACK(nil, make([]SACKBlock, MaxSACKBlocks+1)) })
}

// A standard option of a wrong length is as if absent.
func TestStandardLengths(t *testing.T) {
	good := map[byte][]int{
		kindMSS: {4}, kindWindowScale: {3}, kindSACKPermitted: {2}, kindSACK: {10, 18, 26, 34}, kindTimestamps: {10},
	}
	for kind, lengths := range good {
		for n := 2; n <= MaxOptions; n++ {
			area := make([]byte, n)
			area[0], area[1] = kind, byte(n)
			set := Parse(area, synFlags)
			require.Equal(t, slices.Contains(lengths, n), set.standard[kind].present(), "kind %d, length %d", kind, n)
		}
	}
}

func TestPad(t *testing.T) {
	prefix := []byte{0xaa} // what stands before the options does not matter
	for n := range 9 {
		b := append([]byte{}, prefix...)
		b = append(b, make([]byte, n)...)
		b = Pad(b, len(prefix))
		require.Len(t, b, len(prefix)+PaddedSize(n))
		require.Zero(t, (len(b)-len(prefix))%4)
		require.Less(t, len(b)-len(prefix)-n, 4)
		for _, v := range b[len(prefix)+n:] {
			require.Equal(t, byte(kindNOP), v)
		}
	}
}
