package main

import (
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
)

const (
	// floor is counted as part of the heap and never touched, so that it takes
	// address space and no memory.
	floor = 8 << 20
	// fewConnections have few buffers and stacks.
	fewConnections = 32
	// headroom is by how much of what is live, in percent, the heap grows before it is
	// collected, and ampleHeadroom that with few connections.
	headroom, ampleHeadroom = 40, 150
)

// pace has the heap of a guardian collected less often when it is small, and sooner
// when it is large. By default it doubles in between: with a few connections that is
// 4 MiB, some hundred requests, and a tenth of the processor time went into
// collecting; with a thousand it is 20 MiB of garbage, half as much again as those
// take. Who sets GOGC has it as Go does it.
//
// It goes by connections, as they say what is to come. How much was live when the heap
// was collected last says too little of that: a thousand may have come since.
type pace struct {
	ballast []byte // nil where it is Go's own

	mu          sync.Mutex
	connections int
}

func newPace() *pace {
	if _, set := os.LookupEnv("GOGC"); set {
		return &pace{}
	}
	debug.SetGCPercent(ampleHeadroom)
	return &pace{ballast: make([]byte, floor)}
}

// watch is for [http.Server.ConnState], and calls next.
func (p *pace) watch(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			p.count(1)
		case http.StateClosed, http.StateHijacked:
			p.count(-1)
		}
		next(conn, state)
	}
}

func (p *pace) count(more int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.connections
	p.connections += more
	if wasFew, isFew := before <= fewConnections, p.connections <= fewConnections; p.ballast == nil || wasFew == isFew {
		return
	} else if isFew {
		debug.SetGCPercent(ampleHeadroom)
	} else {
		debug.SetGCPercent(headroom)
	}
}
