// Package congestion holds the congestion controllers of subflows behind one
// interface. Controllers are pure: no I/O, no clock, no goroutine, no lock. All
// calls for one controller, and for its siblings of the same connection, are made
// under the connection's lock.
package congestion

import "time"

// Params is what a controller learns when its subflow is established.
type Params struct {
	// Now is the present time.
	Now time.Time
	// MSS is the payload size of a full wire segment in bytes.
	MSS int
	// InitialWindow in bytes (RFC 6928: ten segments).
	InitialWindow int
	// HandshakeRTT is the round trip of SYN and SYN/ACK, 0 if not known.
	HandshakeRTT time.Duration
	// Siblings appends a snapshot of every other subflow of the connection to buf and
	// returns it. It may be nil: there are none. Coupled controllers (RFC 6356) use it.
	Siblings func(buf []Sibling) []Sibling
}

// Sibling is a snapshot of another subflow of the same connection.
type Sibling struct {
	// Window is its congestion window in bytes as RFC 6356 section 3 counts it: in fast
	// recovery what is aimed at, and where the application is the limit no more than what is
	// in flight.
	Window int
	// SRTT is its smoothed round-trip time, 0 if not known.
	SRTT time.Duration
	// MSS in bytes.
	MSS int
}

// Sample is what one ACK told. All counts are payload bytes.
type Sample struct {
	// Now is when the ACK was processed.
	Now time.Time
	// Acked is the number of bytes newly known to be delivered (cumulatively or by SACK).
	Acked int
	// Lost is the number of bytes newly marked lost by this ACK.
	Lost int
	// PriorInFlight is what was in flight before the ACK, InFlight what is now.
	PriorInFlight, InFlight int
	// RTT of the newest segment acknowledged, 0 if none could be measured (Karn).
	RTT time.Duration
	// SRTT and MinRTT are the sender's smoothed and smallest round-trip times.
	SRTT, MinRTT time.Duration
	// DeliveryRate in bytes/s over the sampled interval, 0 if there is no sample.
	DeliveryRate float64
	// AppLimited: the sampled interval had phases without data to send, so the rate
	// is a lower bound only.
	AppLimited bool
	// Delivered counts all bytes ever delivered on the subflow; PriorDelivered is what
	// it was when the newest acknowledged segment was sent. A round trip has passed
	// when PriorDelivered reaches the Delivered of the round's start.
	Delivered, PriorDelivered uint64
	// InRecovery: a loss episode (fast recovery or after RTO) is under way.
	InRecovery bool
	// CwndLimited: the window, and not the application, bounded what was in flight.
	CwndLimited bool
}

// Controller decides how much may be in flight and how fast it leaves. Bytes are
// payload bytes; times come from the caller.
type Controller interface {
	// Name as used to select it, e.g. "cubic".
	Name() string
	// Init is called once, before anything else.
	Init(p Params)
	// OnSend is called for every segment sent, also retransmissions; inFlight is what
	// was in flight before it.
	OnSend(now time.Time, bytes, inFlight int)
	// OnAck is called once for each ACK that delivered or lost something.
	OnAck(s *Sample)
	// OnLoss is called once at the start of a loss episode (fast recovery), before OnAck of
	// the same ACK. inFlight is without the lost bytes.
	OnLoss(now time.Time, inFlight, lost int)
	// OnRecovered is called when all data outstanding at the episode's start is
	// acknowledged.
	OnRecovered(now time.Time)
	// OnUndo is called when the episode turned out to be spurious (reordering).
	OnUndo(now time.Time)
	// OnRTO is called when the retransmission timer fired; inFlight is what was in flight, all of which is
	// deemed lost.
	OnRTO(now time.Time, inFlight int)
	// OnMSS is called when the payload size of a full segment changes.
	OnMSS(mss int)
	// Window is the number of bytes that may be in flight.
	Window() int
	// PacingRate is the rate at which data leaves in bytes/s; 0 means not paced.
	PacingRate() float64
}

// Coupled is implemented by controllers whose siblings shall count another window than
// Window, which in fast recovery follows what is in flight.
type Coupled interface {
	// CoupledWindow is that window in bytes: in fast recovery the slow start threshold.
	CoupledWindow() int
}

// Penalised is implemented by controllers whose window grows as long as nothing is lost, so that a slow path comes to hold
// most of the peer's receive window.
type Penalised interface {
	// OnPenalty halves the window, and slow start does not go beyond that. It is called outside of loss
	// episodes.
	OnPenalty(now time.Time)
}

// Factory makes the Controller of a new subflow.
type Factory func() Controller
