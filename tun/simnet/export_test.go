package simnet

// SetMaxAtOnce changes maxAtOnce and returns what it was.
func SetMaxAtOnce(n int) (before int) {
	before, maxAtOnce = maxAtOnce, n
	return before
}

// Scheduled is how many events there have ever been, those to come included.
func Scheduled(w *World) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lastOrder
}
