package main

import (
	"os"
	"runtime/debug"
)

const (
	// floor is counted as part of the heap and never touched, so that it takes
	// address space and no memory.
	floor = 8 << 20
	// headroom is by how much of what is live, in percent, the heap grows before it is
	// collected.
	headroom = 40
)

// paceCollector has the heap of a guardian collected less often when it is small,
// and sooner when it is large. By default it doubles in between: with a few
// connections that is 4 MiB, some hundred requests, and a tenth of the processor
// time went into collecting; with a thousand it is 20 MiB of garbage, half as much
// again as those take. Who sets GOGC has it as Go does it. It lasts as long as what is
// returned is kept.
func paceCollector() (ballast []byte) {
	if _, set := os.LookupEnv("GOGC"); set {
		return nil
	}
	debug.SetGCPercent(headroom)
	return make([]byte, floor)
}
