package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
)

// maxFinRepeats is how often we repeat a FIN; then the endpoint decides when to give up.
const maxFinRepeats = 15

// finTimer repeats our FIN. The endpoint would do it alone, but all that it has ever measured is
// the handshake: if its SYN was repeated, or answered late, it waits for up to two minutes.
type finTimer struct {
	at time.Time // when the FIN left last, whoever sent it
	n  int       // how often we have repeated it
}

// finDue is when the FIN is to be repeated, zero if it is not. Before the data is acknowledged
// that is repeated, and asks for an ACK as well.
func (f *Subflow) finDue() time.Time {
	if !f.finSent || f.finAcked || f.state == Closed || f.fin.n >= maxFinRepeats || !f.sender.Drained() {
		return time.Time{}
	}
	return f.fin.at.Add(min(f.sender.rtt.rto()<<f.fin.n, maxRTO))
}

// repeatFin sends the FIN again if it is time.
func (f *Subflow) repeatFin(now time.Time) {
	if !due(f.finDue(), now) {
		return
	}
	f.fin.at = now
	f.fin.n++
	f.sendAck(now, f.finSeq, packet.FlagFIN|packet.FlagACK)
}
