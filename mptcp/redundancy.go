package mptcp

const (
	// redundantBurst is how many bytes may be sent twice on suspicion at once, or a window of the
	// connection if that is more.
	redundantBurst = 256 << 10
	// redundantShare is the part of what is acknowledged that may be sent twice: one in so many.
	redundantShare = 32
)

// redundancy bounds what is sent again elsewhere on suspicion alone: what is late may come yet, and a
// network that is about to break down must not get twice the traffic for that. What comes
// after a retransmission timeout, or the end of a subflow, is no suspicion any more.
type redundancy struct {
	spent, earned int
	// most is the largest window of the connection that was ever in use.
	most int
}

// earn notes that n bytes were acknowledged while window bytes had been sent and not been.
func (r *redundancy) earn(n, window int) {
	r.most = max(r.most, window)
	r.earned += n
	// What is saved up is one burst at most.
	r.spent = max(r.spent, r.earned/redundantShare)
	r.spent -= r.earned / redundantShare
	r.earned %= redundantShare
}

// left is how many bytes may be sent twice now.
func (r *redundancy) left() int { return max(redundantBurst, r.most) - r.spent }

// spend notes that n bytes are.
func (r *redundancy) spend(n int) { r.spent += n }
