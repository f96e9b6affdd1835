package simnet

// SetMaxAtOnce changes maxAtOnce and returns what it was.
func SetMaxAtOnce(n int) (before int) {
	before, maxAtOnce = maxAtOnce, n
	return before
}
