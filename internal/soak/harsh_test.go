package soak

import (
	"math/rand/v2"
	"time"
)

// harshScenario is the scenario of a seed on worse networks: more loss, duplicates and
// reordering, and events that come while the connections open and close. There is less data in
// more connections, so that handshakes and endings are what mostly happens. It has dice of its
// own.
func harshScenario(seed uint64) *scenario {
	s := newScenario(seed)
	s.harsh = true
	d := dice{rand.New(rand.NewPCG(seed, 7))}
	s.harshTraffic(d)
	for i := range s.paths {
		s.harshPath(d, &s.paths[i])
	}
	early := dice{rand.New(rand.NewPCG(seed, 8))}
	for i := range s.paths {
		s.paths[i].skip = pick(early, 0, 1, 5, 20)
	}
	for j := range s.byHand {
		s.byHand[j].at /= 6
	}
	return s
}

func (s *scenario) harshTraffic(d dice) {
	for i := range s.conns {
		t := &s.conns[i]
		for k := range t.side {
			st := &t.side[k]
			st.size %= pick(d, 1, 10, 3000, 30000)
			st.chunk = min(st.chunk, 10000)
			if st.writePause > 0 {
				st.chunk = max(st.chunk, st.size/50+1)
			}
			st.readSize = max(st.readSize, 300)
		}
		t.at = d.between(0, 800*time.Millisecond)
	}
	for len(s.conns) < 3 {
		t := newTraffic(d)
		t.ending, t.by = s.conns[0].ending, s.conns[0].by
		for k := range t.side {
			st := &t.side[k]
			st.size %= 20000
			st.readSize, st.chunk = max(st.readSize, 300), max(st.chunk, 300)
		}
		s.conns = append(s.conns, t)
	}
	if s.conns[0].ending != vanished {
		for i := range s.conns {
			if s.conns[i].ending == vanished { // which would end them all
				s.conns[i].ending = aborted
			}
		}
	}
}

func (s *scenario) harshPath(d dice, p *path) {
	p.there.Delay, p.back.Delay = min(p.there.Delay, 50*time.Millisecond), min(p.back.Delay, 50*time.Millisecond)
	if d.chance(50) {
		p.there.Duplicate, p.back.Duplicate = 0.2, 0.2
	}
	if d.chance(50) {
		p.there.Reorder, p.back.Reorder = 0.3, 0.3
		p.there.ReorderBy = d.between(0, 60*time.Millisecond)
		p.back.ReorderBy = p.there.ReorderBy
	}
	if p.box != ackProxy && d.chance(60) {
		p.there.Loss, p.back.Loss = d.Float64()*0.15, d.Float64()*0.15
	}
	if p.box == stripData && !s.mayLoseFirstData() {
		p.there.Loss, p.back.Loss, p.there.Reorder, p.back.Reorder = 0, 0, 0, 0
	}
	if s.mayLoseSubflows() && !s.config[1].denyInitial {
		for range d.IntN(4) {
			p.events = append(p.events, newEvent(d, silent, signalled, removed))
		}
	}
	for j := range p.events {
		e := &p.events[j]
		e.at, e.length = d.between(0, 700*time.Millisecond), d.between(0, 600*time.Millisecond)
	}
}
