package simnet

import "time"

// Queue limits what waits for a transmitter. What does not fit is dropped (drop-tail); of
// several limits each holds. A packet always fits an empty queue, whatever its size.
//
// Without any limit a queue holds what the link sends in 100 ms, at least 32 packets, and
// 1000 packets where the rate is not a number (Direction.Follow).
type Queue struct {
	// Packets and Bytes limit what waits. 0 means no such limit.
	Packets, Bytes int
	// Time limits how long the bytes in the queue take to send at the present rate. 0
	// means no such limit.
	Time time.Duration
	// Mark, if positive, sets "congestion experienced" in packets that have waited longer than
	// this and whose sender takes part in ECN (RFC 3168).
	Mark time.Duration
	// CoDel, if set, drops packets from the head when they wait too long.
	CoDel *CoDel
}

const (
	defaultQueueTime    = 100 * time.Millisecond
	defaultQueueLeast   = 32
	defaultQueuePackets = 1000
)

// waiting is a packet in a queue.
type waiting struct {
	b     []byte
	since time.Duration
}

// fifo holds the packets of one direction in order.
type fifo struct {
	list  []waiting // list[head:] is in use
	head  int
	bytes int
}

func (q *fifo) len() int { return len(q.list) - q.head }

func (q *fifo) push(p waiting) {
	if q.head > 32 && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, p)
	q.bytes += len(p.b)
}

func (q *fifo) pop() waiting {
	p := q.list[q.head]
	q.list[q.head] = waiting{}
	q.head++
	q.bytes -= len(p.b)
	return p
}

// fits reports whether n bytes more have room; rate is 0 when it is not a number.
func (q *fifo) fits(limit *Queue, rate Rate, n int) bool {
	if q.len() == 0 {
		return true
	}
	room := true
	if limit.Packets > 0 {
		room = q.len() < limit.Packets
	}
	if limit.Bytes > 0 {
		room = room && q.bytes+n <= limit.Bytes
	}
	if limit.Time > 0 && rate > 0 {
		room = room && sendingTime(q.bytes+n, rate) <= limit.Time
	}
	if limit.Packets > 0 || limit.Bytes > 0 || limit.Time > 0 {
		return room
	}
	if rate <= 0 {
		return q.len() < defaultQueuePackets
	}
	return q.len() < defaultQueueLeast || sendingTime(q.bytes+n, rate) <= defaultQueueTime
}

// sendingTime is how long n bytes take at a positive rate.
func sendingTime(n int, rate Rate) time.Duration {
	return time.Duration(float64(n) * 8 * float64(time.Second) / float64(rate))
}
