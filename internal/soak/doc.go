// Package soak holds tests only: random networks in virtual time, where a seed decides
// about everything, and a table of goodput.
//
// go test ./internal/soak runs some hundred seeds; make soak SOAK=1h goes on with new
// ones for an hour; go test ./internal/soak -run TestSeed$ -seed N repeats one.
package soak
