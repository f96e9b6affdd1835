package mptcp

import (
	"slices"
	"sort"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// asideQueue holds bytes that stood in front of others on their subflow and are not yet
// due. It is bounded by the widest receive window, which admits no DSN further beyond DATA_ACK.
type asideQueue struct {
	runs    []asideRun // by DSN, without overlaps
	scratch []byte
}

type asideRun struct {
	dsn  seq.DSN
	data []byte
}

func (r *asideRun) end() seq.DSN { return r.dsn.Add(len(r.data)) }

// add keeps those bytes of data that are not there yet, so that a peer that sends the same
// again and again makes us hold it once.
func (q *asideQueue) add(dsn seq.DSN, data []byte) {
	i := sort.Search(len(q.runs), func(i int) bool { return dsn.Less(q.runs[i].end()) })
	for len(data) > 0 {
		n := len(data)
		if i < len(q.runs) {
			if skip := dsn.Sub(q.runs[i].dsn); skip >= 0 {
				skip = min(q.runs[i].end().Sub(dsn), int64(n))
				dsn, data = dsn.Add(int(skip)), data[skip:]
				i++
				continue
			}
			n = int(min(q.runs[i].dsn.Sub(dsn), int64(n)))
		}
		q.runs = slices.Insert(q.runs, i, asideRun{dsn, data[:n:n]})
		dsn, data = dsn.Add(n), data[n:]
		i++
	}
}

// take copies bytes from next on into p and forgets what lies before.
func (q *asideQueue) take(next seq.DSN, p []byte) int {
	for len(q.runs) > 0 {
		r := &q.runs[0]
		off := next.Sub(r.dsn)
		if off < 0 {
			return 0
		}
		if off >= int64(len(r.data)) {
			q.runs[0] = asideRun{}
			q.runs = q.runs[1:]
			continue
		}
		return copy(p, r.data[off:])
	}
	q.runs = nil
	return 0
}
