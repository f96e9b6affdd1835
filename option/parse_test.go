package option

import (
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// samples has one good value of every type and form, with flags that it fits.
var samples = []struct {
	opt   Option
	flags uint8
}{
	{MPCapable{Form: CapableSyn, Version: 1, Flags: HMACSHA256}, synFlags},
	{MPCapable{Form: CapableSynAck, Version: 1, Flags: HMACSHA256, SenderKey: keyB}, synAckFlags},
	{MPCapable{Form: CapableAck, Version: 1, Flags: HMACSHA256, SenderKey: keyA, ReceiverKey: keyB}, ackFlags},
	{MPCapable{Form: CapableData, Version: 1, Flags: HMACSHA256, SenderKey: keyA, ReceiverKey: keyB, DataLen: 5}, ackFlags},
	{MPCapable{Form: CapableDataChecksum, Version: 1, SenderKey: keyA, ReceiverKey: keyB, DataLen: 5, Checksum: 6}, ackFlags},
	{JoinSyn{Backup: true, ID: 1, Token: 2, Nonce: Nonce{3}}, synFlags},
	{JoinSynAck{ID: 1, HMAC: [8]byte{2}, Nonce: Nonce{3}}, synAckFlags},
	{JoinAck{HMAC: [20]byte{1}}, ackFlags},
	{DSS{HasAck: true, Ack: 1, HasMap: true, DSN64: true, DSN: 1 << 40, SSN: 3, Len: 4, HasChecksum: true, Checksum: 5}, ackFlags},
	{AddAddr{ID: 1, Addr: netip.MustParseAddrPort("[2001:db8::5]:8443"), HMAC: [8]byte{7}}, ackFlags},
	{AddAddr{Echo: true, ID: 1, Addr: netip.MustParseAddrPort("192.0.2.5:0")}, ackFlags},
	{NewRemoveAddr(1, 2, 3), ackFlags},
	{Prio{Backup: true}, ackFlags},
	{Fail{DSN: 1 << 50}, ackFlags},
	{FastClose{ReceiverKey: keyA}, rstFlags},
	{Reset{Transient: true, Reason: ReasonResources}, rstFlags},
}

// 8684-W-02: every subtype's nibble, and that values are comparable.
func TestEveryOption(t *testing.T) {
	seen := map[Subtype]bool{}
	for _, s := range samples {
		b := s.opt.AppendTo([]byte{0xaa})
		require.Equal(t, byte(0xaa), b[0], "appends")
		b = b[1:]
		require.Len(t, b, s.opt.Size())
		require.Equal(t, []byte{Kind, byte(s.opt.Size())}, b[:2])
		require.Equal(t, s.opt.Subtype(), Subtype(b[2]>>4))
		require.True(t, s.opt == one(b, s.flags), "%v", s.opt)
		set := Parse(b, s.flags)
		require.True(t, set.Has(s.opt.Subtype()))
		seen[s.opt.Subtype()] = true
	}
	require.Len(t, seen, knownSubtypes)
}

// 8684-Q-23: an accessor finds its option and no other.
func TestAccessors(t *testing.T) {
	for _, s := range samples {
		set := Parse(s.opt.AppendTo(nil), s.flags)
		var found []Option
		note := func(o Option, ok bool) {
			if ok {
				found = append(found, o)
			}
		}
		collect(&set, note)
		require.Equal(t, []Option{s.opt}, found)
	}
	empty := Set{}
	collect(&empty, func(o Option, ok bool) { require.False(t, ok, "%v", o) })
	require.False(t, empty.HasMPTCP())
	require.False(t, empty.Has(0x0f))
}

// collect asks set for every option by its own accessor.
func collect(set *Set, note func(Option, bool)) {
	capable, ok := set.Capable()
	note(capable, ok)
	joinSyn, ok := set.JoinSyn()
	note(joinSyn, ok)
	joinSynAck, ok := set.JoinSynAck()
	note(joinSynAck, ok)
	joinAck, ok := set.JoinAck()
	note(joinAck, ok)
	dss, ok := set.DSS()
	note(dss, ok)
	addAddr, ok := set.AddAddr()
	note(addAddr, ok)
	removeAddr, ok := set.RemoveAddr()
	note(removeAddr, ok)
	prio, ok := set.Prio()
	note(prio, ok)
	fail, ok := set.Fail()
	note(fail, ok)
	fastClose, ok := set.FastClose()
	note(fastClose, ok)
	reset, ok := set.Reset()
	note(reset, ok)
}

// 8684-Q-22: reserved bits, set, change nothing.
func TestReservedBits(t *testing.T) {
	for _, c := range []struct {
		name, plain, reserved string
		flags                 uint8
	}{
		{"MP_JOIN SYN", "1e0c1102ccad45aca1a2a3a4", "1e0c1f02ccad45aca1a2a3a4", synFlags},
		{"MP_JOIN ACK", "1e18100053037f2899475529844115fd07e665d23d3554fb", "1e181fff53037f2899475529844115fd07e665d23d3554fb", ackFlags},
		{"DSS", "1e08200100000007", "1e082fe100000007", ackFlags},
		{"ADD_ADDR", "1e083103c0000205", "1e083f03c0000205", ackFlags},
		{"REMOVE_ADDR", "1e05400309", "1e054f0309", ackFlags},
		{"MP_PRIO", "1e0350", "1e035e", ackFlags},
		{"MP_FAIL", "1e0c6000f5a101d3d29d6f78", "1e0c6ffff5a101d3d29d6f78", ackFlags},
		{"MP_FASTCLOSE", "1e0c70001112131415161718", "1e0c7fff1112131415161718", ackFlags},
		{"MP_TCPRST", "1e048001", "1e048e01", rstFlags},
	} {
		want := one(unhex(t, c.plain), c.flags)
		require.NotNil(t, want, c.name)
		require.Equal(t, want, one(unhex(t, c.reserved), c.flags), c.name)
	}
}

// 8684-Q-23: the first of two counts, and a bad one does not take its place.
func TestDuplicates(t *testing.T) {
	first, second := Prio{Backup: true}, Prio{}
	set := Parse(second.AppendTo(first.AppendTo(nil)), ackFlags)
	got, _ := set.Prio()
	require.Equal(t, first, got)
	require.Equal(t, uint8(1), set.Duplicates)

	set = Parse(first.AppendTo(unhex(t, "1e045100")), ackFlags)
	got, ok := set.Prio()
	require.True(t, ok)
	require.Equal(t, first, got)
	require.Equal(t, uint8(1), set.Malformed)
	require.Zero(t, set.Duplicates)

	set = Parse(AppendTimestamps(AppendTimestamps(nil, 1, 2), 3, 4), ackFlags)
	ts, _ := set.Timestamps()
	require.Equal(t, Timestamps{1, 2}, ts)
}

// 8684-Q-23
func TestUnknownSubtypes(t *testing.T) {
	for subtype := 0x9; subtype <= 0xf; subtype++ {
		set := Parse([]byte{Kind, 4, byte(subtype << 4), 0}, ackFlags)
		require.Equal(t, Set{Unknown: 1}, Set{Unknown: set.Unknown, Malformed: set.Malformed, Misplaced: set.Misplaced})
		require.False(t, set.HasMPTCP())
	}
}

// 8684-W-02, 8684-Q-23: which options have a place on which segment.
func TestMisplaced(t *testing.T) {
	for _, s := range samples {
		for _, flags := range []uint8{0, synFlags, synAckFlags, ackFlags, rstFlags, FlagRST, FlagSYN | FlagRST} {
			var want bool
			switch s.opt.Subtype() {
			case SubtypeCapable, SubtypeJoin:
				want = flags == s.flags
			case SubtypeReset:
				want = flags == rstFlags || flags == FlagRST
			default:
				want = flags&FlagSYN == 0
			}
			set := Parse(s.opt.AppendTo(nil), flags)
			require.Equal(t, want, set.HasMPTCP(), "%v on %02x", s.opt, flags)
			require.Equal(t, !want, set.Misplaced == 1)
		}
	}
}

// The walk over options of other kinds, NOPs, and areas that end too early.
func TestWalk(t *testing.T) {
	const prio = "1e0351"
	for _, c := range []struct {
		name, area string
		found      bool
		malformed  uint8
	}{
		{"after NOPs", "0101" + prio, true, 0},
		{"after an unknown kind", "fe06 00000000" + prio, true, 0},
		{"after an unknown kind without body", "fe02" + prio, true, 0},
		{"after the end", "00" + prio, false, 0},
		{"empty", "", false, 0},
		{"kind without length", "1e", false, 1},
		{"length 0", "1e00" + prio, false, 1},
		{"length 1", "fe01" + prio, false, 1},
		{"MPTCP of length 2", "1e02" + prio, true, 1},
		{"beyond the end", "1e0c6000f5a101d3", false, 1},
		{"good one before a bad end", prio + "0805", true, 1},
	} {
		set := Parse(unhex(t, c.area), ackFlags)
		require.Equal(t, c.found, set.Has(SubtypePrio), c.name)
		require.Equal(t, c.malformed, set.Malformed, c.name)
	}
	long := append(make([]byte, 0, 64), make([]byte, MaxOptions)...)
	for i := range long {
		long[i] = kindNOP
	}
	set := Parse(Prio{}.AppendTo(long), ackFlags)
	require.False(t, set.HasMPTCP(), "beyond 40 bytes")
}

// An option that is cut anywhere is as if absent.
func TestCut(t *testing.T) {
	for _, s := range samples {
		b := s.opt.AppendTo(nil)
		for n := 1; n < len(b); n++ {
			set := Parse(b[:n], s.flags)
			require.False(t, set.HasMPTCP(), "%v cut to %d bytes", s.opt, n)
			require.Equal(t, uint8(1), set.Malformed)
		}
	}
}

// A Set does not refer to the segment that it was read from.
func TestSetOutlivesSegment(t *testing.T) {
	area := NewRemoveAddr(5).AppendTo(nil)
	set := Parse(area, ackFlags)
	clear(area)
	got, ok := set.RemoveAddr()
	require.True(t, ok)
	require.Equal(t, NewRemoveAddr(5), got)
}

func TestAllStopsEarly(t *testing.T) {
	set := Parse(Prio{}.AppendTo(DSS{}.AppendTo(nil)), ackFlags)
	n := 0
	for range set.All() {
		n++
		break
	}
	require.Equal(t, 1, n)
}

// The hot path does not allocate.
func TestAllocs(t *testing.T) {
	dss := DSS{HasAck: true, HasMap: true, Len: 1400, HasChecksum: true}
	area := AppendTimestamps(nil, 1, 2)
	area = dss.AppendTo(area)
	area = Prio{}.AppendTo(area)
	buf := make([]byte, 0, 128)
	blocks := []SACKBlock{{1, 2}}
	addAddr := AddAddr{ID: 1, Addr: netip.MustParseAddrPort("[2001:db8::5]:8443")}
	remove := NewRemoveAddr(1, 2)

	for name, f := range map[string]func(){
		"Parse": func() {
			set := Parse(area, ackFlags)
			collectHot(&set)
		},
		"AppendTo": func() {
			dss.AppendTo(buf[:0])
			addAddr.AppendTo(buf[:0])
			remove.AppendTo(buf[:0])
			Prio{}.AppendTo(buf[:0])
			Fail{}.AppendTo(buf[:0])
			FastClose{}.AppendTo(buf[:0])
			Reset{}.AppendTo(buf[:0])
			JoinSyn{}.AppendTo(buf[:0])
			JoinSynAck{}.AppendTo(buf[:0])
			JoinAck{}.AppendTo(buf[:0])
			MPCapable{Form: CapableDataChecksum}.AppendTo(buf[:0])
			Pad(AppendSACK(AppendTimestamps(buf[:0], 1, 2), blocks), 0)
		},
		"checksum": func() { _ = DSSChecksum(1, 2, 3, SumBytes(area).AddBytes(area, 3)) },
		"key":      func() { keyA.Token(); keyA.IDSN() },
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

// collectHot asks set for what the data path asks.
func collectHot(set *Set) {
	set.DSS()
	set.Capable()
	set.JoinSyn()
	set.AddAddr()
	set.RemoveAddr()
	set.Prio()
	set.Timestamps()
	set.SACK()
}

// Another implementation's TCP decoder sees our options as kind 30 with exactly
// our bytes, and ours finds them in what it has serialized (8684-W-01).
func TestGopacketAgrees(t *testing.T) {
	for _, s := range samples {
		wire := s.opt.AppendTo(nil)
		area := append([]byte{}, wire...)
		if len(wire)+TimestampsSize <= MaxOptions {
			area = s.opt.AppendTo(AppendTimestamps(nil, 7, 8))
		}
		area = Pad(area, 0)

		header := make([]byte, 20, 60)
		header[12] = byte((20 + len(area)) / 4 << 4)
		header[13] = s.flags
		segment := append(header, area...)

		var tcp layers.TCP
		require.NoError(t, tcp.DecodeFromBytes(segment, gopacket.NilDecodeFeedback), "%v", s.opt)
		var found [][]byte
		for _, o := range tcp.Options {
			if o.OptionType == layers.TCPOptionKind(Kind) {
				require.Equal(t, len(wire), int(o.OptionLength))
				found = append(found, append([]byte{byte(o.OptionType), o.OptionLength}, o.OptionData...))
			}
		}
		require.Equal(t, [][]byte{wire}, found, "%v", s.opt)

		buf := gopacket.NewSerializeBuffer()
		require.NoError(t, tcp.SerializeTo(buf, gopacket.SerializeOptions{}))
		require.Equal(t, s.opt, one(buf.Bytes()[20:int(buf.Bytes()[12]>>4)*4], s.flags))
	}
}

// FuzzParse: nothing panics, and what was parsed survives being sent on.
func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add(s.opt.AppendTo(AppendTimestamps(nil, 1, 2)), s.flags)
	}
	f.Add([]byte{Kind, 0}, uint8(FlagACK))                           // a length that would not move the walk
	f.Add([]byte{Kind, 2, Kind, 3, 0x51}, uint8(FlagACK))            // no room for a subtype
	f.Add([]byte{Kind, 10, 0x31, 1, 1, 2, 3, 4, 0, 0}, uint8(0x10))  // a port field of 0
	f.Add([]byte{kindSACK, 2, kindSACK, 10, 1}, uint8(FlagACK))      // SACK without blocks, and cut short
	f.Add(AppendSACK(nil, make([]SACKBlock, 4)), uint8(FlagACK))     // the longest SACK
	f.Add(AppendWindowScale(AppendMSS(nil, 0), 255), uint8(FlagSYN)) // out of range
	f.Fuzz(func(t *testing.T, area []byte, flags uint8) {
		set := Parse(area, flags)
		_ = set.String()
		set.Timestamps()
		set.SACK()
		set.MSS()
		set.WindowScale()

		var again []byte
		for o := range set.All() {
			b := o.AppendTo(nil)
			require.Len(t, b, o.Size())
			require.Equal(t, o, one(b, flags))
			again = append(again, b...)
		}
		second := Parse(again, flags)
		require.Zero(t, second.Malformed+second.Misplaced+second.Duplicates+second.Unknown)
		var before, after []Option
		for o := range set.All() {
			before = append(before, o)
		}
		for o := range second.All() {
			after = append(after, o)
		}
		require.Equal(t, before, after)
	})
}
