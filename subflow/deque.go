package subflow

// deque is a double-ended queue in one slice, indexable, with insertion and removal in
// the middle that move whichever side is shorter. The zero value is empty.
type deque[T any] struct {
	buf  []T
	head int // buf[head:] is the content
}

func (d *deque[T]) len() int { return len(d.buf) - d.head }

func (d *deque[T]) at(i int) T { return d.buf[d.head+i] }

func (d *deque[T]) pushBack(v T) {
	if len(d.buf) == cap(d.buf) && d.head > len(d.buf)/2 {
		n := copy(d.buf, d.buf[d.head:])
		clear(d.buf[n:])
		d.buf, d.head = d.buf[:n], 0
	}
	d.buf = append(d.buf, v)
}

func (d *deque[T]) popFront() T {
	var zero T
	v := d.buf[d.head]
	d.buf[d.head] = zero
	d.head++
	if d.head == len(d.buf) {
		d.buf, d.head = d.buf[:0], 0
	}
	return v
}

// insert puts v before element i.
func (d *deque[T]) insert(i int, v T) {
	if d.head > 0 && i < d.len()/2 {
		copy(d.buf[d.head-1:], d.buf[d.head:d.head+i])
		d.head--
	} else {
		d.pushBack(v) // may move the content, so only offsets from head hold
		copy(d.buf[d.head+i+1:], d.buf[d.head+i:len(d.buf)-1])
	}
	d.buf[d.head+i] = v
}

// remove takes element i out.
func (d *deque[T]) remove(i int) {
	if i < d.len()/2 {
		copy(d.buf[d.head+1:d.head+i+1], d.buf[d.head:d.head+i])
		d.popFront()
		return
	}
	var zero T
	copy(d.buf[d.head+i:], d.buf[d.head+i+1:])
	d.buf[len(d.buf)-1] = zero
	d.buf = d.buf[:len(d.buf)-1]
	if d.head == len(d.buf) {
		d.buf, d.head = d.buf[:0], 0
	}
}
