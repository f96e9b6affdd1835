package endpoints

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gomptcp/gomptcp/pathmgr"
)

// Parse reads an endpoint as `ip mptcp endpoint add` does: an address, then in any order "id N",
// "port N", "dev NAME", and the flags subflow, signal, backup, fullmesh and laminar; beyond that "maps ADDRESS", see
// pathmgr.Endpoint. The error names what it does not understand.
func Parse(s string) (ep pathmgr.Endpoint, err error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return ep, fmt.Errorf("endpoints: no address; want for example %q", "10.1.1.2 id 3 subflow backup")
	}
	if ep.Addr, err = netip.ParseAddr(words[0]); err != nil {
		return ep, fmt.Errorf("endpoints: %q: %w", s, err)
	}
	for words = words[1:]; len(words) > 0; words = words[1:] {
		if f, ok := pathmgr.FlagByName(words[0]); ok {
			ep.Flags |= f
			continue
		}
		if len(words) == 1 {
			return ep, fmt.Errorf("endpoints: %q: %q is no flag, or its value is missing", s, words[0])
		}
		var n uint64
		switch words[0] {
		case "id":
			n, err = strconv.ParseUint(words[1], 10, 8)
			ep.ID = uint8(n)
		case "port":
			n, err = strconv.ParseUint(words[1], 10, 16)
			ep.Port = uint16(n)
		case "dev":
			ep.Device = words[1]
		case "maps":
			ep.Maps, err = netip.ParseAddr(words[1])
		default:
			return ep, fmt.Errorf("endpoints: %q: what is %q?", s, words[0])
		}
		if err != nil {
			return ep, fmt.Errorf("endpoints: %q: %s: %w", s, words[0], err)
		}
		words = words[1:]
	}
	return ep, ep.Check()
}

// ParseLimits reads limits as `ip mptcp limits set` does: "subflows N" and "add_addr_accepted N", what
// is not named as in l.
func ParseLimits(s string, l pathmgr.Limits) (pathmgr.Limits, error) {
	words := strings.Fields(s)
	for ; len(words) > 1; words = words[2:] {
		n, err := strconv.Atoi(words[1])
		if err != nil {
			return l, fmt.Errorf("endpoints: %q: %w", s, err)
		}
		switch words[0] {
		case "subflows":
			l.Subflows = n
		case "add_addr_accepted":
			l.AddAddrAccepted = n
		default:
			return l, fmt.Errorf("endpoints: %q: what is %q?", s, words[0])
		}
	}
	if len(words) > 0 {
		return l, fmt.Errorf("endpoints: %q: the value of %q is missing", s, words[0])
	}
	return l, l.Check()
}
