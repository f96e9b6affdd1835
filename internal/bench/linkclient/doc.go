//go:build !linux

// Command linkclient is for Linux only.
package main

func main() { panic("linkclient: the rig needs Linux") }
