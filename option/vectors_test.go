package option

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The keys of the test vectors T-K1 and T-K2: host A and host B.
var (
	keyA = Key{1, 2, 3, 4, 5, 6, 7, 8}
	keyB = Key{0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18}
)

const (
	synFlags    = FlagSYN
	synAckFlags = FlagSYN | FlagACK
	ackFlags    = FlagACK
	rstFlags    = FlagRST | FlagACK
)

// unhex decodes hexadecimal digits; blanks are for the reader.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

// one parses a single option and returns it; nil if it counts as absent.
func one(b []byte, tcpFlags uint8) Option {
	set := Parse(b, tcpFlags)
	for o := range set.All() {
		return o
	}
	return nil
}

// requireWire asserts that want and the bytes in wire are encoding and decoding
// of each other.
func requireWire(t *testing.T, wire string, tcpFlags uint8, want Option) {
	t.Helper()
	b := unhex(t, wire)
	require.Equal(t, wire, hex.EncodeToString(want.AppendTo(nil)), "appended")
	require.Equal(t, len(b), want.Size(), "size")
	require.Equal(t, want, one(b, tcpFlags), "parsed")
}

// requireLengths asserts that an option that begins with the given bytes, from
// byte 2 on, is parsed exactly when it has one of the good lengths.
func requireLengths(t *testing.T, tcpFlags uint8, begin []byte, good ...int) {
	t.Helper()
	isGood := map[int]bool{}
	for _, n := range good {
		isGood[n] = true
	}
	for n := 2; n <= MaxOptions; n++ {
		b := make([]byte, max(n, 2+len(begin)))
		copy(b[2:], begin)
		b = b[:n]
		b[0], b[1] = Kind, byte(n)
		set := Parse(b, tcpFlags)
		require.Equal(t, isGood[n], set.HasMPTCP(), "length %d", n)
		require.Equal(t, !isGood[n], set.Malformed+set.Misplaced == 1, "length %d: counted", n)
	}
}
