package linkem

// fifo holds the frames that wait for the line.
type fifo struct {
	frames []frame
	head   int // index of the first
	bytes  int // of all
}

func (q *fifo) len() int      { return len(q.frames) - q.head }
func (q *fifo) first() *frame { return &q.frames[q.head] }

func (q *fifo) push(f frame) {
	if q.head > len(q.frames)/2 { // mostly empty: move to the front
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames, q.head = q.frames[:n], 0
	}
	q.frames = append(q.frames, f)
	q.bytes += len(f.b)
}

func (q *fifo) pop() frame {
	f := q.frames[q.head]
	q.frames[q.head] = frame{}
	q.head++
	q.bytes -= len(f.b)
	return f
}

// flight holds the frames on the line, as a heap by time of arrival.
type flight []frame

func (h flight) Len() int { return len(h) }
func (h flight) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h flight) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *flight) Push(x any)   { *h = append(*h, x.(frame)) }
func (h *flight) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = frame{}
	*h = old[:len(old)-1]
	return f
}
