package congestion

import "time"

// defaultMSS stands in for an MSS that is not known (RFC 9293 section 3.7.1).
const defaultMSS = 536

// maxWindow bounds all windows, in bytes: no TCP window can be larger (RFC 7323 section 2.3).
const maxWindow = 1 << 30

// withDefaults returns p with sensible values for what is missing.
func (p Params) withDefaults() Params {
	if p.MSS <= 0 {
		p.MSS = defaultMSS
	}
	if p.InitialWindow <= 0 {
		p.InitialWindow = 10 * p.MSS
	}
	p.HandshakeRTT = max(p.HandshakeRTT, time.Duration(0))
	return p
}
