// Package mptcp is Multipath TCP (RFC 8684) in userspace: a host with several packet
// devices, each a path, and connections whose byte stream runs over all of them at
// once. A connection is a net.Conn; it survives the loss of any path and adds up what
// the paths carry.
//
// # Usage
//
// A Host is made once, given its devices, and used like package net:
//
//	host, err := mptcp.NewHost(nil)
//	dev, err := tun.Open("wifi") // a TUN interface that the system routes
//	err = host.AddDevice(dev, netip.MustParsePrefix("10.1.1.2/24"))
//	// ... and more devices, now or later; they may also go away again
//
//	conn, err := host.Dial(ctx, "tcp", "192.0.2.1:443")
//
//	listener, err := host.Listen("tcp", ":443")
//	conn, err := listener.Accept()
//
// Host.DialContext fits http.Transport. The peer may be this package, Linux (5.6 and
// later, version 1 of the protocol), Apple's systems, or a host without Multipath TCP:
// then the connection is plain TCP, and Conn.Info says why.
//
// # Choosing paths, subflows and rates
//
// Three policies plug in through Config, by name or as an implementation of one's own:
// package scheduler decides which subflow takes the next bytes, package pathmgr which
// subflows there are, package subflow/congestion how fast each one sends. An Intent (Handover, Interactive,
// Aggregate, as Apple has them) chooses the first two together. Single connections get
// others with a ConnConfig. A program that would rather open, close and announce by itself takes
// pathmgr.Manual, hears of what happens by NextEvent, and uses AddSubflow, RemoveSubflow,
// SetBackup, Announce and Withdraw.
//
// # Ending, and errors
//
// CloseWrite ends one's own stream and goes on reading. Close returns at once and lets
// what was written be delivered in the background; Wait tells when the peer has
// confirmed it. Abort drops everything and resets. Errors are *net.OpError around causes
// that errors.Is knows: os.ErrDeadlineExceeded, net.ErrClosed, syscall.ECONNRESET,
// syscall.ECONNREFUSED, syscall.ETIMEDOUT; *SubflowResetError has the reason of a reset.
//
// A Write or Read that waits ends at its deadline or when the connection is closed; Dial
// and Wait end with their context.
//
// # What a path's end means
//
// A subflow that is reset, or whose device goes away, ends. A connection without any subflow waits for one for
// Config.BreakTimeout.
//
// A subflow that falls silent while others work: when acknowledgments are half a round trip late (30 ms without any at
// least), what waits for them is sent again on another one that is no backup, the oldest first. After two round trips and 20 ms (60 ms
// at least) it is stale, if something has come on another one meanwhile: backups take over, and it gets no new
// data. As soon as it answers it is in use again. What is sent twice for that, and may not have been needed, is at most
// 256 KiB or a window, and then 3 % of what is acknowledged; after a retransmission timeout all is sent elsewhere.
// It is given up after seven retransmissions in vain, the last subflow after fifteen.
//
// A stale subflow, and each one when all are silent, is probed from three times a second on, and one that answers is in
// use again at once, however long its retransmission timer would still wait.
//
// The receiver of a stream looks, too. When bytes are missing and nothing has come on a subflow for four round trips
// (150 ms at least), or twice as long where a fast flow has merely stopped, it is asked, but not within 550 ms of
// another probe, which would keep the peer from answering. If two probes stay unanswered, some 130 ms, or nearly three
// round trips, while another subflow works, its address is withdrawn (REMOVE_ADDR): the peer sends elsewhere at once
// what is missing. The address is joined anew until that succeeds.
// If nothing works, a fresh subflow takes the place of each one that has been silent for a second, as soon as its path
// is back: the peer's timer for the old one may wait for seconds more. Both are for the end that opened the subflows,
// that is, the client.
//
// A client also says which paths shall rest while the peer sends little: see Config.NoSteering.
//
// A machine that was suspended notices within a second that it runs again (Linux: by CLOCK_BOOTTIME; else by
// the wall clock). What waits is then tried at once, and a subflow that does not answer in 10 s is
// reset, so that a new one can take its place. Time asleep counts for no timeout.
//
// # What a peer can make a host hold
//
// Everything is bounded: docs/limits.md has the list. Config.MaxHalfOpen bounds handshakes that are not
// completed, Config.MaxSubflows, MaxAnnounced and ReceiveBuffer what a connection holds.
//
// # Where the RFC is
//
//	keys, MP_CAPABLE, fallback     section 3.1, 3.7   subflow/handshake.go
//	fallback in mid-connection     section 3.7        fallback.go, subflow/fallback.go, fail.go, infinite.go
//	MP_JOIN                        section 3.2        subflow/handshake.go, hook.go, halfopen.go
//	heuristics                     section 3.9        blackhole.go
//	mappings, DATA_ACK, windows    section 3.3.1-5    subflow/incoming.go, subflow/outgoing.go
//	reinjection                    section 3.3.6      placed.go, stale.go, rescue.go, opportunistic.go
//	DATA_FIN, closing              section 3.3.3      state.go, service.go
//	MP_FASTCLOSE, MP_TCPRST        section 3.5, 3.6   fastclose.go, subflow/resets.go
//	ADD_ADDR, REMOVE_ADDR          section 3.4        addrs.go, remoteaddrs.go, signals.go, mute.go
//	MP_PRIO                        section 3.3.8      manage.go, remoteaddrs.go, steer.go
//
// # Limitations
//
// README.md lists what is not there yet.
package mptcp
