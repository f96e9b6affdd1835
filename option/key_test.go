package option

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// 8684-W-14, 8684-W-15, 8684-3.1-29: T-K1..T-K7, T-O1, T-O2.
func TestTokenAndIDSN(t *testing.T) {
	for _, c := range []struct {
		name, key string
		token     Token
		idsn      seq.DSN
	}{
		{"T-K1", "0102030405060708", 0x66840dda, 0xf5a101d3d29d6f72},
		{"T-K2", "1112131415161718", 0xccad45ac, 0x535beea38e087c8e},
		{"T-K3", "0000000000000000", 0xaf5570f5, 0xe5b2328de0e83dfc},
		{"T-K4", "ffffffffffffffff", 0x12a3ae44, 0x57fb595bbbacf0ca},
		{"T-K5", "a00000000000f6ec", 0x42ec775d, 0xe35e8ec8c660cb51},
		{"T-K6", "a000000000012bab", 0x42ec775d, 0x1a2c7fd41e59b6c0},
		{"T-K7", "b000000000da41bf", 0xc6e73440, 0x9e10c70cffffffce},
	} {
		key := Key(unhex(t, c.key))
		require.Equal(t, c.token, key.Token(), c.name)
		require.Equal(t, c.idsn, key.IDSN(), c.name)
	}
	require.Equal(t, seq.DSN(0x71b173195d0d98e7), Key(unhex(t, "c343ecd2f38c5202")).IDSN(), "T-O1")
	require.Equal(t, Token(0x229b61bd), Key(unhex(t, "9b924dcabd27cc5b")).Token(), "T-O2")
}

// T-K7: the low half of the DSN wraps after 49 payload bytes.
func TestIDSNWrapsLowHalf(t *testing.T) {
	first := Key(unhex(t, "b000000000da41bf")).IDSN().Add(1)
	require.Equal(t, uint32(0xffffffcf), first.Low())
	require.Equal(t, seq.DSN(0x9e10c70d00000000), first.Add(49))
}

// 8684-3.1-07
func TestNewKey(t *testing.T) {
	random := bytes.NewReader(unhex(t, "0102030405060708 1112131415161718"))
	for _, want := range []Key{keyA, keyB} {
		got, err := NewKey(iotest.OneByteReader(random))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := NewKey(random)
	require.ErrorIs(t, err, io.EOF)
	_, err = NewKey(bytes.NewReader(make([]byte, 8)))
	require.Error(t, err, "the zero key means none")
}

// 8684-3.2-02
func TestNewNonce(t *testing.T) {
	n, err := NewNonce(bytes.NewReader([]byte{1, 2, 3, 4}))
	require.NoError(t, err)
	require.Equal(t, Nonce{1, 2, 3, 4}, n)
	broken := errors.New("broken")
	_, err = NewNonce(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}
