package option

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// 8684-W-05, 8684-W-17, 8684-3.2-06: T-J1, a client opens; T-J2, a server opens
// as backup; T-O2 between two Linux hosts.
func TestJoinHandshake(t *testing.T) {
	for _, c := range []struct {
		name                      string
		opener, responder         Key
		openerNonce, respNonce    string
		syn                       JoinSyn
		synWire, ackWire, synAckW string
	}{
		{
			name: "T-J1", opener: keyA, responder: keyB, openerNonce: "a1a2a3a4", respNonce: "b1b2b3b4",
			syn:     JoinSyn{ID: 2},
			synWire: "1e0c1002ccad45aca1a2a3a4",
			synAckW: "1e101000864b40428762fd06b1b2b3b4",
			ackWire: "1e18100053037f2899475529844115fd07e665d23d3554fb",
		},
		{
			name: "T-J2", opener: keyB, responder: keyA, openerNonce: "00000001", respNonce: "fffffffe",
			syn:     JoinSyn{ID: 7, Backup: true},
			synWire: "1e0c110766840dda00000001",
			synAckW: "1e10100045a9aa6eadb7c864fffffffe",
			ackWire: "1e18100061a06b3876d68943cfe54a9f19fcd9bd6761d855",
		},
		{
			name: "T-O2", opener: Key(unhex(t, "eacc5af68f8e8967")), responder: Key(unhex(t, "9b924dcabd27cc5b")),
			openerNonce: "46661710", respNonce: "b4c5a2f5",
			synWire: "1e0c1000229b61bd46661710",
			synAckW: "1e101000181eabe4d170d16ab4c5a2f5",
			ackWire: "1e181000c7edcedb5cef6bb509bb755a95f6200ed0161509",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			openerNonce, respNonce := Nonce(unhex(t, c.openerNonce)), Nonce(unhex(t, c.respNonce))

			syn := c.syn
			syn.Token, syn.Nonce = c.responder.Token(), openerNonce
			requireWire(t, c.synWire, synFlags, syn)

			synAck := NewJoinSynAck(c.responder, c.opener, respNonce, openerNonce)
			requireWire(t, c.synAckW, synAckFlags, synAck)
			require.True(t, synAck.Verify(c.opener, c.responder, openerNonce))

			ack := NewJoinAck(c.opener, c.responder, openerNonce, respNonce)
			requireWire(t, c.ackWire, ackFlags, ack)
			require.True(t, ack.Verify(c.responder, c.opener, respNonce, openerNonce))
		})
	}
}

// 8684-3.2-12, 8684-3.2-14: any bit of an HMAC that is wrong, and each argument
// out of its place, fails the check.
func TestJoinVerifyFails(t *testing.T) {
	nonceA, nonceB := Nonce{1}, Nonce{2}
	synAck := NewJoinSynAck(keyB, keyA, nonceB, nonceA)
	for i := range 64 {
		bad := synAck
		bad.HMAC[i/8] ^= 1 << (i % 8)
		require.False(t, bad.Verify(keyA, keyB, nonceA), "bit %d", i)
	}
	require.False(t, synAck.Verify(keyB, keyA, nonceA))
	require.False(t, synAck.Verify(keyA, keyB, nonceB))

	ack := NewJoinAck(keyA, keyB, nonceA, nonceB)
	for i := range 160 {
		bad := ack
		bad.HMAC[i/8] ^= 1 << (i % 8)
		require.False(t, bad.Verify(keyB, keyA, nonceB, nonceA), "bit %d", i)
	}
	require.False(t, ack.Verify(keyA, keyB, nonceB, nonceA))
	require.False(t, ack.Verify(keyB, keyA, nonceA, nonceB))
}

func TestJoinSynAckBackup(t *testing.T) {
	requireWire(t, "1e10110501020304050607080a0b0c0d", synAckFlags,
		JoinSynAck{Backup: true, ID: 5, HMAC: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Nonce: Nonce{10, 11, 12, 13}})
}

// 8684-W-05, 8684-Q-23
func TestJoinLengths(t *testing.T) {
	requireLengths(t, synFlags, []byte{0x10}, 12)
	requireLengths(t, synAckFlags, []byte{0x10}, 16)
	requireLengths(t, ackFlags, []byte{0x10}, 24)
	requireLengths(t, rstFlags, []byte{0x10})
}

// Each form is given out under its own name only.
func TestJoinForms(t *testing.T) {
	for _, c := range []struct {
		opt                Option
		flags              uint8
		syn, synAck, third bool
	}{
		{JoinSyn{}, synFlags, true, false, false},
		{JoinSynAck{}, synAckFlags, false, true, false},
		{JoinAck{}, ackFlags, false, false, true},
	} {
		set := Parse(c.opt.AppendTo(nil), c.flags)
		_, syn := set.JoinSyn()
		_, synAck := set.JoinSynAck()
		_, third := set.JoinAck()
		require.Equal(t, []bool{c.syn, c.synAck, c.third}, []bool{syn, synAck, third}, "%v", c.opt)
	}
}
