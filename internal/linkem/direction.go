package linkem

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gomptcp/gomptcp/tun"
)

const (
	readBatch = 32
	// maxFlying bounds the packets on the line, whatever rate and delay say.
	maxFlying = 1 << 16
	// maxSpare is the number of buffers kept for reuse.
	maxSpare = 1 << 12
)

// direction is one way of a link. A packet waits in a FIFO until the line has sent
// those before it and itself, then flies until it arrives. Times are computed from
// one another and not from when a timer fires, so that a late timer makes a burst
// and not a lower rate.
type direction struct {
	to tun.Device

	mu       sync.Mutex // guards all that follows; held while writing to the device
	params   Params
	rng      *rand.Rand
	stats    Stats
	stopped  bool
	waiting  fifo
	lineFree time.Time // when the line has sent all before waiting
	flying   flight
	lastDue  time.Time // latest arrival so far
	sequence uint64    // of the last packet that departed
	timer    *time.Timer
	armed    time.Time // when timer fires; zero when it does not
	spare    [][]byte
	out      []tun.Packet
}

// frame is a packet on its way.
type frame struct {
	b   []byte
	at  time.Time // of entering while waiting, of arrival while flying
	seq uint64    // order of departure, for those that arrive together
}

func newDirection(p Params, rng *rand.Rand, to tun.Device) *direction {
	d := &direction{to: to, params: p, rng: rng}
	d.timer = time.AfterFunc(time.Hour, d.tick)
	d.timer.Stop()
	return d
}

// readFrom takes in what the device gives until that is closed.
func (d *direction) readFrom(dev tun.Device) {
	scratch := make([]byte, tun.MaxPacketSize)
	bufs := make([]byte, readBatch*tun.MaxPacketSize)
	pkts := make([]tun.Packet, readBatch)
	for {
		for i := range pkts {
			pkts[i].Head = bufs[i*tun.MaxPacketSize:][:tun.MaxPacketSize]
		}
		n, err := dev.Read(pkts)
		if err != nil {
			return
		}
		d.enter(pkts[:n], scratch)
	}
}

// enter takes packets in, split to what a wire carries.
func (d *direction) enter(pkts []tun.Packet, scratch []byte) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.advance(now)
	for i := range pkts {
		err := tun.Packetize(scratch, &pkts[i], func(b []byte) error {
			d.enterOne(now, b)
			return nil
		})
		if err != nil {
			d.stats.BadDrops++
		}
	}
	d.advance(now)
}

func (d *direction) enterOne(now time.Time, b []byte) {
	switch {
	case d.params.Down || d.stopped:
		d.stats.DownDrops++
	case d.waiting.bytes+len(b) > cmp.Or(d.params.Queue, DefaultQueue), d.flying.Len() >= maxFlying:
		d.stats.QueueDrops++
	default:
		d.waiting.push(frame{b: append(d.buffer(), b...), at: now})
		if d.params.Rate <= 0 { // no line to wait for
			d.depart(now)
		}
	}
}

// tick is what the timer runs.
func (d *direction) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed = time.Time{}
	d.advance(time.Now())
}

// change lets f change the parameters as of now.
func (d *direction) change(f func(*Params)) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.advance(now)
	f(&d.params)
	if d.params.Down {
		d.discard()
	}
	d.advance(now)
}

func (d *direction) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.discard()
	d.timer.Stop()
}

// discard drops all that is under way.
func (d *direction) discard() {
	d.stats.DownDrops += uint64(d.waiting.len() + d.flying.Len())
	d.waiting, d.flying = fifo{}, nil
	d.lineFree = time.Time{}
}

// advance does what is due by now and arms the timer for what comes next.
func (d *direction) advance(now time.Time) {
	d.depart(now)
	d.arrive(now)
	d.arm(now)
}

// depart moves what the line has sent by now from waiting to flying.
func (d *direction) depart(now time.Time) {
	for d.waiting.len() > 0 {
		at := d.nextDeparture()
		if at.After(now) {
			return
		}
		f := d.waiting.pop()
		d.lineFree = at
		if d.rng.Float64() < d.params.Loss {
			d.stats.LossDrops++
			d.recycle(f.b)
			continue
		}
		f.at = at.Add(d.params.Delay)
		if d.params.Jitter > 0 {
			f.at = f.at.Add(time.Duration(d.rng.Int64N(int64(d.params.Jitter) + 1)))
		}
		if !d.params.Reorder && f.at.Before(d.lastDue) {
			f.at = d.lastDue
		}
		if f.at.After(d.lastDue) {
			d.lastDue = f.at
		}
		d.sequence++
		f.seq = d.sequence
		heap.Push(&d.flying, f)
	}
}

// nextDeparture is when the line will have sent the first waiting packet.
func (d *direction) nextDeparture() time.Time {
	f := d.waiting.first()
	start := f.at
	if start.Before(d.lineFree) {
		start = d.lineFree
	}
	if d.params.Rate <= 0 {
		return start
	}
	bits := float64(len(f.b) * 8)
	return start.Add(time.Duration(bits / float64(d.params.Rate) * float64(time.Second)))
}

// arrive hands over what has arrived by now.
func (d *direction) arrive(now time.Time) {
	d.out = d.out[:0]
	for d.flying.Len() > 0 && !d.flying[0].at.After(now) {
		f := heap.Pop(&d.flying).(frame)
		d.out = append(d.out, tun.Packet{Head: f.b})
		d.stats.Packets++
		d.stats.Bytes += uint64(len(f.b))
	}
	if len(d.out) == 0 {
		return
	}
	_ = d.to.Write(d.out) // a device that is gone is a line whose far end is unplugged
	for _, p := range d.out {
		d.recycle(p.Head)
	}
	clear(d.out)
}

// arm sets the timer to the next departure or arrival.
func (d *direction) arm(now time.Time) {
	var next time.Time
	if d.flying.Len() > 0 {
		next = d.flying[0].at
	}
	if d.waiting.len() > 0 {
		if at := d.nextDeparture(); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if next.Equal(d.armed) || d.stopped {
		return
	}
	d.armed = next
	if next.IsZero() {
		d.timer.Stop()
		return
	}
	d.timer.Reset(next.Sub(now))
}

// buffer returns an empty one to append a packet to.
func (d *direction) buffer() []byte {
	if last := len(d.spare) - 1; last >= 0 {
		b := d.spare[last]
		d.spare = d.spare[:last]
		return b
	}
	return make([]byte, 0, 2048)
}

func (d *direction) recycle(b []byte) {
	if len(d.spare) < maxSpare {
		d.spare = append(d.spare, b[:0])
	}
}
