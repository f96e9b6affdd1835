package mptcp

// Counters returns the counters of the host by name, all of them, since NewHost. What
// Linux counts too has the name that it has there (nstat, without the prefix MPTcpExt), e.g.
// "MPCapableSYNRX" or "MPJoinAckHMacFailure"; package internal/mib says what each one counts.
func (h *Host) Counters() map[string]uint64 { return h.mib.Snapshot() }
