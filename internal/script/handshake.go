package script

import (
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/option"
)

// Accept lets the host dial and the peer answer: a connection with its initial subflow, on
// which no data has gone.
func (l *Lab) Accept() (*Peer, *mptcp.Conn) {
	l.t.Helper()
	dial := l.Dial()
	p := l.Opened("SYN with MP_CAPABLE", SYN, Capable)
	p.Send("SYN/ACK with MP_CAPABLE", SYN|ACK, Capable)
	p.Want("third packet with both keys", ACK, Len(0), Capable)
	return p, dial.Result()
}

// Connect lets the peer open a connection to the host; no data has gone.
func (l *Lab) Connect() (*Peer, *mptcp.Conn) {
	l.t.Helper()
	accept := l.Listen()
	p := l.Client(0)
	p.Send("SYN with MP_CAPABLE", SYN, Capable)
	p.Want("SYN/ACK with MP_CAPABLE", SYN|ACK, Capable)
	p.Send("third packet with both keys", ACK, Capable)
	return p, accept.Result()
}

// Confirm sends a DATA_ACK without data, and lets it arrive: the host, as client, knows that
// both keys have come.
func (p *Peer) Confirm() {
	p.Send("a DSS: both keys have come", ACK, DataAck(1))
	p.l.Sleep(2 * Delay)
}

// Join opens a subflow from the peer over a path: SYN, SYN/ACK, third and fourth packet.
func (l *Lab) Join(path int, id option.AddrID) *Peer {
	l.t.Helper()
	p := l.Client(path).SetID(id, false)
	p.Send("SYN with MP_JOIN", SYN, Join)
	p.Want("SYN/ACK with MP_JOIN", SYN|ACK, Join)
	p.Send("third packet", ACK, Join)
	p.Want("fourth packet", ACK, Len(0), Without(option.SubtypeJoin))
	return p
}

// AcceptJoin answers a join of the host, which has to be under way.
func (l *Lab) AcceptJoin(id option.AddrID) *Peer {
	l.t.Helper()
	p := l.Opened("SYN with MP_JOIN", SYN, Join)
	p.ID = id
	p.Send("SYN/ACK with MP_JOIN", SYN|ACK, Join)
	p.Want("third packet with HMAC", ACK, Len(0), Join)
	p.Send("fourth packet", ACK, DataAck(1))
	return p
}
