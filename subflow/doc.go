// Package subflow is one TCP connection of a Multipath TCP connection: its
// handshake with MP_CAPABLE or MP_JOIN, the mappings between its sequence numbers
// and those of the connection, the options that ride on its segments, and its
// sender.
//
// A Subflow sits between a TCP that shakes hands, receives and closes (netstack,
// which this package does not know) and a packet device. It sees every segment on
// its way in and out. Data never enters that TCP's send buffer: the Sender of the
// subflow sends it, and the header translation in seqmap.go keeps the two
// consistent.
//
// Nothing in this package is safe for concurrent use, starts a goroutine or sets a
// timer: the connection's lock protects a Subflow with everything below it, and the
// connection tells it what time it is. See RFC 8684 sections 3.1 to 3.3.
package subflow
