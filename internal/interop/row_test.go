//go:build linux

package interop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gomptcp/gomptcp/internal/packet"
	"github.com/gomptcp/gomptcp/mptcp"
	"github.com/gomptcp/gomptcp/pathmgr"
	"github.com/gomptcp/gomptcp/pathmgr/endpoints"
	"github.com/gomptcp/gomptcp/tun"
)

// counts are counters by name.
type counts map[string]int64

// some stands for any number but none, whatever for that too.
const some, whatever = -1, -2

// isKernels is is for a counter of the kernel. What the library repeats, since nothing shows for a while that it
// has been heard, the kernel counts again.
func (s *scene) isKernels(name string, want, v int64) bool {
	if repeats := s.ours()["SignalRepeat"]; want > 0 && (name == "RmAddr" || name == "MPPrioRx") {
		return want <= v && v <= want+repeats*(maxPaths-1)
	}
	return is(name, want, v)
}

// is reports whether v is what is wanted of a counter.
func is(name string, want, v int64) bool {
	if want > 0 && (name == "AddAddrTx" || name == "EchoAdd" || name == "PortAdd") {
		// The kernel announces again when an echo takes a little longer than a few round trips, as it may
		// on a busy machine. That the library echoes each is told by the counters' mirror images.
		return v >= want
	}
	return v == want || want == some && v > 0 || want == whatever
}

// row is one scenario of the kernel's own tests, tools/testing/selftests/net/mptcp, of
// which the library plays one side. Rows have the numbers of our acceptance list and the
// names that the scenarios have there.
type row struct {
	number int
	name   string
	// serves and dials are what the kernel's counters must be at the end, exactly, when it
	// is the server or the client. The row runs in the roles for which there are any.
	serves, dials counts
	// ours are counters of the library that must have these values at the end.
	ours counts
	// families in which the row runs; nil: both.
	families []Family
	// paths is the number of paths; 0: one.
	paths int
	// host changes the library's configuration, kernel sets the limits, endpoints and
	// variables of the kernel.
	host func(role Role, cfg *mptcp.Config)
	// set, unless it is nil, fills the endpoints and limits that the library's path manager goes by.
	set    func(t testing.TB, set *endpoints.Set, f Family)
	kernel func(t testing.TB, l *Lab)
	// meddle makes the middlebox that is in all paths.
	meddle func(role Role) Meddler
	// wrap puts something into every path.
	wrap func(t testing.TB, dev tun.Device) tun.Device
	// plainPeer: the kernel speaks plain TCP.
	plainPeer bool
	// fallsBack: the connection ends as plain TCP.
	fallsBack bool
	// resets: single subflows may be reset.
	resets bool
	// lone are counters whose mirror images may differ, since a segment is lost on the way
	// or sent more than once.
	lone []string
	// idle: it waits for timers most of the time, and is played beside others that do.
	idle bool
	// run is what happens; nil: both ends send at once.
	run func(t testing.TB, s *scene)
}

// scene is a row that is being played.
type scene struct {
	*Lab
	row  *row
	want counts // of the kernel's counters
	set  *endpoints.Set
	// hold are counters of the kernel that the pause in a transfer waits for; nil: for all that the row
	// wants of both ends.
	hold counts
	// up and down are what the library and the kernel send.
	up, down *Flow
	// marked is the connection as it was at the step mark.
	marked mptcp.Info
}

// rowBytes is how much a row sends each way.
func rowBytes(t testing.TB) int64 { return min(Bytes(t), 4e6) }

func TestRows(t *testing.T) {
	Require(t)
	if raceEnabled {
		t.Skip("counters are compared exactly, and the race detector makes the library too slow for that: packets are repeated")
	}
	for _, r := range slices.Concat(connectRows, joinRows, addRows, meshRows, removeRows, backupRows, portRows, closeRows, failRows, simultRows) {
		t.Run(fmt.Sprintf("%d %s", r.number, r.name), func(t *testing.T) {
			r.each(t, Client, r.serves)
			r.each(t, Server, r.dials)
		})
	}
}

// each plays the row in one role and all its families, unless the kernel's counters are nil.
func (r *row) each(t *testing.T, role Role, want counts) {
	if want == nil {
		return
	}
	families := r.families
	if families == nil {
		families = []Family{IPv4, IPv6}
	}
	for _, family := range families {
		t.Run(string(role)+"/"+family.Name, func(t *testing.T) {
			if r.idle {
				t.Parallel()
			}
			try(t, func(t testing.TB) { r.play(t, role, family, want) })
		})
	}
}

