// Package bench measures what the library costs, always beside something else that does
// the same work at the same time, since only ratios mean anything on a machine that does
// other things too. All of it is test code:
//
//   - TestRatios (BENCH=1) prints throughput, CPU time and allocations of the library and of
//     plain netstack, which is gVisor's TCP with nothing of ours in between, over a pipe
//     in memory and over TUN devices to the kernel. The peer is a process of its own in the
//     latter case, so that only the library's CPU time counts.
//   - TestLinks (RIG=directory) prints the goodput over emulated links beside that of the
//     kernel's own TCP with BBR.
//   - TestNoAllocations counts what our packages allocate for each super-segment.
//   - The Benchmarks are for profiles: go test -bench . -cpuprofile cpu.out.
//
// The library's side of those links is examples/mpbench. Package compare, a program, puts the whole library beside
// the kernel's Multipath TCP there.
package bench
