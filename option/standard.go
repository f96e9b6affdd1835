package option

import (
	"encoding/binary"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// The standard TCP options that a sender of data has to know.
const (
	kindEnd           = 0
	kindNOP           = 1
	kindMSS           = 2
	kindWindowScale   = 3
	kindSACKPermitted = 4
	kindSACK          = 5
	kindTimestamps    = 8
)

// Encoded lengths, without the NOPs that go before the option.
const (
	mssSize           = 4
	windowScaleSize   = 3
	sackPermittedSize = 2
	sackBlockSize     = 8
	timestampsSize    = 10
)

// TimestampsSize is the number of bytes that AppendTimestamps appends.
const TimestampsSize = timestampsSize + 2

// MaxSACKBlocks is the number of SACK blocks that fit into a segment without
// other options. With timestamps it is 3.
const MaxSACKBlocks = 4

// MaxWindowScale is the largest shift that RFC 7323 section 2.3 allows.
const MaxWindowScale = 14

// Timestamps is the Timestamps option (RFC 7323 section 3).
type Timestamps struct {
	// Val (TSval) is the sender's clock, Ecr (TSecr) the clock value that it echoes.
	Val, Ecr uint32
}

// SACKBlock is one block of the SACK option (RFC 2018 section 3): bytes
// received, in absolute TCP sequence numbers.
type SACKBlock struct {
	// Left is the first byte of the block, Right the one after its last.
	Left, Right seq.SSN
}

// SACKSize returns the number of bytes that AppendSACK appends for n blocks.
func SACKSize(n int) int {
	if n <= 0 {
		return 0
	}
	return 2 + 2 + sackBlockSize*n
}

// AppendTimestamps appends two NOPs and a Timestamps option: 12 bytes.
func AppendTimestamps(b []byte, val, ecr uint32) []byte {
	b = append(b, kindNOP, kindNOP, kindTimestamps, timestampsSize)
	b = binary.BigEndian.AppendUint32(b, val)
	return binary.BigEndian.AppendUint32(b, ecr)
}

// AppendSACK appends two NOPs and a SACK option with blocks: SACKSize bytes,
// nothing if there are none. It panics if there are more than MaxSACKBlocks.
func AppendSACK(b []byte, blocks []SACKBlock) []byte {
	if len(blocks) == 0 {
		return b
	}
	if len(blocks) > MaxSACKBlocks {
		panic("option: too many SACK blocks")
	}
	b = append(b, kindNOP, kindNOP, kindSACK, byte(2+sackBlockSize*len(blocks)))
	for _, block := range blocks {
		b = binary.BigEndian.AppendUint32(b, uint32(block.Left))
		b = binary.BigEndian.AppendUint32(b, uint32(block.Right))
	}
	return b
}

// AppendMSS appends a Maximum Segment Size option (RFC 9293 section 3.7.1), for
// a SYN: 4 bytes. mss is in bytes.
func AppendMSS(b []byte, mss uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, kindMSS, mssSize), mss)
}

// AppendWindowScale appends a NOP and a Window Scale option (RFC 7323 section
// 2.2), for a SYN: 4 bytes. shift is 0 to MaxWindowScale.
func AppendWindowScale(b []byte, shift uint8) []byte {
	return append(b, kindNOP, kindWindowScale, windowScaleSize, shift)
}

// AppendSACKPermitted appends two NOPs and a SACK-Permitted option (RFC 2018
// section 2), for a SYN: 4 bytes.
func AppendSACKPermitted(b []byte) []byte {
	return append(b, kindNOP, kindNOP, kindSACKPermitted, sackPermittedSize)
}

// Pad appends NOPs until the options that begin at b[start] fill a multiple of
// four bytes, as the TCP header needs.
func Pad(b []byte, start int) []byte {
	for (len(b)-start)%4 != 0 {
		b = append(b, kindNOP)
	}
	return b
}

// PaddedSize returns size rounded up to a multiple of four.
func PaddedSize(size int) int { return (size + 3) &^ 3 }
