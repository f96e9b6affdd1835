package tun

import "sync"

const (
	queueBatch    = 64   // packets that one locking handles
	smallBuffer   = 2048 // bytes; enough for a packet of common MTUs
	maxSpareLarge = 128  // buffers of MaxPacketSize kept for reuse
)

// queue is a bounded queue of packets for one reader and several writers. Bytes are
// copied in and out without the lock, into buffers that are used again.
type queue struct {
	mu       sync.Mutex
	ready    sync.Cond // the reader waits here for items or the end
	waiting  bool
	closed   bool
	ring     []item
	first    int // index of the oldest item
	n        int // items in ring
	reserved int // room that writers are filling
	small    [][]byte
	large    [][]byte

	held []item // the reader's alone: read last time, buffers not yet given back
}

// item is one queued packet; buf has the length of the packet.
type item struct {
	buf  []byte
	gso  int
	csum ChecksumState
}

func newQueue(length int) *queue {
	q := &queue{ring: make([]item, length), held: make([]item, 0, queueBatch)}
	q.ready.L = &q.mu
	return q
}

// put copies the packets into the queue and returns how many it dropped: those that
// do not fit the MTU or for which there was no room.
func (q *queue) put(pkts []Packet, mtu int) (dropped int) {
	var items [queueBatch]item
	for len(pkts) > 0 {
		batch := pkts[:min(len(pkts), queueBatch)]
		pkts = pkts[len(batch):]
		n := q.reserve(items[:], batch, mtu)
		dropped += len(batch) - n
		if n == 0 {
			continue
		}
		for i, k := 0, 0; i < n; k++ {
			if p := &batch[k]; p.fits(mtu) {
				p.copyTo(items[i].buf)
				i++
			}
		}
		q.publish(items[:n])
	}
	return dropped
}

// reserve takes buffers and room for those of pkts that fit, in order, and returns
// how many there are.
func (q *queue) reserve(items []item, pkts []Packet, mtu int) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0
	}
	for i := range pkts {
		p := &pkts[i]
		if q.n+q.reserved == len(q.ring) {
			break
		}
		if !p.fits(mtu) {
			continue
		}
		items[n] = item{buf: q.buffer(p.Len()), gso: p.GSOSize, csum: p.Checksum}
		q.reserved++
		n++
	}
	return n
}

// publish makes reserved items readable, and wakes the reader once for all.
func (q *queue) publish(items []item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reserved -= len(items)
	if q.closed {
		return
	}
	for _, it := range items {
		q.ring[(q.first+q.n)%len(q.ring)] = it
		q.n++
	}
	if q.waiting {
		q.waiting = false
		q.ready.Signal()
	}
}

// get waits for packets and copies them out. Only one goroutine may call it.
func (q *queue) get(pkts []Packet) (int, error) {
	if len(pkts) == 0 {
		return 0, nil
	}
	if err := q.take(min(len(pkts), queueBatch)); err != nil {
		return 0, err
	}
	for i, it := range q.held {
		p := &pkts[i]
		p.Head = p.Head[:copy(p.Head, it.buf)]
		p.Payload, p.GSOSize, p.Checksum = nil, it.gso, it.csum
	}
	return len(q.held), nil
}

// take waits and moves up to limit items to held.
func (q *queue) take(limit int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.held {
		q.recycle(it.buf)
	}
	clear(q.held)
	q.held = q.held[:0]
	for q.n == 0 && !q.closed {
		q.waiting = true
		q.ready.Wait()
	}
	if q.closed {
		return ErrClosed
	}
	for range min(q.n, limit) {
		q.held = append(q.held, q.ring[q.first])
		q.ring[q.first] = item{}
		q.first = (q.first + 1) % len(q.ring)
		q.n--
	}
	return nil
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.n, q.ring = 0, make([]item, len(q.ring))
	q.small, q.large = nil, nil
	q.ready.Broadcast()
}

// buffer returns one of length n.
func (q *queue) buffer(n int) []byte {
	spare, size := &q.small, smallBuffer
	if n > smallBuffer {
		spare, size = &q.large, MaxPacketSize
	}
	if last := len(*spare) - 1; last >= 0 {
		b := (*spare)[last]
		*spare = (*spare)[:last]
		return b[:n]
	}
	return make([]byte, n, size)
}

// recycle keeps b for use again.
func (q *queue) recycle(b []byte) {
	switch {
	case cap(b) == smallBuffer && len(q.small) < len(q.ring):
		q.small = append(q.small, b)
	case cap(b) == MaxPacketSize && len(q.large) < maxSpareLarge:
		q.large = append(q.large, b)
	}
}