// play runs the row in one role.
func (r *row) play(t testing.TB, role Role, family Family, want counts) {
	cfg := LabConfig{Role: role, Family: family, Paths: max(r.paths, 1), Bare: true, Wrap: r.wrap}
	if role == Server {
		cfg.Host.PathManager = pathmgr.None // rows that announce addresses say so
	}
	if r.host != nil {
		r.host(role, &cfg.Host)
	}
	if r.meddle != nil {
		meddle := oneAtATime(r.meddle(role))
		cfg.Wrap = func(_ testing.TB, dev tun.Device) tun.Device { return NewBox(dev, meddle) }
	}
	set := endpoints.New()
	if r.set != nil {
		r.set(t, set, family)
		cfg.Host.PathManager = set.Manager
	}
	s := &scene{Lab: NewLab(t, cfg), row: r, want: want, set: set}
	if r.kernel != nil {
		r.kernel(t, s.Lab)
	}
	run := r.run
	if run == nil {
		run = transfer
	}
	run(t, s)
	s.judge(t)
}

// oneAtATime lets the boxes of several paths share a Meddler.
func oneAtATime(meddle Meddler) Meddler {
	var mu sync.Mutex
	return func(way Way, t packet.TCP, b []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		return meddle(way, t, b)
	}
}

// transfer connects, sends both ways, with a pause until the counters are what they have to
// be, and closes.
func transfer(t testing.TB, s *scene) {
	library, kernel := s.Connect(t, !s.row.plainPeer)
	s.exchangeAndClose(t, library, kernel, nil)
}

// transferJoined transfers, with a pause until the joins are done: what else the row wants comes
// of the transfer.
func transferJoined(t testing.TB, s *scene) {
	s.holdForJoins()
	transfer(t, s)
}

func (s *scene) holdForJoins() {
	s.hold = counts{"MPJoinAckRx": s.want["MPJoinAckRx"], "MPJoinSynAckRx": s.want["MPJoinSynAckRx"]}
}

// midway transfers, and does something in the middle.
func midway(do func(s *scene, c *mptcp.Conn) error) func(testing.TB, *scene) {
	return func(t testing.TB, s *scene) {
		library, kernel := s.Connect(t, true)
		s.exchangeAndClose(t, library, kernel, func() error {
			// Only then either end may open subflows.
			heard := func() bool { i := library.Info(); return i.BytesSent > 0 && i.BytesReceived > 0 }
			if !assertEventually(heard, moment) {
				return errors.New("nothing confirmed")
			}
			return do(s, library)
		})
	}
}

// exchangeAndClose sends both ways, does something, unless it is nil, in the middle, and
// closes.
func (s *scene) exchangeAndClose(t testing.TB, library *mptcp.Conn, kernel Conn, do func() error) {
	t.Helper()
	up, down := s.flows(t, do)
	s.exchange(t, library, kernel, up, down)
	require.Equal(t, s.row.fallsBack, library.Info().FallbackReason != "", "%+v", library.Info())
	require.Eventually(t, func() bool { return s.Peer.Counters(t)["MPCurrEstab"] == 0 },
		patience, 10*time.Millisecond, "the kernel's end closes")
}

// flows are like those of a Lab, with a pause until do, unless it is nil, and everything that
// the row waits for has happened: a small transfer might be over before.
func (s *scene) flows(t testing.TB, do func() error) (up, down *Flow) {
	var once sync.Once
	hold := func() {
		once.Do(func() {
			if do != nil {
				assert.NoError(t, do())
			}
		})
		s.await(t)
	}
	up, down = &Flow{Bytes: rowBytes(t)}, &Flow{Bytes: rowBytes(t)}
	for _, f := range []*Flow{up, down} {
		f.HoldAt, f.Hold = f.Bytes/8, hold
	}
	s.up, s.down = up, down
	return up, down
}

// await waits until the pause in a transfer may end: what is under way when the connection ends is not
// counted by who has forgotten it. It gives up after some seconds; judge then tells.
func (s *scene) await(t testing.TB) {
	assertEventually(func() bool { return s.reached(t) }, moment)
}

func (s *scene) reached(t testing.TB) bool {
	if s.hold == nil {
		return len(s.wrong(t)) == 0
	}
	now := s.Peer.Counters(t)
	for name, v := range s.hold {
		if have := now.Get(t, name); have < v || v == some && have == 0 {
			return false
		}
	}
	return true
}

