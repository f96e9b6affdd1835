// Package imports holds a test, and nothing else, that keeps the imports between the
// packages of this module running one way, from the examples down to the pure
// packages, and keeps gvisor.dev behind internal/netstack.
package imports
