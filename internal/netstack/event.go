package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Event is a set of things that happened to an endpoint.
type Event uint8

const (
	// Connected: the handshake is complete. It comes once.
	Connected Event = 1 << iota
	// Readable: Read may have something to tell: bytes, the end of the stream or an
	// error. It may come for nothing.
	Readable
	// PeerClosed: the peer's FIN is in order; once what is queued has been read, Read
	// returns io.EOF. It may come repeatedly. If our own FIN left before, it comes with
	// Closed only; the FIN itself brings Readable then.
	PeerClosed
	// Failed: the endpoint has ended with an error, see Err. It may come repeatedly.
	Failed
	// Closed: both directions are closed and the endpoint is in TIME_WAIT or gone. Err is
	// nil unless the peer sent a RST after its FIN. It may come repeatedly.
	Closed
)

// eventMask is what an endpoint listens to.
const eventMask = waiter.ReadableEvents | waiter.WritableEvents | waiter.EventErr | waiter.EventHUp | waiter.EventRdHUp

// SetNotify sets the function that is told of events, nil for none; it replaces the one
// set before. What has happened already is told at once, from within SetNotify. The
// function may be called with the endpoint locked, and concurrently with itself: it
// must not call the endpoint and must not block.
func (e *Endpoint) SetNotify(f func(Event)) {
	if f == nil {
		e.notify.Store(nil)
		return
	}
	e.notify.Store(&f)
	e.NotifyEvent(e.ep.Readiness(waiter.ReadableEvents))
}

// NotifyEvent implements waiter.EventListener; it is gVisor that calls it.
func (e *Endpoint) NotifyEvent(mask waiter.EventMask) {
	f := e.notify.Load()
	if f == nil {
		return
	}
	if ev := e.events(mask); ev != 0 {
		(*f)(ev)
	}
}

// events makes gVisor's events, which say less, into ours with the help of the
// endpoint's state. It is called with the endpoint locked or not, so it may use only
// what is atomic or under the lock of the receive queue.
func (e *Endpoint) events(mask waiter.EventMask) Event {
	var ev Event
	state := e.state()
	if isConnected(state) && !e.connected.Swap(true) {
		ev |= Connected
	}
	if mask&waiter.ReadableEvents != 0 {
		ev |= Readable
		// gVisor shows a FIN here before it changes the state, but not after ours.
		if e.ep.Readiness(waiter.ReadableEvents)&waiter.EventRdHUp != 0 {
			ev |= PeerClosed
		}
	}
	switch state {
	case tcp.StateError:
		ev |= Failed
	case tcp.StateClose:
		ev |= Closed
	case tcp.StateTimeWait:
		ev |= PeerClosed | Closed
	case tcp.StateCloseWait, tcp.StateLastAck, tcp.StateClosing:
		ev |= PeerClosed
	}
	return ev
}

// isConnected reports whether the handshake is complete and the endpoint not gone.
func isConnected(state tcp.EndpointState) bool {
	switch state {
	case tcp.StateEstablished, tcp.StateFinWait1, tcp.StateFinWait2, tcp.StateTimeWait,
		tcp.StateCloseWait, tcp.StateLastAck, tcp.StateClosing:
		return true
	}
	return false
}
