// Package endpoints has the addresses of a host and what each is for, as `ip mptcp endpoint` and `ip
// mptcp limits` set them on Linux, for package pathmgr's manager "endpoints". They can be
// changed while connections live.
package endpoints

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/gomptcp/gomptcp/pathmgr"
)

// maxEndpoints is how many IDs there are.
const maxEndpoints = 255

// Set has the endpoints of a host and limits, as Linux' in-kernel path manager has them per network
// namespace. Changes reach the connections that live. All methods may be called concurrently, but not
// from within a Manager's Handle. New makes one.
type Set struct {
	mu     sync.Mutex
	list   []pathmgr.Endpoint // in the order of Add; replaced, never changed
	limits pathmgr.Limits
	pokes  map[uint64]func()
	last   uint64 // key of pokes
}

// New returns an empty set with pathmgr.DefaultLimits.
func New() *Set { return &Set{limits: pathmgr.DefaultLimits, pokes: map[uint64]func(){}} }

// Manager returns the manager named "endpoints" of one connection; it is a pathmgr.Factory.
func (s *Set) Manager() pathmgr.Manager { return pathmgr.WithEndpoints(s)() }

// Add adds an endpoint and returns its ID. Connections that live use it at once. The error says
// what is wrong with it, or that its address and port, or its ID, is there already.
func (s *Set) Add(ep pathmgr.Endpoint) (id uint8, err error) {
	ep.Addr, ep.Maps = ep.Addr.Unmap(), ep.Maps.Unmap()
	if err := ep.Check(); err != nil {
		return 0, err
	}
	err = s.change(func() error {
		taken := map[uint8]bool{}
		for _, o := range s.list {
			if o.Addr == ep.Addr && o.Port == ep.Port {
				return fmt.Errorf("endpoints: there is an endpoint %v already, with ID %d", netip.AddrPortFrom(ep.Addr, ep.Port), o.ID)
			}
			taken[o.ID] = true
		}
		if len(s.list) == maxEndpoints {
			return errors.New("endpoints: there are 255 endpoints, no ID is free")
		}
		for ep.ID == 0 {
			if id++; !taken[id] {
				ep.ID = id
			}
		}
		if taken[ep.ID] {
			return fmt.Errorf("endpoints: the ID %d is in use; Remove that endpoint first, or let ID be 0", ep.ID)
		}
		s.list = append(slices.Clone(s.list), ep)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return ep.ID, nil
}

// Change gives the endpoint with an ID other flags. Connections that live follow: MP_PRIO tells of
// pathmgr.FlagBackup, subflows that are not wished for any more are closed. The error says that there is no such
// endpoint or that the flags do not fit.
func (s *Set) Change(id uint8, flags pathmgr.EndpointFlags) error {
	return s.change(func() error {
		i := s.index(id)
		if i < 0 {
			return noEndpoint(id)
		}
		ep := s.list[i]
		ep.Flags = flags
		if err := ep.Check(); err != nil {
			return err
		}
		s.list = slices.Clone(s.list)
		s.list[i] = ep
		return nil
	})
}

// Remove removes the endpoint with an ID. Connections that live withdraw its address (REMOVE_ADDR) and
// close the subflows from it, the initial one too if it is from there. The error says that
// there is no such endpoint.
func (s *Set) Remove(id uint8) error {
	return s.change(func() error {
		i := s.index(id)
		if i < 0 {
			return noEndpoint(id)
		}
		s.list = slices.Delete(slices.Clone(s.list), i, i+1)
		return nil
	})
}

// Flush removes all endpoints; the limits stay.
func (s *Set) Flush() {
	_ = s.change(func() error { s.list = nil; return nil })
}

// SetLimits sets the limits. What is open stays open. The error says what is out of range.
func (s *Set) SetLimits(l pathmgr.Limits) error {
	if err := l.Check(); err != nil {
		return err
	}
	return s.change(func() error { s.limits = l; return nil })
}

// Show returns the endpoints, in the order of Add, and the limits. The list is not to be changed.
func (s *Set) Show() ([]pathmgr.Endpoint, pathmgr.Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list, s.limits
}

func (s *Set) index(id uint8) int {
	return slices.IndexFunc(s.list, func(o pathmgr.Endpoint) bool { return o.ID == id })
}

func noEndpoint(id uint8) error { return fmt.Errorf("endpoints: there is no endpoint with ID %d", id) }

// change makes a change, under the lock, and tells the connections of it, without.
func (s *Set) change(f func() error) error {
	s.mu.Lock()
	err := f()
	var pokes []func()
	for _, k := range slices.Sorted(maps.Keys(s.pokes)) {
		pokes = append(pokes, s.pokes[k])
	}
	s.mu.Unlock()
	if err == nil {
		for _, poke := range pokes {
			poke()
		}
	}
	return err
}

// Watch has poke called after each change, until stop is called; see pathmgr.Watcher.
func (s *Set) Watch(poke func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	key := s.last
	s.pokes[key] = poke
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pokes, key)
	}
}
