// Package option is the wire format of Multipath TCP: TCP option kind 30 as
// RFC 8684 defines it, with the keys, tokens, HMACs and checksums that go into
// it, and the few standard TCP options that travel beside it.
//
// Each option is a small comparable value type: [MPCapable], [JoinSyn],
// [JoinSynAck], [JoinAck], [DSS], [AddAddr], [RemoveAddr], [Prio], [Fail],
// [FastClose] and [Reset]. Together they are the sealed interface [Option].
//
// # Reading
//
// [Parse] walks the option area of one segment once, without allocating, and
// returns a [Set], which is asked for one option at a time:
//
//	set := option.Parse(area, tcpFlags)
//	if dss, ok := set.DSS(); ok {
//		...
//	}
//
// Parse never panics and never fails: what is malformed, out of place, unknown
// or there twice is as if absent, and counted.
//
// # Writing
//
// Every option has AppendTo, which appends exactly Size bytes and no padding;
// [Pad] fills up with NOPs to a multiple of four. Reserved bits are sent as
// zero. AppendTo panics only on an error of the caller, namely a value that
// has no encoding: an MPCapable without a form, an AddAddr without an address,
// a RemoveAddr without IDs. No parsed value is one of these.
//
// # Concurrency
//
// The package has no state; its values may be copied and shared freely.
package option
