// Package mib has the counters of a host. Those that Linux counts too have the names of
// its MIB (nstat, without the prefix MPTcpExt), so that both ends of a connection can be
// compared line by line.
package mib

import "sync/atomic"

// Counter names one counter of a Set.
type Counter uint8

// The counters of Linux' MIB.
const (
	MPCapableSYNRX          Counter = iota // SYN with MP_CAPABLE received
	MPCapableSYNTX                         // SYN with MP_CAPABLE sent
	MPCapableSYNACKRX                      // SYN/ACK with MP_CAPABLE received
	MPCapableACKRX                         // third packet with MP_CAPABLE received
	MPCapableFallbackACK                   // server: plain TCP, since the third packet had no MP_CAPABLE
	MPCapableFallbackSYNACK                // client: plain TCP, since the SYN/ACK had no MP_CAPABLE
	MPCapableSYNTXDrop                     // client: plain TCP, since SYNs with MP_CAPABLE stayed unanswered
	MPCapableSYNTXDisabled                 // client: SYN without MP_CAPABLE, since the destination swallows it
	MPJoinNoTokenFound                     // join refused: unknown token
	MPJoinSynRx                            // SYN with MP_JOIN received
	MPJoinSynBackupRx                      // the same with flag B
	MPJoinSynTx                            // SYN with MP_JOIN sent
	MPJoinSynAckRx                         // SYN/ACK with MP_JOIN received
	MPJoinSynAckBackupRx                   // the same with flag B
	MPJoinSynAckHMacFailure                // SYN/ACK with a wrong HMAC
	MPJoinAckRx                            // third packet with MP_JOIN received: the join succeeded
	MPJoinAckHMacFailure                   // third packet with a wrong HMAC
	MPJoinRejected                         // join refused: limits or policy
	DSSNotMatching                         // mapping that contradicts an earlier one
	DSSCorruptionFallback                  // plain TCP: mappings missing or wrong
	DSSCorruptionReset                     // subflow reset: mappings missing or wrong
	DssFallback                            // plain TCP: first data without a mapping, or no DATA_ACK for it
	SimultConnectFallback                  // plain TCP: simultaneous open
	InfiniteMapTx                          // infinite mapping sent
	InfiniteMapRx                          // infinite mapping received
	DataCsumErr                            // DSS checksum wrong
	NoDSSInWindow                          // data outside the window at the data level
	DuplicateData                          // data that had come already
	AddAddr                                // ADD_ADDR received
	AddAddrTx                              // ADD_ADDR sent
	AddAddrDrop                            // ADD_ADDR received and ignored: limits, HMAC
	EchoAdd                                // echo of ADD_ADDR received
	EchoAddTx                              // echo of ADD_ADDR sent
	PortAdd                                // ADD_ADDR with a port received
	RmAddr                                 // addresses withdrawn by the peer
	RmAddrDrop                             // REMOVE_ADDR ignored
	RmAddrTx                               // addresses withdrawn by us
	RmSubflow                              // subflows ended since we withdrew their address
	MPPrioTx                               // MP_PRIO sent
	MPPrioRx                               // MP_PRIO received
	MPFailTx                               // MP_FAIL sent
	MPFailRx                               // MP_FAIL received
	MPFastcloseTx                          // MP_FASTCLOSE sent
	MPFastcloseRx                          // MP_FASTCLOSE received
	MPRstTx                                // MP_TCPRST sent
	MPRstRx                                // MP_TCPRST received
	SubflowStale                           // subflows that stopped to make progress
	SubflowRecover                         // stale subflows that work again
	WinProbe                               // probes of a closed window
	Blackhole                              // destinations found to swallow MP_CAPABLE

	// Counters of ours.

	HalfOpenDrop         // half-open connections given up for newer ones
	JoinHalfOpenDrop     // half-open joins given up for newer ones
	PathMTULowered       // subflows whose path's MTU was lowered by ICMP
	PathMTUBlackHole     // subflows on whose path long segments vanish without a word
	OutOfWindowIcmps     // ICMP ignored, since it quotes nothing that is in flight (RFC 5927; Linux' TcpExt has it too)
	Resumed              // times that the host was found to have been suspended
	SubflowLate          // subflows whose acknowledgments were late, so that what waited for them was sent elsewhere
	RescuedBytes         // bytes sent elsewhere for that
	SignalRepeat         // REMOVE_ADDR and MP_PRIO sent again, since there was no sign that the peer had got them
	ListenOverflow       // connections refused since too many wait for Accept
	SilentAddr           // addresses of ours given up since their path had fallen silent
	SubflowRenewed       // subflows opened in the place of one that had been silent for long
	OpportunisticRetrans // chunks sent again on a faster subflow since the peer's window was full
	SubflowPenalised     // times that the slower one's congestion window was halved for that

	count
)

