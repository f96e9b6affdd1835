package option

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-W-03, 8684-W-04, 8684-3.1-10: the five layouts; T-C1, T-O1.
func TestCapableWire(t *testing.T) {
	linuxClient, linuxServer := Key(unhex(t, "c343ecd2f38c5202")), Key(unhex(t, "f7feee072f221069"))
	for _, c := range []struct {
		name, wire string
		flags      uint8
		want       MPCapable
	}{
		{"SYN", "1e040181", synFlags,
			MPCapable{Form: CapableSyn, Version: 1, Flags: ChecksumRequired | HMACSHA256}},
		{"SYN/ACK", "1e0c01211112131415161718", synAckFlags,
			MPCapable{Form: CapableSynAck, Version: 1, Flags: DenyJoinInitial | HMACSHA256, SenderKey: keyB}},
		{"ACK", "1e14010101020304050607081112131415161718", ackFlags,
			MPCapable{Form: CapableAck, Version: 1, Flags: HMACSHA256, SenderKey: keyA, ReceiverKey: keyB}},
		{"T-C1 without checksum", "1e160101010203040506070811121314151617180005", ackFlags,
			MPCapable{Form: CapableData, Version: 1, Flags: HMACSHA256, SenderKey: keyA, ReceiverKey: keyB, DataLen: 5}},
		{"T-C1", "1e18018101020304050607081112131415161718000582a1", ackFlags,
			MPCapable{Form: CapableDataChecksum, Version: 1, Flags: ChecksumRequired | HMACSHA256,
				SenderKey: keyA, ReceiverKey: keyB, DataLen: 5, Checksum: 0x82a1}},
		{"T-O1", "1e180181c343ecd2f38c5202f7feee072f2210690005e166", ackFlags,
			MPCapable{Form: CapableDataChecksum, Version: 1, Flags: ChecksumRequired | HMACSHA256,
				SenderKey: linuxClient, ReceiverKey: linuxServer, DataLen: 5, Checksum: 0xe166}},
		{"all flags, version 15", "1e040fff", synFlags,
			MPCapable{Form: CapableSyn, Version: 15, Flags: ChecksumRequired | Extensible | DenyJoinInitial | AlgorithmMask}},
	} {
		t.Run(c.name, func(t *testing.T) {
			requireWire(t, c.wire, c.flags, c.want)
			set := Parse(unhex(t, c.wire), c.flags)
			got, ok := set.Capable()
			require.True(t, ok)
			require.Equal(t, c.want, got)
		})
	}
}

// 8684-W-03, 8684-Q-14, 8684-Q-23: which length is an MP_CAPABLE depends on the
// segment; the SYN of 12 bytes is a leftover of version 0.
func TestCapableLengths(t *testing.T) {
	requireLengths(t, synFlags, []byte{0x01, 0x01}, 4)
	requireLengths(t, synAckFlags, []byte{0x01, 0x01}, 12)
	requireLengths(t, ackFlags, []byte{0x01, 0x01}, 20, 22, 24)
	requireLengths(t, ackFlags|0x08, []byte{0x01, 0x01}, 20, 22, 24) // PSH
	requireLengths(t, 0, []byte{0x01, 0x01})
	requireLengths(t, rstFlags, []byte{0x01, 0x01})
	requireLengths(t, synFlags|FlagRST, []byte{0x01, 0x01})
}

func TestCapableHasData(t *testing.T) {
	for form := CapableSyn; form <= CapableDataChecksum; form++ {
		require.Equal(t, form == CapableData || form == CapableDataChecksum, MPCapable{Form: form}.HasData(), form)
	}
}

// A value without encoding is an error of the caller.
func TestCapableWithoutForm(t *testing.T) {
	require.Panics(t, func() { MPCapable{}.AppendTo(nil) })
	require.Panics(t, func() { MPCapable{Form: CapableDataChecksum + 1}.AppendTo(nil) })
}
