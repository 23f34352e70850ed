package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what a stretch of work took.
type usage struct {
	wall, cpu time.Duration
	// heap is the most that was in live and dead objects beyond what was at the
	// beginning, resident the most memory of the process, in bytes.
	heap, resident int64
}

func (u usage) ofACore() float64 { return u.cpu.Seconds() / u.wall.Seconds() }

// meter measures from start to stop.
type meter struct {
	began    time.Time
	cpu      time.Duration
	heap     int64
	most     usage
	stopping chan struct{}
	stopped  chan struct{}
}

// start gives free memory back first, so that what is resident tells something.
func start() (*meter, error) {
	debug.FreeOSMemory()
	m := &meter{heap: heapNow(), stopping: make(chan struct{}), stopped: make(chan struct{})}
	var err error
	if m.cpu, err = processorTime(); err != nil {
		return nil, err
	}
	m.began = time.Now()
	go m.watch()
	return m, nil
}

func (m *meter) watch() {
	defer close(m.stopped)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		m.most.heap = max(m.most.heap, heapNow()-m.heap)
		m.most.resident = max(m.most.resident, residentNow())
		select {
		case <-ticker.C:
		case <-m.stopping:
			return
		}
	}
}

func (m *meter) stop() (usage, error) {
	wall := time.Since(m.began)
	cpu, err := processorTime()
	close(m.stopping)
	<-m.stopped
	m.most.wall, m.most.cpu = wall, cpu-m.cpu
	return m.most, err
}

// processorTime is what this process has used of processors, user and system.
func processorTime() (time.Duration, error) {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("reading the resource usage: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}

func heapNow() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// residentNow is 0 where the system does not tell.
func residentNow() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// processorTimeOf is that of another process, in ticks of 10 ms; 0 where the
// system does not tell.
func processorTimeOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}