var names = [count]string{
	MPCapableSYNRX: "MPCapableSYNRX", MPCapableSYNTX: "MPCapableSYNTX", MPCapableSYNACKRX: "MPCapableSYNACKRX",
	MPCapableACKRX: "MPCapableACKRX", MPCapableFallbackACK: "MPCapableFallbackACK",
	MPCapableFallbackSYNACK: "MPCapableFallbackSYNACK", MPCapableSYNTXDrop: "MPCapableSYNTXDrop",
	MPCapableSYNTXDisabled: "MPCapableSYNTXDisabled",
	MPJoinNoTokenFound:     "MPJoinNoTokenFound", MPJoinSynRx: "MPJoinSynRx", MPJoinSynBackupRx: "MPJoinSynBackupRx",
	MPJoinSynTx: "MPJoinSynTx", MPJoinSynAckRx: "MPJoinSynAckRx", MPJoinSynAckBackupRx: "MPJoinSynAckBackupRx",
	MPJoinSynAckHMacFailure: "MPJoinSynAckHMacFailure", MPJoinAckRx: "MPJoinAckRx",
	MPJoinAckHMacFailure: "MPJoinAckHMacFailure", MPJoinRejected: "MPJoinRejected",
	DSSNotMatching: "DSSNotMatching", DSSCorruptionFallback: "DSSCorruptionFallback",
	DSSCorruptionReset: "DSSCorruptionReset", DssFallback: "DssFallback",
	SimultConnectFallback: "SimultConnectFallback", InfiniteMapTx: "InfiniteMapTx", InfiniteMapRx: "InfiniteMapRx",
	DataCsumErr: "DataCsumErr", NoDSSInWindow: "NoDSSInWindow", DuplicateData: "DuplicateData",
	AddAddr: "AddAddr", AddAddrTx: "AddAddrTx", AddAddrDrop: "AddAddrDrop", EchoAdd: "EchoAdd", EchoAddTx: "EchoAddTx",
	PortAdd: "PortAdd", RmAddr: "RmAddr", RmAddrDrop: "RmAddrDrop", RmAddrTx: "RmAddrTx", RmSubflow: "RmSubflow",
	MPPrioTx: "MPPrioTx", MPPrioRx: "MPPrioRx", MPFailTx: "MPFailTx", MPFailRx: "MPFailRx",
	MPFastcloseTx: "MPFastcloseTx", MPFastcloseRx: "MPFastcloseRx", MPRstTx: "MPRstTx", MPRstRx: "MPRstRx",
	SubflowStale: "SubflowStale", SubflowRecover: "SubflowRecover", WinProbe: "WinProbe", Blackhole: "Blackhole",
	HalfOpenDrop: "HalfOpenDrop", JoinHalfOpenDrop: "JoinHalfOpenDrop",
	PathMTULowered: "PathMTULowered", PathMTUBlackHole: "PathMTUBlackHole", OutOfWindowIcmps: "OutOfWindowIcmps",
	Resumed: "Resumed", ListenOverflow: "ListenOverflow",
	OpportunisticRetrans: "OpportunisticRetrans", SubflowPenalised: "SubflowPenalised",
	SubflowLate: "SubflowLate", RescuedBytes: "RescuedBytes",
	SilentAddr: "SilentAddr", SubflowRenewed: "SubflowRenewed",
	SignalRepeat: "SignalRepeat",
}

// String is the counter's name, e.g. "MPJoinSynRx".
func (c Counter) String() string { return names[c] }

// Set is the counters of one host. The zero value is ready; a nil Set counts nothing. All
// methods may be called concurrently.
type Set struct{ n [count]atomic.Uint64 }

// Add counts one event.
func (s *Set) Add(c Counter) { s.AddN(c, 1) }

// AddN counts n events.
func (s *Set) AddN(c Counter, n int) {
	if s != nil {
		s.n[c].Add(uint64(n))
	}
}

// Snapshot returns all counters by name, those that are 0 too.
func (s *Set) Snapshot() map[string]uint64 {
	m := make(map[string]uint64, count)
	for c := range count {
		m[c.String()] = s.n[c].Load()
	}
	return m
}
