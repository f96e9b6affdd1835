package simnet

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Kind is what happened to a packet.
type Kind uint8

const (
	// Entered: the packet came to the direction, before its middleboxes.
	Entered Kind = iota + 1
	// Arrived: it has come out at the other end.
	Arrived
	// Duplicated: it arrives twice, from here on.
	Duplicated
	// Corrupted: a bit of its payload was changed.
	Corrupted
	// DroppedLoss: lost by chance (Shape.Loss, Shape.Burst).
	DroppedLoss
	// DroppedFull: the queue was full.
	DroppedFull
	// DroppedAQM: the queue's management dropped it.
	DroppedAQM
	// DroppedMTU: longer than the MTU. If the sender is told, that is a packet of its own.
	DroppedMTU
	// DroppedDown: the link was down, or went down while it was on its way.
	DroppedDown
	// Marked: the queue has set "congestion experienced" (Queue.Mark, CoDel.ECN).
	Marked
	numKinds
)

var kindNames = [numKinds]string{
	Entered: "entered", Arrived: "arrived", Duplicated: "duplicated", Corrupted: "corrupted", DroppedLoss: "lost",
	DroppedFull: "dropped (full)", DroppedAQM: "dropped (AQM)", DroppedMTU: "dropped (MTU)", DroppedDown: "dropped (down)",
	Marked: "marked",
}

// String says it in words.
func (k Kind) String() string {
	if k < numKinds && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// Event is something that happened to a packet.
type Event struct {
	// At is when, since the start of the world.
	At time.Duration
	// Direction is where.
	Direction *Direction
	// Kind is what.
	Kind Kind
	// Packet is the IP packet. It is valid during the call only.
	Packet []byte
}

// AppendTo appends the event in a binary form that is the same in every run with the same
// seed, to be hashed or compared.
func (e Event) AppendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(e.At))
	b = append(b, e.Direction.Name()...)
	b = append(b, 0, byte(e.Kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Packet)))
	return append(b, e.Packet...)
}
