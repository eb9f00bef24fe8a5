package main

// static int nothing(int n) { return n; }
// #cgo noescape nothing
// #cgo nocallback nothing
import "C"

// cgo is what any call over cgo costs at least.
func cgo() bool { return C.nothing(1) == 1 }
