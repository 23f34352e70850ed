package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what this process, its collector of garbage included, has
// used of a processor. The time of day would do on an idle machine; on a busy
// one it makes what runs long look slower than what runs between two turns of
// others.
func processorTime() (time.Duration, error) {
	var spent unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &spent); err != nil {
		return 0, fmt.Errorf("reading the processor's clock: %w", err)
	}
	return time.Duration(spent.Nano()), nil
}
