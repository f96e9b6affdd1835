package nic

import "sync/atomic"

// Stats is a snapshot of what went through an endpoint.
type Stats struct {
	// InPackets and InBytes count what the device gave, super-segments as one packet.
	InPackets, InBytes uint64
	// OutPackets and OutBytes count what the device took, super-segments as one packet.
	OutPackets, OutBytes uint64
	// BadChecksum counts incoming packets dropped for a wrong IPv4 or TCP checksum.
	BadChecksum uint64
	// Malformed counts incoming packets dropped because they are neither whole TCP
	// segments nor ICMP: fragments of TCP, IPv6 extension headers, other protocols,
	// lengths that contradict each other.
	Malformed uint64
	// OutErrors counts packets that could not be sent: refused by the device or not TCP.
	OutErrors uint64
}

// counters is the live form of Stats.
type counters struct {
	inPackets, inBytes     atomic.Uint64
	outPackets, outBytes   atomic.Uint64
	badChecksum, malformed atomic.Uint64
	outErrors              atomic.Uint64
}

// Stats returns the counters. Each is exact; together they are not of one instant.
func (e *Endpoint) Stats() Stats {
	c := &e.stats
	return Stats{
		InPackets: c.inPackets.Load(), InBytes: c.inBytes.Load(),
		OutPackets: c.outPackets.Load(), OutBytes: c.outBytes.Load(),
		BadChecksum: c.badChecksum.Load(), Malformed: c.malformed.Load(),
		OutErrors: c.outErrors.Load(),
	}
}
