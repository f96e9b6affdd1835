// Package simnet is a network in virtual time: hosts and routers joined by links with a
// rate, a delay, losses and queues. What takes an hour there takes as long here as the
// computing does, and the same seed gives the same packets, byte for byte.
//
// A World owns time and chance. It exists inside Run, or inside Test for tests, and all
// that happens in it does so in a bubble of package testing/synctest: time.Now,
// time.Sleep, timers and contexts with a deadline follow the world's time there. Real
// sockets do not belong in it, nor do channels and contexts made outside.
//
//	err := simnet.Run(simnet.Config{Seed: 1}, func(w *simnet.World) {
//		c, s := w.Host("client"), w.Host("server")
//		l := w.Connect(c, s, simnet.Symmetric(simnet.Shape{Rate: 20 * simnet.Mbps, Delay: 25 * time.Millisecond}))
//		client, err := mptcp.NewHost(&mptcp.Config{Environment: c})
//		...
//		err = client.AddDevice(l.A, netip.MustParsePrefix("10.0.0.1/24"))
//
// # What a packet meets
//
// A device splits super-segments into the packets of a wire. In each direction of a
// link a packet meets, in this order: the middleboxes (Direction.Through), the MTU, the
// queue (Queue), the transmitter (Shape.Rate or Direction.Follow), which it occupies even
// if it is then lost, losses, corruption and duplication, and last the delay with jitter
// and reordering. All of a Shape may be changed while packets are on their way.
//
// # Order
//
// One thing happens at a time. Before time moves on, or the next packet arrives or the
// next timer runs, everything in the world has come to rest. What several hosts send at
// the same instant enters the links in the order of hosts and ports, not in the order in
// which the scheduler of this process ran them. What remains to the user is to keep
// goroutines of his own from racing: World.At starts things that belong to one instant one
// after another, the go statement does not.
//
// Limits: nothing is fragmented, the only ICMP is the one about packets that are too big
// (Shape.TellTooBig), and the number of packets is what costs time here: about 15 µs for
// each on its way through two links.
package simnet
