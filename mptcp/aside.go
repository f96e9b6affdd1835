package mptcp

import (
	"sort"

	"github.com/gomptcp/gomptcp/internal/seq"
)

// asideQueue holds bytes that stood in front of others on their subflow and are not yet
// due. It is bounded by the receive window, which admits no DSN beyond it.
type asideQueue struct {
	runs    []asideRun // by DSN; they may overlap
	scratch []byte
}

type asideRun struct {
	dsn  seq.DSN
	data []byte
}

func (q *asideQueue) add(dsn seq.DSN, data []byte) {
	i := sort.Search(len(q.runs), func(i int) bool { return dsn.Less(q.runs[i].dsn) })
	q.runs = append(q.runs, asideRun{})
	copy(q.runs[i+1:], q.runs[i:])
	q.runs[i] = asideRun{dsn, data}
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
