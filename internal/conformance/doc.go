// Package conformance holds tests that show, one requirement of RFC 8684 after the other,
// what an mptcp.Host does with single segments: the peer is a script (package script).
// Above each test stand the numbers of the requirements that it shows.
package conformance
