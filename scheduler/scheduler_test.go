package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func TestMinRTT(t *testing.T) {
	again := func(of uint32) Request { return Request{Size: 1, Reinjection: true, ReinjectionOf: of} }
	for _, c := range []struct {
		name  string
		req   Request
		paths []Path
		want  uint32 // ID; 0: wait
	}{
		{"no path", Request{}, nil, 0},
		{"lowest SRTT", Request{}, []Path{{ID: 1, SRTT: ms(30), Room: 9}, {ID: 2, SRTT: ms(10), Room: 9}, {ID: 3, SRTT: ms(20), Room: 9}}, 2},
		{"lowest is full", Request{}, []Path{{ID: 1, SRTT: ms(30), Room: 9}, {ID: 2, SRTT: ms(10)}}, 1},
		{"all full", Request{}, []Path{{ID: 1, SRTT: ms(30)}, {ID: 2, SRTT: ms(10)}}, 0},
		{"unmeasured is last", Request{}, []Path{{ID: 1, Room: 9}, {ID: 2, SRTT: ms(500), Room: 9}}, 2},
		{"unmeasured is better than none", Request{}, []Path{{ID: 1, Room: 9}}, 1},
		{"backup is left alone", Request{}, []Path{{ID: 1, SRTT: ms(30), Room: 9}, {ID: 2, SRTT: ms(1), Room: 9, Backup: true}}, 1},
		{"a full regular path is waited for", Request{}, []Path{{ID: 1, SRTT: ms(30)}, {ID: 2, SRTT: ms(1), Room: 9, Backup: true}}, 0},
		{"our own backup as well", Request{}, []Path{{ID: 1, SRTT: ms(30), Room: 9}, {ID: 2, SRTT: ms(1), Room: 9, LocalBackup: true}}, 1},
		{"backup when nothing else", Request{}, []Path{{ID: 2, SRTT: ms(1), Room: 9, Backup: true}}, 2},
		{"backup when the regular is stale", Request{}, []Path{{ID: 1, SRTT: ms(1), Room: 9, Stale: true}, {ID: 2, SRTT: ms(30), Room: 9, Backup: true}}, 2},
		{"stale when nothing else", Request{}, []Path{{ID: 1, SRTT: ms(30), Room: 9, Stale: true}, {ID: 2, SRTT: ms(1), Room: 9, Stale: true, Backup: true}}, 1},
		{"reinjection elsewhere", again(1), []Path{{ID: 1, SRTT: ms(1), Room: 9}, {ID: 2, SRTT: ms(30), Room: 9}}, 2},
		{"reinjection opens backup", again(1), []Path{{ID: 1, SRTT: ms(1), Room: 9}, {ID: 2, SRTT: ms(30), Room: 9, Backup: true}}, 2},
		{"reinjection with one path", again(1), []Path{{ID: 1, SRTT: ms(1), Room: 9}}, 0},
		{"ID without reinjection", Request{ReinjectionOf: 1}, []Path{{ID: 1, SRTT: ms(1), Room: 9}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range []Scheduler{MinRTT(), RoundRobin()} {
				picked := s.Pick(c.req, c.paths, nil)
				if c.want == 0 {
					require.Empty(t, picked, s.Name())
					continue
				}
				require.Len(t, picked, 1, s.Name())
				if s.Name() == "minrtt" {
					require.Equal(t, c.want, c.paths[picked[0]].ID)
				}
			}
		})
	}
}

// The turn goes by ID, past full paths, and is kept when paths come and go.
func TestRoundRobin(t *testing.T) {
	s := RoundRobin()
	next := func(paths ...Path) uint32 {
		picked := s.Pick(Request{Size: 1}, paths, nil)
		require.Len(t, picked, 1)
		return paths[picked[0]].ID
	}
	p := func(id uint32) Path { return Path{ID: id, Room: 1} }
	require.Equal(t, uint32(1), next(p(3), p(1), p(7)))
	require.Equal(t, uint32(3), next(p(3), p(1), p(7)))
	require.Equal(t, uint32(7), next(p(3), p(1), p(7)))
	require.Equal(t, uint32(1), next(p(3), p(1), p(7)))
	require.Equal(t, uint32(7), next(Path{ID: 3}, p(1), p(7)))
	require.Equal(t, uint32(9), next(p(1), p(3), p(9)))
	require.Equal(t, uint32(1), next(p(1), p(3)))
	require.Equal(t, uint32(1), next(p(1)))
	require.Equal(t, uint32(3), next(p(1), p(3), Path{ID: 2, Room: 1, Backup: true}))
}

func TestPickAppendsWithoutAllocation(t *testing.T) {
	paths := []Path{{ID: 1, SRTT: ms(2), Room: 9}, {ID: 2, SRTT: ms(1), Room: 9}}
	buf := make([]int, 0, 4)
	for _, name := range Names() {
		f, ok := ByName(name)
		require.True(t, ok)
		s := f()
		require.Equal(t, name, s.Name())
		require.Equal(t, 7, s.Pick(Request{Size: 1}, paths, append(buf, 7))[0])
		require.Zero(t, testing.AllocsPerRun(100, func() { s.Pick(Request{Size: 1}, paths, buf) }))
		full := []Path{fastPath(25_000), slowPath(ms(80))}
		require.Zero(t, testing.AllocsPerRun(100, func() { s.Pick(bulk(1<<20, 8<<20, 25_000), full, buf) }))
	}
	_, ok := ByName("nosuch")
	require.False(t, ok)
}