// mirrors are the pairs of counters of which one end's is the other's at the other end: what
// was sent and what was received.
var mirrors = [][2]string{
	{"MPCapableSYNTX", "MPCapableSYNRX"}, {"MPJoinSynTx", "MPJoinSynRx"},
	{"AddAddrTx", "AddAddr"}, {"EchoAddTx", "EchoAdd"}, {"RmAddrTx", "RmAddr"},
	{"MPPrioTx", "MPPrioRx"}, {"MPFailTx", "MPFailRx"}, {"InfiniteMapTx", "InfiniteMapRx"},
	{"MPFastcloseTx", "MPFastcloseRx"}, {"MPRstTx", "MPRstRx"},
}

// judge compares the counters of both ends with what they have to be, and with each other.
func (s *scene) judge(t testing.TB) {
	t.Helper()
	var wrong []string
	ok := func() bool {
		wrong = s.wrong(t)
		return len(wrong) == 0
	}
	if !assertEventually(ok, patience) {
		require.Fail(t, strings.Join(wrong, "\n"), "kernel: %v\nlibrary: %v", s.Peer.Counters(t), s.ours())
	}
}

// assertEventually reports whether ok becomes true in time; the last signals may be under way.
func assertEventually(ok func() bool, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// wrong lists what is wrong with the counters.
func (s *scene) wrong(t testing.TB) (list []string) {
	kernel, ours := s.Peer.Counters(t), s.ours()
	never := slices.Clone(neverCounters)
	if !s.row.resets {
		never = append(never, resetCounters...)
	}
	for name, v := range s.want {
		if !s.isKernels(name, v, kernel.Get(t, name)) {
			list = append(list, fmt.Sprintf("kernel's %s is %d, not %d", name, kernel[name], v))
		}
	}
	for _, name := range never {
		if _, named := s.want[name]; !named && kernel[name] != 0 {
			list = append(list, fmt.Sprintf("kernel's %s is %d", name, kernel[name]))
		}
		if _, named := s.row.ours[name]; !named && !s.row.fallsBack && s.want[mirrorOf(name)] == 0 && ours[name] != 0 && !s.row.resets {
			list = append(list, fmt.Sprintf("library's %s is %d", name, ours[name]))
		}
	}
	for name, v := range s.row.ours {
		if !is(name, v, ours.Get(t, name)) {
			list = append(list, fmt.Sprintf("library's %s is %d, not %d", name, ours[name], v))
		}
	}
	for _, m := range mirrors {
		for _, pair := range [][2]string{m, {m[1], m[0]}} {
			if a, b := ours.Get(t, pair[0]), kernel.Get(t, pair[1]); a != b && !slices.Contains(s.row.lone, pair[0]) {
				list = append(list, fmt.Sprintf("library's %s is %d, but the kernel's %s %d", pair[0], a, pair[1], b))
			}
		}
	}
	slices.Sort(list)
	return list
}

// mirrorOf is the counter of the other end that counts the same.
func mirrorOf(name string) string {
	for _, m := range mirrors {
		switch name {
		case m[0]:
			return m[1]
		case m[1]:
			return m[0]
		}
	}
	return name
}

// ours are the library's counters.
func (s *scene) ours() Counters {
	c := Counters{}
	for name, v := range s.Host.Counters() {
		c[name] = int64(v)
	}
	return c
}

// limits sets how many subflows beside the first the kernel takes, and how many announced
// addresses it joins.
func (l *Lab) limits(t testing.TB, subflows, addrs int) {
	l.Peer.IP(t, fmt.Sprintf("mptcp limits set subflow %d add_addr_accepted %d", subflows, addrs))
}

// endpoint gives the kernel an MPTCP endpoint at its end of path i.
func (l *Lab) endpoint(t testing.TB, i int, flags string) {
	l.Peer.IP(t, fmt.Sprintf("mptcp endpoint add %v %s", l.Family.Kernel[i], flags))
}

// join has the library open a subflow from its end of path from to the kernel's end of path to.
func (s *scene) join(c *mptcp.Conn, from, to int, backup bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.AddSubflow(ctx, s.Family.Library[from], netip.AddrPortFrom(s.Family.Kernel[to], 0), backup)
	return err
}

// kernelLimits is a row's kernel function that sets limits alone.
func kernelLimits(subflows, addrs int) func(testing.TB, *Lab) {
	return func(t testing.TB, l *Lab) { l.limits(t, subflows, addrs) }
}

// short is how long something may take that has no reason to.
func short(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
