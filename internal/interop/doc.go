// Package interop tests the library against the MPTCP of the Linux kernel.
//
// Every test makes a network namespace for the kernel's end (Lab) with TUN devices
// in it. The library opens those devices, so that each is a path between the two
// stacks; a Gate on the path can turn it into a black hole. The kernel's own
// counters (Counters) tell whether it agrees with what happened.
//
//	library                       namespace of the kernel
//	  10.1.1.2 fd00:1:1::2 --path1-- 10.1.1.1 fd00:1:1::1   (dialled, on either side)
//	  10.1.2.2 fd00:1:2::2 --path2-- 10.1.2.1 fd00:1:2::1
//	  10.1.3.2 fd00:1:3::2 --path3-- 10.1.3.1 fd00:1:3::1
//	  10.1.4.2 fd00:1:4::2 --path4-- 10.1.4.1 fd00:1:4::1
//
// TestRows plays the scenarios of the kernel's own tests (mptcp_connect.sh, mptcp_join.sh,
// simult_flows.sh, diag.sh), each a row of a table with the counters that both ends must
// have afterwards. A Box in a path is a middlebox for those that need one.
//
// The tests make namespaces, devices and rules on the machine and depend on real time, so they
// are run when they are asked for only: `make interop`. They need root, iproute2, nftables, OpenSSH,
// mptcpize, /dev/net/tun and a kernel with MPTCP (5.6 or later, with `ip mptcp`), and fail
// without. The environment:
//
//	INTEROP=1           run the tests; they skip without
//	INTEROP_MB=100      megabytes each way; default 100
//	INTEROP_ATTEMPTS=2  run a test that fails once more, on a machine that is shared; default 1
//	INTEROP_PCAP=DIR    write a capture of every test to DIR
package interop
