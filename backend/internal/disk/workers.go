package disk

import "time"

// idleTime is how long a worker waits for more: long under load, when it counts,
// and not much longer than a call else.
const idleTime = 100 * time.Millisecond

var idle = make(chan func())

// work runs op in another goroutine, one that has ended such an op lately if there
// is one: its stack has grown to what reading a file takes, and growing it anew
// for each call cost a tenth of the processor time of a pull.
func work(op func()) {
	select {
	case idle <- op:
	default:
		go worker(op)
	}
}

func worker(op func()) {
	tired := time.NewTimer(idleTime)
	defer tired.Stop()
	for {
		op()
		tired.Reset(idleTime)
		select {
		case op = <-idle:
		case <-tired.C:
			return
		}
	}
}
