package mptcp

import (
	"github.com/gomptcp/gomptcp/internal/mib"
	"github.com/gomptcp/gomptcp/internal/seq"
	"github.com/gomptcp/gomptcp/subflow"
)

// noteCopies notes which of the bytes from dsn up to end, which have just come on f, had come
// before: the copies that came first are delivered (8684-3.3.1-03). Peers send the same
// bytes again, so what is noted is not much; nothing is for bytes that are all new. c.mu is
// held.
func (c *Conn) noteCopies(f *subflow.Subflow, dsn, end seq.DSN) {
	if dsn.Less(c.shared.RcvNxt) {
		c.noteCopy(f, dsn, end.Min(c.shared.RcvNxt), end)
	}
	for at := dsn.Max(c.shared.RcvNxt); at.Less(end); {
		r, ok := c.rx.got.From(at)
		if !ok || !r.Start.Less(end) {
			return
		}
		c.noteCopy(f, at.Max(r.Start), end.Min(r.End), end)
		at = r.End
	}
}

// noteCopy notes one run of them. end belongs to the byte after the newest one of f.
func (c *Conn) noteCopy(f *subflow.Subflow, from, to, end seq.DSN) {
	c.host.mib.Add(mib.DuplicateData)
	s := c.byFlow(f)
	if from = from.Max(c.rx.read); s == nil || !from.Less(to) {
		return // it is passed over anyway
	}
	// By positions on the subflow: the copy that came first may be on this one, too.
	top := f.Accounted()
	s.late.Add(top.Add(-int(end.Sub(from))), top.Add(-int(end.Sub(to))))
	if s.late.Len() > maxHoles {
		c.fail(errTooManyHoles)
	}
}

// head returns the run of bytes that s has to read next, at most limit, and whether they came
// here first: all of them did, or none.
func (s *sub) head(limit int) (run subflow.RxRun, first bool) {
	at := s.position()
	run = s.ReadableAt(at, limit)
	if s.late.Len() == 0 {
		return run, true
	}
	r, ok := s.late.From(at)
	switch {
	case !ok || !r.Start.Less(at.Add(run.N)):
		return run, true
	case at.Less(r.Start):
		run.N = r.Start.Sub(at)
		return run, true
	}
	run.N = min(run.N, r.End.Sub(at))
	return run, false
}

// holdsFirst reports whether s holds the byte d, received in order and not yet read, and got
// it first.
func (s *sub) holdsFirst(d seq.DSN) bool {
	at, ok := s.Find(d, s.position())
	return ok && !s.late.Contains(at)
}
