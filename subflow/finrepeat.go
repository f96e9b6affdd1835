package subflow

import (
	"time"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/option"
)

// maxFinRepeats is how often we repeat a FIN before we take the peer for gone: some minutes.
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
	if !f.finSent || f.finAcked || f.state == Closed || !f.sender.Drained() {
		return time.Time{}
	}
	return f.fin.at.Add(min(f.sender.rtt.rto()<<f.fin.n, maxRTO))
}

// repeatFin sends the FIN again if it is time, or gives up.
func (f *Subflow) repeatFin(now time.Time) {
	switch {
	case !due(f.finDue(), now):
		return
	case f.fin.n == maxFinRepeats:
		f.reset(now, option.ReasonPerformance, "no answer to FIN")
		return
	}
	f.fin.at = now
	f.fin.n++
	f.sendAck(now, f.finSeq, packet.FlagFIN|packet.FlagACK)
}
