package option

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	const keys = "key=0102030405060708 peer=1112131415161718"
	for want, o := range map[string]interface{ String() string }{
		"MP_CAPABLE v1 SYN flags=H": MPCapable{Form: CapableSyn, Version: 1, Flags: HMACSHA256},
		"MP_CAPABLE v1 data+csum flags=AH " + keys + " len=5 csum=82a1": MPCapable{Form: CapableDataChecksum, Version: 1,
			Flags: ChecksumRequired | HMACSHA256, SenderKey: keyA, ReceiverKey: keyB, DataLen: 5, Checksum: 0x82a1},
		"MP_JOIN SYN id=7 token=66840dda nonce=00000001 backup":     JoinSyn{Backup: true, ID: 7, Token: 0x66840dda, Nonce: Nonce{3: 1}},
		"MP_JOIN SYN/ACK id=0 hmac=864b40428762fd06 nonce=b1b2b3b4": NewJoinSynAck(keyB, keyA, Nonce{0xb1, 0xb2, 0xb3, 0xb4}, Nonce{0xa1, 0xa2, 0xa3, 0xa4}),
		"MP_JOIN ACK hmac=0100000000000000000000000000000000000000": JoinAck{HMAC: [20]byte{1}},
		"DSS": DSS{},
		"DSS ack=0000000000000001 dsn=d29d6f78 ssn=6 len=6 csum=ca1a fin": DSS{HasAck: true, Ack64: true, Ack: 1,
			HasMap: true, DataFin: true, DSN: 0xf5a101d3d29d6f78, SSN: 6, Len: 6, HasChecksum: true, Checksum: 0xca1a},
		"ADD_ADDR id=3 192.0.2.5:8443 hmac=0700000000000000": AddAddr{ID: 3, Addr: netip.MustParseAddrPort("192.0.2.5:8443"), HMAC: [8]byte{7}},
		"ADD_ADDR echo id=3 192.0.2.5":                       AddAddr{Echo: true, ID: 3, Addr: netip.MustParseAddrPort("192.0.2.5:0")},
		"REMOVE_ADDR ids=[3 9]":                              NewRemoveAddr(3, 9),
		"MP_PRIO backup":                                     Prio{Backup: true},
		"MP_FAIL dsn=f5a101d3d29d6f78":                       Fail{DSN: 0xf5a101d3d29d6f78},
		"MP_FASTCLOSE key=1112131415161718":                  FastClose{ReceiverKey: keyB},
		"MP_TCPRST transient: too much outstanding data":     Reset{Transient: true, Reason: ReasonOutstanding},
		"MP_TCPRST: reason 0x99":                             Reset{Reason: 0x99},
		"MP_FASTCLOSE":                                       SubtypeFastClose,
		"subtype 15":                                         Subtype(15),
		"form 9":                                             CapableForm(9),
		"ABCDEFGH":                                           CapableFlags(0xff),
	} {
		require.Equal(t, want, o.String())
	}
}

func TestSetText(t *testing.T) {
	set := Parse(Prio{}.AppendTo(DSS{HasAck: true, Ack: 7}.AppendTo(nil)), ackFlags)
	require.Equal(t, "DSS ack=00000007; MP_PRIO", set.String())
}
